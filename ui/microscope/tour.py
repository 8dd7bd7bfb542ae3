"""A tour through views of a slide, with a text at each; it is shown and exported as a lecture."""

from typing import Any

import streamlit as st
from pydantic import ValidationError

from core.errors import TourError
from core.slides.folders import SlideFile
from core.slides.tiles import SlideView
from core.teaching.tours import LONGEST_TEXT, SlideStep
from ui.components import tours
from ui.components.actions import action_button
from ui.components.shared import number_of
from ui.microscope.viewer import VIEWED, kept_view, show_place

_TEXT = "slide_tour_text"


def show_tour(slide: SlideFile, view: SlideView) -> None:
    """List the views of this slide in the visitor's tour; ask for the text of a chosen one."""
    if not tours.may_edit():
        return
    steps = tours.my_tour().steps
    own = [
        (number, step)
        for number, step in enumerate(steps, 1)
        if isinstance(step, SlideStep) and step.slide == slide.id
    ]
    chosen = kept_view(VIEWED, slide)
    if chosen is None and not own:
        return
    st.header("My tour")
    for number, step in own:
        with st.container(border=True, gap="xsmall"):
            st.text(f"{number}. {step.text or 'Without a text'}")
            st.button(
                "Show",
                key=f"slide_tour_show_{number}",
                icon=":material/location_on:",
                on_click=show_place,
                args=(_place(step),),
            )
    if chosen is not None:
        _write(slide, view, chosen)
    if steps:
        st.page_link(
            "pages/lecture.py",
            label=f"Edit, show and export ({number_of(len(steps), 'step')})",
            icon=":material/co_present:",
        )
    st.caption(
        "The tour stays until the page is closed or loaded again: export it on the page Lecture. "
        "The file holds numbers and your words: write no names of patients."
    )


def _place(step: SlideStep) -> dict[str, Any]:
    return step.model_dump(include={"slide", "x", "y", "zoom", "turn", "plane"}, exclude_none=True)


def _write(slide: SlideFile, view: SlideView, chosen: dict[str, Any]) -> None:
    st.markdown(f"**New step** at {chosen['x']:,}, {chosen['y']:,} px")
    st.text_area(
        "Text of the view",
        key=_TEXT,
        max_chars=LONGEST_TEXT,
        height=68,
        placeholder="A question, or what to look at",
    )

    def leave() -> None:
        st.session_state[_TEXT] = ""
        st.session_state.pop(VIEWED, None)

    def add() -> None:
        text = st.session_state[_TEXT].strip()
        tour = tours.my_tour().with_step(_step(slide, view, chosen, text))
        tours.keep(tour, reordered=False)
        leave()

    with st.container(horizontal=True):
        action_button("Add", "slide_tour_add", add, icon=":material/playlist_add:", type="primary")
        st.button("Cancel", key="slide_tour_cancel", on_click=leave)


def _step(slide: SlideFile, view: SlideView, chosen: dict[str, Any], text: str) -> SlideStep:
    """Return a view as a step. Raises TourError for one that no screen shows."""
    # The middle of a view can lie beside the slide.
    x, y = min(max(chosen["x"], 0), view.width), min(max(chosen["y"], 0), view.height)
    try:
        return SlideStep.model_validate(
            {**chosen, "version": slide.version, "x": x, "y": y, "text": text}
        )
    except ValidationError as error:
        raise TourError("This view is too close for a tour. Zoom out, then add it.") from error
