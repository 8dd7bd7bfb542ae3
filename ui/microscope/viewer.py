"""The viewer: a component whose script asks the API for tiles."""

from pathlib import Path

import streamlit as st

from core.slides.folders import SlideFile
from core.slides.tiles import TILE, SlideView

_HERE = Path(__file__).parent
_viewer = st.components.v2.component(
    "slide_viewer",
    html='<link rel="stylesheet"><div class="scope"></div>',
    css=(_HERE / "viewer.css").read_text(encoding="utf-8"),
    js=(_HERE / "viewer.js").read_text(encoding="utf-8"),
)


def show_viewer(slide: SlideFile, view: SlideView) -> None:
    """Show a slide; the part on the screen is in the address of the page."""
    _viewer(
        key="viewer",
        data={
            "slide": {
                "id": slide.id,
                "version": slide.version,
                "width": view.width,
                "height": view.height,
                "micrometres_per_pixel": view.micrometres_per_pixel,
                "tile_size": TILE,
                "last_zoom": view.last_zoom,
            }
        },
    )
