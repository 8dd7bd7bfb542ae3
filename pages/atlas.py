"""Atlas: how to recognise every cell that the app names, with pictures and look-alikes."""

import streamlit as st

from core.errors import AtlasError
from core.teaching.atlas import get_atlas
from ui.atlas.compare import show_comparison
from ui.atlas.entry import navigation, show_entry
from ui.atlas.grid import show_grid
from ui.components.page import header
from ui.components.shared import plain

TITLE = "Atlas"
ABOUT = (
    "How to recognise the cells of a blood smear: what to look at, what they are mistaken for, "
    "and what more or fewer of them mean."
)


def show_page() -> None:
    """Show what the address asks for: a comparison, an entry, or all of them."""
    try:
        atlas = get_atlas()
    except AtlasError as error:
        header(TITLE, ABOUT, for_everyone=True)
        st.error(plain(str(error)), icon=":material/error:")
        return
    entry = atlas.entries.get(st.query_params.get("cell", ""))
    other = atlas.entries.get(st.query_params.get("with", ""))
    if entry and other:
        header(f"{entry.name} or {other.phrase}?", "Side by side.", for_everyone=True)
        show_comparison(atlas, entry, other)
    elif entry:
        header(entry.name, entry.summary, for_everyone=True)
        navigation(atlas, entry)
        show_entry(atlas, entry)
    else:
        header(TITLE, ABOUT, for_everyone=True)
        if "cell" in st.query_params:
            st.warning("There is no such entry. Choose one below.", icon=":material/search_off:")
        show_grid(atlas)


show_page()
