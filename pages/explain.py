"""Explain: what the model suggests for one cell, why, and what it resembles."""

import streamlit as st

from core.errors import AtlasError
from core.teaching.atlas import get_atlas
from ui.components.page import header
from ui.components.shared import open_analyzer, plain
from ui.explain import choose_cell, examined, show_explanation

ABOUT = (
    "One cell: the suggested type, the features that the model reads in it, the cells that it "
    "resembles, and what would make it another type."
)

header("Explain a cell", ABOUT)
analyzer = open_analyzer()
try:
    atlas = get_atlas()
    if chosen := choose_cell(atlas):
        show_explanation(atlas, chosen, examined(analyzer, chosen))
except AtlasError as error:
    st.error(plain(str(error)), icon=":material/error:")
