"""The review queue: filters, and the cell that is shown."""

from dataclasses import replace

import streamlit as st

from core.cases.listing import search_patients
from core.cases.queue import pending_counts, queue
from core.cases.records import QueueFilter
from core.cases.users import users
from core.domain.taxonomy import CELL_TYPES, label_name
from ui.components.cases import errors_shown, no_cases
from ui.components.light import light_toggle
from ui.components.shared import plain
from ui.review.cell import show_cell
from ui.review.session import ReviewSession, show_review_error, undo_button

POSITION = "review_position"
UNCERTAIN, UNREVIEWED, ALL = "Uncertain", "Unreviewed", "All"


def choose_filter(session: ReviewSession, within: QueueFilter) -> QueueFilter:
    """Let the reader filter the cells of a patient or sample; the address keeps the filter."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        cells = st.segmented_control(
            "Cells",
            [UNCERTAIN, UNREVIEWED, ALL],
            default=UNCERTAIN,
            required=True,
            key="cells",
            bind="query-params",
            help="Uncertain: the model is uncertain or took it for no white cell. Unreviewed: also "
            "confident cells. Neither contains cells of signed cases.",
        )
        with st.popover("Filter", icon=":material/filter_list:"):
            cell_type = st.selectbox(
                "Type",
                list(CELL_TYPES),
                index=None,
                format_func=label_name,
                placeholder="All types",
                key="type",
                bind="query-params",
            )
            lowest, highest = st.slider(
                "Model's confidence, %",
                0,
                100,
                (0, 100),
                key="confidence",
                bind="query-params",
            )
            reviewer = None
            if cells == ALL:
                reviewer = st.selectbox(
                    "Last labelled by",
                    [user.name for user in users(session.database)],
                    index=None,
                    placeholder="Anyone or no one",
                    key="reviewer",
                    bind="query-params",
                )
    return replace(
        within,
        type=cell_type,
        lowest=lowest / 100,
        highest=highest / 100,
        reviewer=reviewer,
        unreviewed=cells != ALL,
        uncertain=cells == UNCERTAIN,
    )


def show_state(wanted: QueueFilter, uncertain: int, confident: int) -> None:
    """Show the number of cells to review, and the filters."""
    first = (
        f":orange-badge[:material/help: {uncertain:,} uncertain, to be reviewed]"
        if uncertain
        else ":green-badge[:material/check: no uncertain cell left]"
    )
    st.markdown(f"{first} :gray-badge[:material/visibility: {confident:,} confident, not reviewed]")
    only = [label_name(wanted.type).lower()] if wanted.type else []
    if (wanted.lowest, wanted.highest) != (0.0, 1.0):
        only.append(f"confidence {100 * wanted.lowest:.0f}-{100 * wanted.highest:.0f} %")
    if wanted.reviewer:
        only.append(f"last labelled by {plain(wanted.reviewer)}")
    if only:
        st.caption(f"Filtered: {', '.join(only)}.")


@st.fragment
def show_queue(session: ReviewSession, within: QueueFilter) -> None:
    """Show the first cell that passes the filters; after a decision the next one."""
    show_review_error(session)
    with errors_shown(end_page=True):
        wanted = choose_filter(session, within)
        before, index = st.session_state.get(POSITION, (wanted, 0))
        index = index if before == wanted else 0
        uncertain, confident = pending_counts(session.database, within)
        found = queue(session.database, wanted, offset=index, limit=1)
        if not found.items and found.total:
            index = found.total - 1
            found = queue(session.database, wanted, offset=index, limit=1)
    st.session_state[POSITION] = (wanted, index)
    show_state(wanted, uncertain, confident)
    if not found.items:
        _show_empty(session, wanted, confident)
        return

    def step(by: int) -> None:
        st.session_state[POSITION] = (wanted, max(0, index + by))

    def decided() -> None:
        if not wanted.unreviewed:  # else the decided cell has left the list
            step(1)

    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Previous",
            icon=":material/chevron_left:",
            shortcut="Left",
            key="review_previous",
            on_click=step,
            args=(-1,),
            disabled=index == 0,
        )
        st.button(
            "Next",
            icon=":material/chevron_right:",
            shortcut="Right",
            key="review_next",
            on_click=step,
            args=(1,),
            disabled=index + 1 >= found.total,
        )
        undo_button(session)
        st.markdown(
            f"**{index + 1}** of {found.total:,}, possible blasts first, then least confident"
        )
    light_toggle()
    show_cell(session, found.items[0], decided)


def _show_empty(session: ReviewSession, wanted: QueueFilter, confident: int) -> None:
    if not search_patients(session.database, limit=1).total:
        no_cases()
        return
    within = QueueFilter(patient_id=wanted.patient_id, sample_id=wanted.sample_id)
    if wanted == replace(within, uncertain=True) and confident:
        where = "the gallery of a sample" if wanted.sample_id is None else "the gallery"
        st.success(
            f"All uncertain cells are reviewed. In {where} you can check confident cells by type "
            "and agree to them together; **Unreviewed** shows them one by one.",
            icon=":material/check_circle:",
        )
    elif wanted in (within, replace(within, uncertain=True)):
        st.success("No white cell to review here.", icon=":material/check_circle:")
    else:
        st.info(
            "No white cell matches these filters. Widen the confidence, or show all types.",
            icon=":material/filter_alt_off:",
        )
    undo_button(session)
