"""Atlas: how to recognise every cell that the app names, with images and look-alikes."""

import streamlit as st

from core.errors import AtlasError
from core.teaching.atlas import Atlas, Entry, get_atlas
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


def loaded() -> tuple[Atlas | None, str]:
    """Return the atlas, or why it cannot be read."""
    try:
        return get_atlas(), ""
    except AtlasError as error:
        return None, str(error)


def titles(entry: Entry | None, other: Entry | None) -> tuple[str, str]:
    """Return title and subtitle of what the address asks for."""
    if entry and other:
        return f"{entry.name} or {other.phrase}?", "Side by side."
    return (entry.name, entry.summary) if entry else (TITLE, ABOUT)


atlas, problem = loaded()
entries = atlas.entries if atlas else {}
entry = entries.get(st.query_params.get("cell", ""))
other = entries.get(st.query_params.get("with", ""))
title, about = titles(entry, other)
header(title, about, for_everyone=True)
if entry:
    # A link within the page changes the parameters, not the address that the browser shows.
    st.query_params["cell"] = entry.key
if atlas is None:
    st.error(plain(problem), icon=":material/error:")
elif entry and other:
    show_comparison(atlas, entry, other)
elif entry:
    navigation(atlas, entry)
    show_entry(atlas, entry)
else:
    if "cell" in st.query_params:
        st.warning("There is no such entry. Choose one below.", icon=":material/search_off:")
    show_grid(atlas)
