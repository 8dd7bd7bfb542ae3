"""The viewer: a component whose script asks the API for tiles and for the cells of a count."""

from collections.abc import Mapping
from functools import partial
from math import isfinite
from typing import Any
from uuid import uuid4

import streamlit as st

from core.cases.records import PlacedComment
from core.exports.geojson import Region
from core.slides.folders import SlideFile
from core.slides.tiles import TILE, SlideView
from ui.components.browser import mount

CLICKED = "slide_clicked"
"""Key in the session of the middle of the cell that was clicked last, x and y in level 0."""
PINNED = "slide_pinned"
"""Key of the view that a comment is asked for, as `Comment.place`."""
VIEWED = "slide_viewed"
"""Key of the view that was chosen for a tour, in the same form."""
SHOWN = "slide_shown"
"""Key of the view that the viewer goes to, with the `press` of a button that asked for it."""
_KEY = "viewer"


def show_viewer(
    slide: SlideFile,
    view: SlideView,
    count_version: str,
    regions: list[Region],
    comments: list[PlacedComment],
) -> None:
    """Show a slide, the cells of its count, regions and places; the view is in the address."""
    mount(
        "slide_viewer",
        _KEY,
        {
            "slide": {
                "id": slide.id,
                "version": slide.version,
                "width": view.width,
                "height": view.height,
                "micrometres_per_pixel": view.micrometres_per_pixel,
                "tile_size": TILE,
                "last_zoom": view.last_zoom,
                "planes": view.planes.number,
                "middle_plane": view.planes.middle,
                "plane_step": view.planes.step,
            },
            "count": count_version,
            "regions": [
                {"name": region.name, "rings": [ring.tolist() for ring in region.rings]}
                for region in regions
            ],
            "places": [placed.comment.place for placed in comments],
            "pinned": kept_view(PINNED, slide),
            "shown": st.session_state.get(SHOWN),
        },
        cell=_clicked,
        place=partial(_keep_view, PINNED),
        view=partial(_keep_view, VIEWED),
    )


def show_place(place: Mapping[str, Any]) -> None:
    """Have the viewer go to a view: x, y, zoom and, where they are known, turn and plane."""
    st.session_state[SHOWN] = {**place, "press": uuid4().hex}


def kept_view(key: str, slide: SlideFile) -> dict[str, Any] | None:
    """Return the view of this slide that is kept under `PINNED` or `VIEWED`."""
    kept: dict[str, Any] | None = st.session_state.get(key)
    return kept if kept and kept["slide"] == slide.id else None


def _clicked(place: Any) -> None:
    """Keep the place of the clicked cell. It comes from a browser, so anything may be in it."""
    match place:
        case [int() | float() as x, int() | float() as y]:
            st.session_state[CLICKED] = (float(x), float(y))
        case _:
            st.session_state.pop(CLICKED, None)


def _keep_view(key: str, place: Any) -> None:
    """Keep the view that was chosen for a comment or a tour, if it is one."""
    match place:
        case [str() as slide, *numbers] if (
            len(numbers) == 5
            and all(isinstance(n, int | float) and isfinite(n) for n in numbers)
            and numbers[2] > 0
            and numbers[3] in range(0, 360, 90)
            and numbers[4] in range(1001)
        ):
            x, y, zoom, turn, plane = numbers
            st.session_state[key] = {
                "slide": slide,
                "x": round(x),
                "y": round(y),
                "zoom": float(f"{zoom:.4g}"),
                "turn": int(turn),
            } | ({"plane": int(plane)} if plane else {})
