"""The tour that a visitor puts together; it lives in the session until it is exported."""

from collections.abc import Mapping

import streamlit as st

from core.access import get_access
from core.cases.database import get_database
from core.errors import LeukoscopeError, TourError
from core.teaching.tours import Step, Tour
from ui.components.visitor import current_user

_TOUR, _REVISION = "my_tour", "my_tour_revision"


def my_tour() -> Tour:
    """Return the visitor's tour; an empty one at first."""
    return st.session_state.get(_TOUR) or Tour(title="My tour", steps=())


def keep(tour: Tour, *, reordered: bool = True) -> None:
    """Keep a changed tour; `reordered` where steps have new places."""
    st.session_state[_TOUR] = tour
    if reordered:
        st.session_state[_REVISION] = revision() + 1


def revision() -> int:
    """Return a number that changes whenever steps change places, for keys of widgets."""
    return int(st.session_state.get(_REVISION, 0))


def add(*steps: Step) -> None:
    """Add steps at the end and say so."""
    tour = my_tour()
    try:
        for step in steps:
            tour = tour.with_step(step)
    except TourError as error:
        st.toast(str(error), icon=":material/error:")
        return
    keep(tour, reordered=False)
    st.toast(f"Added to “{tour.title}” as step {len(tour.steps)}.", icon=":material/playlist_add:")


def lecture_row(step: Step, address: Mapping[str, str]) -> None:
    """Offer to show what a page shows on a big screen, and to add it to the tour.

    Only visitors who may edit a tour can add to it.
    """
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link(
            "pages/lecture.py",
            label="Lecture view",
            icon=":material/co_present:",
            query_params=dict(address),
        )
        if may_edit():
            st.button(
                "Add to my tour",
                key="add_to_tour",
                icon=":material/playlist_add:",
                type="tertiary",
                on_click=add,
                args=(step,),
                help="Tours are edited and shown on the page Lecture.",
            )


def may_edit() -> bool:
    """Return whether the visitor may put a tour together."""
    if not get_access().sign_in:
        return True
    try:
        current_user(get_database())
    except LeukoscopeError:
        return False
    return True
