"""Attributes: what they mean, how frequent each value is, and a map of cells to search."""

import streamlit as st

from core.errors import AtlasError
from core.teaching.atlas import get_atlas
from ui.components.page import header
from ui.components.shared import plain
from ui.explorer.cells import show_map
from ui.explorer.values import show_attributes

ABOUT = (
    "The eleven features that a cell is described by, from its outline inwards. Learn them one by "
    "one, then find cells by them."
)
VIEWS = {"values": "One attribute at a time", "map": "Map of cells"}

header("Attributes", ABOUT, for_everyone=True)
# The address decides: a link must not find the choice of an earlier visit.
asked = st.query_params.get("view")
st.session_state["explorer_view"] = asked if asked in VIEWS else "values"
view = st.segmented_control(
    "Show",
    list(VIEWS),
    format_func=VIEWS.__getitem__,
    key="explorer_view",
    required=True,
    label_visibility="collapsed",
    on_change=lambda: st.query_params.update(view=st.session_state["explorer_view"]),
)
try:
    show = show_map if view == "map" else show_attributes
    show(get_atlas())
except AtlasError as error:
    st.error(plain(str(error)), icon=":material/error:")
