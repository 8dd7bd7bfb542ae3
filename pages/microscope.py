"""Microscope: whole slides on the screen, from the overview to single cells."""

import streamlit as st

from core.errors import SlideNotFoundError
from core.settings import get_settings
from core.slides.current import get_folders, get_views
from ui.components.cases import errors_shown
from ui.components.page import compact_header, header
from ui.components.shared import plain
from ui.components.visitor import slide_owner
from ui.microscope.choose import PAGE, SLIDE, show_slides
from ui.microscope.counting import show_slide
from ui.microscope.upload import show_upload

TITLE = "Microscope"
ABOUT = (
    "Look at whole slides as under the microscope: move with the mouse, a finger or the arrow "
    "keys, zoom with the wheel or the objectives."
)
asked = st.query_params.get(SLIDE)
if asked is None:
    header(TITLE, ABOUT)
else:  # the slide has the window
    row = compact_header(TITLE, ABOUT, stays=True)
with errors_shown(end_page=True):
    folders = get_folders(owner=slide_owner())
    slides = list(folders.slides().values())
if asked is not None:
    try:
        slide = folders.get(asked)
    except SlideNotFoundError as error:
        st.warning(plain(str(error)), icon=":material/search_off:")
        asked = None
if asked is None:
    if not get_settings().slide_folders:
        st.info(
            "This server has no slide folders yet, so a synthetic example is shown. An "
            "administrator names folders with the setting LEUKOSCOPE_SLIDE_FOLDERS.",
            icon=":material/folder_off:",
        )
    elif not slides:
        st.info(
            "The slide folders of this server are empty. Slides that are copied into them appear "
            "here: SVS, NDPI, MRXS, SCN, BIF, CZI, DICOM, TIFF, and single images.",
            icon=":material/folder_open:",
        )
    show_upload()
    if slides:
        show_slides(slides, folders.own())
    st.stop()
# A link within the page changes the parameters, not the address that the browser shows.
st.query_params[SLIDE] = slide.id
with row:
    st.page_link(PAGE, label="All slides", icon=":material/arrow_back:", query_params={})
    st.markdown(f"**{plain(slide.name)}**")
with errors_shown(end_page=True), st.spinner("Opening the slide. The first time takes longer."):
    view = get_views().view(slide)
show_slide(slide, view)
