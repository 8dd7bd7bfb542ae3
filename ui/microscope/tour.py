"""A tour through views of a slide, with a text at each; it is shown and exported as a lecture."""

from collections.abc import Mapping
from functools import partial

import streamlit as st

from core.errors import TourError
from core.slides.folders import SlideFile
from core.slides.tiles import SlideView
from core.teaching.tours import LONGEST_TEXT, SlideStep
from ui.components import tours
from ui.components.actions import action_button
from ui.components.shared import number_of
from ui.microscope.viewer import show_place

_TEXT = "slide_tour_text"


def show_tour(slide: SlideFile, view: SlideView) -> None:
    """List the views of this slide in the visitor's tour, and let the present one be added."""
    if not tours.may_edit():
        return
    steps = tours.my_tour().steps
    with st.expander("Tour: views with a text", icon=":material/co_present:"):
        for number, step in enumerate(steps, 1):
            if isinstance(step, SlideStep) and step.slide == slide.id:
                with st.container(horizontal=True, vertical_alignment="center"):
                    st.text(f"{number}. {step.text or 'Without a text'}", width="stretch")
                    st.button(
                        "Show",
                        key=f"slide_tour_show_{number}",
                        icon=":material/location_on:",
                        on_click=show_place,
                        args=(_place(step),),
                    )
        st.text_area(
            "Text of the view on the screen",
            key=_TEXT,
            max_chars=LONGEST_TEXT,
            height=68,
            placeholder="A question, or what to look at",
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            add = partial(_add, slide, view)
            action_button("Add to my tour", "slide_tour_add", add, icon=":material/playlist_add:")
            if steps:
                st.page_link(
                    "pages/lecture.py",
                    label=f"Edit, show and export ({number_of(len(steps), 'step')})",
                    icon=":material/co_present:",
                )
        st.caption(
            "The tour stays until the page is closed or loaded again: export it on the page "
            "Lecture. The file holds numbers and your words: write no names of patients."
        )


def _place(step: SlideStep) -> dict[str, float]:
    place: dict[str, float] = {"x": step.x, "y": step.y, "zoom": step.zoom, "turn": step.turn}
    return place if step.plane is None else place | {"plane": step.plane}


def _add(slide: SlideFile, view: SlideView) -> None:
    """Add the view that the address names. Raises TourError when it names none."""
    tours.add(_step(slide, view, st.query_params, st.session_state.get(_TEXT, "")))
    st.session_state[_TEXT] = ""


def _step(slide: SlideFile, view: SlideView, address: Mapping[str, str], text: str) -> SlideStep:
    try:
        # The middle of a view can lie beside the slide.
        x, y = (
            min(max(round(float(address[name])), 0), most)
            for name, most in (("x", view.width), ("y", view.height))
        )
        return SlideStep.model_validate(
            {
                "slide": slide.id,
                "width": view.width,
                "height": view.height,
                "x": x,
                "y": y,
                "zoom": float(address["zoom"]),
                "turn": int(address.get("turn", "0")),
                "plane": int(address["plane"]) if "plane" in address else None,
                "text": text.strip(),
            }
        )
    except (KeyError, ValueError, OverflowError) as error:
        raise TourError(
            "The address names no view of the slide. Move the slide, then add the view."
        ) from error
