"""The review queue: which cells it holds, and the one that is shown."""

from dataclasses import replace

import streamlit as st

from core.cases.listing import search_patients
from core.cases.queue import pending_counts, queue
from core.cases.records import QueueFilter
from core.cases.users import users
from core.domain.taxonomy import REVIEW_TYPES, label_name
from ui.components.cases import errors_shown, no_cases
from ui.components.shared import plain
from ui.review.cell import show_cell
from ui.review.session import ReviewSession, show_review_error, undo_button

PLACE = "review_place"
UNSURE, UNREVIEWED, ALL = "Unsure", "Unreviewed", "All"


def choose_filter(session: ReviewSession, within: QueueFilter) -> QueueFilter:
    """Let the reader say which cells of a patient or sample are wanted; kept in the address."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        cells = st.segmented_control(
            "Cells",
            [UNSURE, UNREVIEWED, ALL],
            default=UNSURE,
            required=True,
            key="cells",
            bind="query-params",
            help="Unsure: the model is uncertain, or took it for no white cell. Unreviewed: the "
            "sure ones too. Neither holds cells of signed cases.",
        )
        with st.popover("Filter", icon=":material/filter_list:"):
            cell_type = st.selectbox(
                "Type",
                list(REVIEW_TYPES),
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
                    "Labelled last by",
                    [user.name for user in users(session.database)],
                    index=None,
                    placeholder="Anybody or nobody",
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
        unsure=cells == UNSURE,
    )


def show_state(wanted: QueueFilter, unsure: int, sure: int) -> None:
    """Say how many cells wait for a reviewer, and by what the queue is narrowed."""
    first = (
        f":orange-badge[:material/help: {unsure:,} unsure, to be named]"
        if unsure
        else ":green-badge[:material/check: no unsure cell waits]"
    )
    st.markdown(f"{first} :gray-badge[:material/visibility: {sure:,} sure, not reviewed]")
    only = [label_name(wanted.type).lower()] if wanted.type else []
    if (wanted.lowest, wanted.highest) != (0.0, 1.0):
        only.append(f"confidence {100 * wanted.lowest:.0f}-{100 * wanted.highest:.0f} %")
    if wanted.reviewer:
        only.append(f"labelled last by {plain(wanted.reviewer)}")
    if only:
        st.caption(f"Filtered: {', '.join(only)}.")


@st.fragment
def show_queue(session: ReviewSession, within: QueueFilter) -> None:
    """Show the least sure cell of those wanted; after a decision the next one comes."""
    show_review_error(session)
    with errors_shown(end_page=True):
        wanted = choose_filter(session, within)
        asked, place = st.session_state.get(PLACE, (wanted, 0))
        place = place if asked == wanted else 0
        unsure, sure = pending_counts(session.database, within)
        found = queue(session.database, wanted, offset=place, limit=1)
        if not found.items and found.total:
            place = found.total - 1
            found = queue(session.database, wanted, offset=place, limit=1)
    st.session_state[PLACE] = (wanted, place)
    show_state(wanted, unsure, sure)
    if not found.items:
        _show_empty(session, wanted, sure)
        return

    def step(by: int) -> None:
        st.session_state[PLACE] = (wanted, max(0, place + by))

    def decided() -> None:
        if not wanted.unreviewed:  # else the decided cell leaves the list by itself
            step(1)

    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Previous",
            icon=":material/chevron_left:",
            shortcut="Left",
            key="review_previous",
            on_click=step,
            args=(-1,),
            disabled=place == 0,
        )
        st.button(
            "Next",
            icon=":material/chevron_right:",
            shortcut="Right",
            key="review_next",
            on_click=step,
            args=(1,),
            disabled=place + 1 >= found.total,
        )
        undo_button(session)
        st.markdown(f"**{place + 1}** of {found.total:,}, the least sure first")
    show_cell(session, found.items[0], decided)


def _show_empty(session: ReviewSession, wanted: QueueFilter, sure: int) -> None:
    if not search_patients(session.database, limit=1).total:
        no_cases()
        return
    within = QueueFilter(patient_id=wanted.patient_id, sample_id=wanted.sample_id)
    if wanted == replace(within, unsure=True) and sure:
        where = "the gallery of a sample" if wanted.sample_id is None else "the gallery"
        st.success(
            f"Every cell that the model was not sure of is named. In {where} the sure ones can be "
            "looked at by type and agreed to together; **Unreviewed** shows them one by one.",
            icon=":material/check_circle:",
        )
    elif wanted in (within, replace(within, unsure=True)):
        st.success("No white cell waits for a reviewer here.", icon=":material/check_circle:")
    else:
        st.info(
            "No white cell fits these filters. Widen the confidence, or show all types.",
            icon=":material/filter_alt_off:",
        )
    undo_button(session)
