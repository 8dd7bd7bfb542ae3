"""A case opened by a link: to read and to comment on."""

from math import ceil

import streamlit as st

from core.cases.cell_groups import cell_groups
from core.cases.database import Database
from core.cases.names import LONGEST_COMMENT
from core.cases.range_tables import ranges_in_force
from core.cases.records import Case
from core.cases.samples import load_case
from core.cases.sharing import comment_by_link, follow, opinion_by_link, visit
from core.charts.field import field_drawing
from core.domain.taxonomy import CELL_TYPES, NOT_A_WHITE_CELL, label_name
from core.errors import InvalidEntryError
from core.exports.summary import summarise
from ui.components import fields
from ui.components.actions import action_button
from ui.components.cases import errors_shown, show_comments
from ui.components.findings import show_summary
from ui.components.stored import SMALL, cell_jpeg, field_jpeg, surroundings_jpeg
from ui.components.visitor import admit_by_link

CELLS_A_PAGE = 24
"""Of a type."""
OPINION, REMARK = "link_opinion", "link_remark"
NAME, TEXT = "link_name", "link_text"


def show_linked_case(database: Database, token: str) -> None:
    """Show the case that a token opens."""
    with errors_shown(end_page=True):
        case = load_case(database, _open(database, token)).with_neutral_names()
        summary = summarise(case, ranges_in_force(database))
    admit_by_link()
    st.info(
        "You opened this case by a link. You can give your opinion on cells and comment, but not "
        "change the case.",
        icon=":material/link:",
    )
    show_summary(summary, identified=False)
    _show_fields(case)
    _show_cells(case)
    _give_opinion(database, token, case)
    show_comments(case, places=False)
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
    st.header("Fields")
    titles = [stored.analysis.title for stored in case.fields]
    stored = case.fields[fields.choose_field(titles, "link_field")]
    corrected = fields.light_toggle()
    with errors_shown():
        drawn = field_drawing(field_jpeg(stored.id, corrected), stored.analysis)
        fields.show_warnings(stored.analysis)
        fields.show_drawing(drawn, "link_drawing")


@st.fragment
def _show_cells(case: Case) -> None:
    st.header("White cells")
    corrected = fields.is_light_corrected()
    for group in cell_groups(case):
        if not group.cells:
            continue
        share = f" · {group.share}" if group.share else ""
        st.markdown(f"**{group.name}** ({len(group.cells)}{share})")
        pages, page = ceil(len(group.cells) / CELLS_A_PAGE), 1
        if pages > 1:
            page = st.pagination(pages, key=f"link_page_{group.key}")
        shown = group.cells[CELLS_A_PAGE * (page - 1) : CELLS_A_PAGE * page]
        with errors_shown():
            st.image(
                [cell_jpeg(cell, SMALL, corrected) for cell in shown],
                caption=[cell.name for cell in shown],
                width=92,
                alt=[f"Cell {cell.name}" for cell in shown],
            )


def _give_opinion(database: Database, token: str, case: Case) -> None:
    """Let the visitor name a cell; it becomes a comment and changes no label."""
    cells = {cell.id: cell for group in cell_groups(case) for cell in group.cells}
    if not cells:
        return
    st.header("Your opinion on a cell")
    left, right = st.columns([1, 2.2], gap="large")
    with right:
        chosen = st.selectbox(
            "Cell",
            list(cells),
            format_func=lambda key: f"{cells[key].name}, {cells[key].cell.type_name}",
            key="link_cell",
            width=420,
        )
        st.radio(
            "What is it?",
            [*CELL_TYPES, NOT_A_WHITE_CELL],
            index=None,
            format_func=label_name,
            key=OPINION,
            horizontal=True,
        )
        st.text_input("Remark (optional)", key=REMARK, max_chars=500)
        st.text_input("Your name", key=f"{NAME}_opinion", max_chars=100, width=320)
    with left, errors_shown():
        jpeg, side = surroundings_jpeg(cells[chosen], fields.is_light_corrected())
        st.image(jpeg, caption=f"Cell {cells[chosen].name}, {side:.0f} µm wide", width=300)

    def give() -> None:
        label = st.session_state[OPINION]
        if label is None:
            raise InvalidEntryError("Choose what the cell is, then send your opinion.")
        opinion_by_link(
            database,
            token,
            st.session_state[f"{NAME}_opinion"],
            cells[chosen],
            label=label,
            remark=st.session_state[REMARK],
        )
        st.session_state[OPINION], st.session_state[REMARK] = None, ""

    with right:
        action_button(
            "Send opinion", "link_give", give, icon=":material/rate_review:", for_everyone=True
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
