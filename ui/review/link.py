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
from core.exports.summary import facts, summarise
from ui.components import shared
from ui.components.actions import run_action, show_action_error
from ui.components.cases import errors_shown
from ui.components.light import is_light_corrected, light_toggle
from ui.components.visitor import admit_by_link
from ui.patients.sample import show_differential, show_flags
from ui.review.images import SMALL, cell_jpeg, field_jpeg
from ui.review.sign import show_comments

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
    shared.show_urgent(summary.flags)
    left, right = st.columns([1, 1.2], gap="large")
    with left:
        known = {key: shared.plain(text) for key, text in facts(summary).items() if key != "Name"}
        st.table(known, border="horizontal")
    with right:
        show_flags(summary)
    show_differential(summary)
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
    index = st.selectbox(
        f"Field (of {len(case.fields)})",
        range(len(case.fields)),
        format_func=lambda i: f"{i + 1} · {case.fields[i].analysis.title}",
        key="link_field",
        width=420,
    )
    stored = case.fields[index]
    corrected = light_toggle()
    with errors_shown():
        shared.image_chart(
            field_figure(
                field_jpeg(stored.id, corrected),
                stored.analysis,
                shown_width=shared.shown_width(900),
            ),
            "link_drawing",
            f"Field {stored.analysis.title} with its white cells boxed and numbered",
        )


def _show_cells(case: Case) -> None:
    st.subheader("White cells")
    corrected = is_light_corrected()
    for group in cell_groups(case):
        if not group.cells:
            continue
        shown = group.cells[:MAX_OF_A_TYPE]
        share = f" · {group.share}" if group.share else ""
        more = f", {len(shown)} shown" if len(shown) < len(group.cells) else ""
        st.markdown(f"**{group.name}** ({len(group.cells)}{share}{more})")
        with errors_shown():
            st.image(
                [
                    cell_jpeg(c.field_id, c.cell.box, c.micrometres_per_pixel, SMALL, corrected)
                    for c in shown
                ],
                caption=[c.name for c in shown],
                width=92,
                alt=[f"Cell {c.name}" for c in shown],
            )


def _write_comment(database: Database, token: str) -> None:
    def write() -> None:
        comment_by_link(database, token, st.session_state[NAME], st.session_state[TEXT])
        st.session_state[TEXT] = ""

    st.text_input("Your name", key=NAME, max_chars=100, width=320)
    st.text_area("Comment", key=TEXT, max_chars=LONGEST_COMMENT, height=90)
    st.button(
        "Add comment",
        key="link_comment",
        icon=":material/comment:",
        on_click=run_action,
        args=("link", write),
        kwargs={"for_everyone": True},
    )
    show_action_error("link")
