"""Lecture: tours through cells for the lecture hall, and their editor."""

import streamlit as st

from core.errors import LeukoscopeError
from core.teaching.atlas import get_atlas
from ui.components.page import header
from ui.components.shared import plain
from ui.lecture.editor import show_editor, show_tours
from ui.lecture.view import asked_tour, leave_when_ended, show_lecture

ABOUT = (
    "Cells on a big screen, step by step: from the atlas, from synthetic fields, from slides, from "
    "stored cases without names."
)

header(
    "Lecture",
    ABOUT,
    for_everyone=any(name in st.query_params for name in ("tour", "cell")),
)
try:
    atlas = get_atlas()
    leave_when_ended(atlas)
    asked = asked_tour(atlas)
except LeukoscopeError as error:
    st.error(plain(str(error)), icon=":material/error:")
    st.stop()
if asked and asked[0].steps:
    show_lecture(atlas, *asked)
elif "tour" in st.query_params or "sample" in st.query_params:
    st.info(
        "There is nothing to show: no such tour, or one without steps. Choose one on this page.",
        icon=":material/search_off:",
    )
    st.page_link("pages/lecture.py", label="All tours", icon=":material/co_present:")
else:
    show_tours(atlas)
    show_editor(atlas)
