"""The review queue: which cells it holds, and the one that is shown."""

from dataclasses import replace

import streamlit as st

from core.cases.listing import search_patients
from core.cases.people import people
from core.cases.records import QueueFilter
from core.cases.worklist import queue
from core.reports.cell_groups import label_name
from core.taxonomy import REVIEW_TYPES
from pages.case_parts import errors_shown, no_cases
from pages.review_cell import show_cell
from pages.review_session import ReviewSession, show_problem, undo_button

PLACE = "review_place"


def choose_filter(session: ReviewSession, within: QueueFilter) -> QueueFilter:
    """Let the reader say which cells of a patient or sample are wanted; kept in the address."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        cell_type = st.selectbox(
            "Type",
            list(REVIEW_TYPES),
            index=None,
            format_func=label_name,
            placeholder="All types",
            key="type",
            bind="query-params",
            width=200,
        )
        lowest, highest = st.slider(
            "Model's confidence, %",
            0,
            100,
            (0, 100),
            key="confidence",
            bind="query-params",
            width=220,
        )
        unreviewed = st.toggle(
            "Unreviewed only",
            value=True,
            key="unreviewed",
            bind="query-params",
            help="Cells of signed cases are left out too.",
        )
        reviewer = None
        if not unreviewed:
            reviewer = st.selectbox(
                "Labelled last by",
                [person.name for person in people(session.database)],
                index=None,
                placeholder="Anybody or nobody",
                key="reviewer",
                bind="query-params",
                width=200,
            )
    return replace(
        within,
        type=cell_type,
        lowest=lowest / 100,
        highest=highest / 100,
        reviewer=reviewer,
        unreviewed=unreviewed,
    )


@st.fragment
def show_queue(session: ReviewSession, within: QueueFilter) -> None:
    """Show the cell the model is least sure of; after a decision the next one comes."""
    show_problem(session)
    with errors_shown(end_page=True):
        wanted = choose_filter(session, within)
        asked, place = st.session_state.get(PLACE, (wanted, 0))
        place = place if asked == wanted else 0
        found = queue(session.database, wanted, offset=place, limit=1)
        if not found.items and found.total:
            place = found.total - 1
            found = queue(session.database, wanted, offset=place, limit=1)
    st.session_state[PLACE] = (wanted, place)
    if not found.items:
        _show_empty(session, wanted)
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


def _show_empty(session: ReviewSession, wanted: QueueFilter) -> None:
    if wanted == QueueFilter() and not search_patients(session.database, limit=1).total:
        no_cases()
        return
    if wanted == QueueFilter(patient_id=wanted.patient_id, sample_id=wanted.sample_id):
        st.success("No white cell waits for a reviewer here.", icon=":material/check_circle:")
    else:
        st.info(
            "No white cell fits these filters. Widen the confidence, or show all types.",
            icon=":material/filter_alt_off:",
        )
    undo_button(session)
