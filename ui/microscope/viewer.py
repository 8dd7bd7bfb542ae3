"""The viewer: a component whose script asks the API for tiles and for the cells of a count."""

from pathlib import Path

import streamlit as st

from core.exports.geojson import Region
from core.slides.folders import SlideFile
from core.slides.tiles import TILE, SlideView

CLICKED = "slide_clicked"
"""Key in the session of the middle of the cell that was clicked last, x and y in level 0."""
_KEY = "viewer"
_HERE = Path(__file__).parent
_viewer = st.components.v2.component(
    "slide_viewer",
    html='<link rel="stylesheet"><div class="scope"></div>',
    css=(_HERE / "viewer.css").read_text(encoding="utf-8"),
    js=(_HERE / "viewer.js").read_text(encoding="utf-8"),
)


def show_viewer(
    slide: SlideFile, view: SlideView, count_version: str, regions: list[Region]
) -> None:
    """Show a slide, the cells of its count and regions; the view is in the address."""
    _viewer(
        key=_KEY,
        data={
            "slide": {
                "id": slide.id,
                "version": slide.version,
                "width": view.width,
                "height": view.height,
                "micrometres_per_pixel": view.micrometres_per_pixel,
                "tile_size": TILE,
                "last_zoom": view.last_zoom,
            },
            "count": count_version,
            "regions": [
                {"name": region.name, "rings": [ring.tolist() for ring in region.rings]}
                for region in regions
            ],
        },
        on_cell_change=_clicked,
    )


def _clicked() -> None:
    """Keep the place of the clicked cell. It comes from a browser, so anything may be in it."""
    place = st.session_state[_KEY]["cell"]
    match place:
        case [int() | float() as x, int() | float() as y]:
            st.session_state[CLICKED] = (float(x), float(y))
        case _:
            st.session_state.pop(CLICKED, None)
