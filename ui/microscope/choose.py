"""Which slide is shown: a list with a small image of each, or the one that the address names."""

from collections.abc import Container

import streamlit as st

from core.cases.database import get_database
from core.errors import LeukoscopeError
from core.slides.current import delete_slide, get_views
from core.slides.folders import SlideFile
from ui.components.actions import action_button
from ui.components.shared import number_of, plain
from ui.components.visitor import current_user

PAGE = "pages/microscope.py"
SLIDE = "slide"
"""Of the address."""
_CARDS = 12
_STYLE = """<style>
[class*="st-key-slide_card_"] img {height: 130px; object-fit: contain; background: #e9e9e6}
[class*="st-key-slide_card_"] a p {font-weight: 600; white-space: normal; word-break: break-word}
</style>"""


def show_slides(slides: list[SlideFile], own: Container[str]) -> None:
    """Show the slides as cards, those whose name has the text that was searched for.

    Slides with an id in `own` were uploaded by the visitor, who can delete them.
    """
    search = ""
    if len(slides) > _CARDS:
        search = st.text_input("Search", key="slide_search", icon=":material/search:", width=420)
    found = [slide for slide in slides if search.casefold() in slide.name.casefold()]
    shown = found[:_CARDS]
    if not shown:
        st.info("No slide has this name. Search for a part of it.", icon=":material/search_off:")
        return
    st.html(_STYLE)
    with st.grid("auto", min_column_width=210):
        for slide in shown:
            _card(slide, uploaded=slide.id in own)
    if len(shown) < len(found):
        st.caption(f"{number_of(len(found), 'slide')}, {len(shown)} shown. Search to see others.")


def _card(slide: SlideFile, *, uploaded: bool) -> None:
    with st.container(border=True, height="stretch", gap="xsmall", key=f"slide_card_{slide.id}"):
        _describe(slide)
        if uploaded:
            _offer_deletion(slide)


def _describe(slide: SlideFile) -> None:
    try:
        thumbnail = get_views().jpeg(slide, 0, 0, 0, light=False)
    except LeukoscopeError as error:
        st.markdown(f"**{plain(slide.name)}**")
        st.caption(plain(str(error)))
        return
    st.image(thumbnail, width="stretch", alt=f"Overview of {slide.name}")
    view = get_views().view(slide)
    st.page_link(PAGE, label=plain(slide.name), query_params={SLIDE: slide.id}, width="stretch")
    scale = view.micrometres_per_pixel
    st.caption(
        f"{view.width:,} × {view.height:,} px · "
        + (f"{scale:.3g} µm a pixel" if scale else "scale unknown")
    )


def _offer_deletion(slide: SlideFile) -> None:
    with st.popover("Uploaded by you", icon=":material/lock_person:", width="stretch"):
        st.caption(
            "Only you see this slide. Its count is deleted with it; cases that were saved stay."
        )
        action_button(
            "Delete the slide",
            f"slide_delete_{slide.id}",
            lambda: delete_slide(slide, current_user(get_database()).name),
            icon=":material/delete:",
        )
