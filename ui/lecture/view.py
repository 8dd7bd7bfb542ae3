"""The lecture itself: one step of a tour that fills the window."""

from dataclasses import asdict
from typing import Any

import streamlit as st

from core.domain.taxonomy import RESEARCH_NOTICE
from core.teaching.atlas import Atlas
from core.teaching.tours import (
    ComparisonStep,
    EntryStep,
    Tour,
    atlas_tour,
    case_tour,
    shipped_tours,
)
from ui.components.browser import mount
from ui.components.cases import number_in_address
from ui.components.tours import my_tour
from ui.lecture.editor import ATLAS, MINE
from ui.lecture.slides import make_slide, open_lecture_case

_ENDED = "lecture_ended"
_ADDRESS = ("tour", "step", "cell", "with", "sample")


def asked_tour(atlas: Atlas) -> tuple[Tour, str] | None:
    """Return the tour that the address names, and a name for it; None where there is none.

    Raises LeukoscopeError for a stored case that the visitor does not see.
    """
    asked = st.query_params
    if (sample := number_in_address("sample")) is not None:
        return case_tour(open_lecture_case(sample)), f"sample {sample}"
    cell, other = asked.get("cell", ""), asked.get("with", "")
    if cell in atlas.entries and other in atlas.entries and cell != other:
        step = ComparisonStep(cell=cell, other=other)
        return Tour(title="Comparison", steps=(step,)), f"{cell} {other}"
    if cell in atlas.entries:
        asked["tour"], asked["step"] = ATLAS, str(1 + list(atlas.entries).index(cell))
        del asked["cell"]
    name = asked.get("tour", "")
    if name == ATLAS:
        return atlas_tour(atlas), ATLAS
    tour = my_tour() if name == MINE else shipped_tours().get(name)
    return (tour, name) if tour and tour.steps else None


def leave_when_ended(atlas: Atlas) -> None:
    """Go back to where the lecture was started from, once it was ended."""
    if not st.session_state.pop(_ENDED, False):
        return
    asked = dict(st.query_params)
    for name in _ADDRESS:
        st.query_params.pop(name, None)
    if "sample" in asked:
        st.switch_page("pages/patients.py", query_params={"sample": asked["sample"]})
    if "with" in asked:
        address = {"cell": asked.get("cell", ""), "with": asked["with"]}
        st.switch_page("pages/atlas.py", query_params=address)
    if asked.get("tour") == ATLAS:
        step = atlas_tour(atlas).steps[_step(len(atlas.entries), asked.get("step", ""))]
        assert isinstance(step, EntryStep)
        st.switch_page("pages/atlas.py", query_params={"cell": step.cell})


def show_lecture(atlas: Atlas, tour: Tour, name: str) -> None:
    """Show the step that the address names."""
    number = _step(len(tour.steps), st.query_params.get("step", ""))
    slide = make_slide(atlas, tour.steps[number])

    def go(to: Any) -> None:
        if isinstance(to, int) and 0 <= to < len(tour.steps):
            st.query_params["step"] = str(to + 1)

    def end(_pressed: Any) -> None:
        st.session_state[_ENDED] = True

    data = {
        **asdict(slide),
        "tour": name,
        "step": number,
        "steps": len(tour.steps),
        "notice": RESEARCH_NOTICE,
    }
    mount("lecture", "lecture", data, go=go, end=end)


def _step(steps: int, asked: str) -> int:
    """Return the index of a step by its number in the address, within the tour."""
    number = int(asked) if asked.isdecimal() and asked.isascii() and len(asked) < 6 else 1
    return min(max(number, 1), steps) - 1
