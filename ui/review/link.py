"""A case opened by a link: to read and to comment on."""

import streamlit as st

from core.cases.cell_groups import cell_groups
from core.cases.database import Database
from core.cases.names import LONGEST_COMMENT
from core.cases.range_tables import ranges_in_force
from core.cases.records import Case
from core.cases.samples import load_case
from core.cases.sharing import comment_by_link, follow, visit
from core.charts.field import field_figure
from core.exports.summary import summarise
from ui.components import fields
from ui.components.actions import action_button
from ui.components.cases import errors_shown, show_comments
from ui.components.findings import show_summary
from ui.components.shared import shown_width
from ui.components.stored import SMALL, cell_jpeg, field_jpeg
from ui.components.visitor import admit_by_link

MAX_OF_A_TYPE = 24
NAME, TEXT = "link_name", "link_text"


def show_linked_case(database: Database, token: str) -> None:
    """Show the case that a token opens."""
    with errors_shown(end_page=True):
        case = load_case(database, _open(database, token)).with_neutral_names()
        summary = summarise(case, ranges_in_force(database))
    admit_by_link()
    st.info(
        "You opened this case by a link. You can comment on it, but not change it.",
        icon=":material/link:",
    )
    show_summary(summary, with_name=False)
    _show_fields(case)
    _show_cells(case)
    show_comments(case)
    _write_comment(database, token)


def _open(database: Database, token: str) -> int:
    """Return the sample that a token opens; the first time in a session is a visit."""
    if st.session_state.get("link_visited") == token:
        return follow(database, token)
    sample_id = visit(database, token)
    st.session_state["link_visited"] = token
    return sample_id


def _show_fields(case: Case) -> None:
    if not case.fields:
        return
    st.subheader("Fields")
    titles = [stored.analysis.title for stored in case.fields]
    stored = case.fields[fields.choose_field(titles, "link_field")]
    corrected = fields.light_toggle()
    with errors_shown():
        jpeg = field_jpeg(stored.id, corrected)
        figure = field_figure(jpeg, stored.analysis, shown_width=shown_width(900))
        fields.field_chart(figure, stored.analysis, "link_drawing")


def _show_cells(case: Case) -> None:
    st.subheader("White cells")
    corrected = fields.is_light_corrected()
    for group in cell_groups(case):
        if not group.cells:
            continue
        shown = group.cells[:MAX_OF_A_TYPE]
        share = f" · {group.share}" if group.share else ""
        more = f", {len(shown)} shown" if len(shown) < len(group.cells) else ""
        st.markdown(f"**{group.name}** ({len(group.cells)}{share}{more})")
        with errors_shown():
            st.image(
                [cell_jpeg(cell, SMALL, corrected) for cell in shown],
                caption=[cell.name for cell in shown],
                width=92,
                alt=[f"Cell {cell.name}" for cell in shown],
            )


def _write_comment(database: Database, token: str) -> None:
    def write() -> None:
        comment_by_link(database, token, st.session_state[NAME], st.session_state[TEXT])
        st.session_state[TEXT] = ""

    st.text_input("Your name", key=NAME, max_chars=100, width=320)
    st.text_area("Comment", key=TEXT, max_chars=LONGEST_COMMENT, height=90)
    action_button(
        "Add comment", "link_comment", write, icon=":material/comment:", for_everyone=True
    )
