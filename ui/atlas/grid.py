"""The first screen of the atlas: every entry as a card, and the granulocytes as they mature."""

import streamlit as st

from core.teaching.atlas import GROUPS, MATURATION, Atlas, Entry
from ui.atlas.images import portrait_jpeg
from ui.components.shared import embed_image

PAGE = "pages/atlas.py"
_STYLE = """<style>
[class*="st-key-atlas_card_"] {position: relative}
[class*="st-key-atlas_card_"]:has(a):hover {border-color: var(--st-primary-color)}
[class*="st-key-atlas_card_"] a {background: none; padding: 0; min-height: 0}
[class*="st-key-atlas_card_"] .stElementContainer:has(a) {position: static}
[class*="st-key-atlas_card_"] a::after {content: ""; position: absolute; inset: 0}
[class*="st-key-atlas_card_"] a p {font-weight: 600; font-size: .9rem; white-space: normal}
[class*="st-key-atlas_card_"] img {border-radius: .3rem}
.st-key-atlas_maturation {flex-wrap: nowrap; overflow-x: auto; padding-bottom: .5rem}
.st-key-atlas_maturation > div {flex: none}
.st-key-atlas_maturation [class*="st-key-atlas_card_"] {padding: .5rem}
.st-key-atlas_maturation [class*="st-key-atlas_card_"] p {font-size: .8rem}
</style>"""
"""The link of a card covers all of it; the row of stages scrolls on a phone."""


def show_grid(atlas: Atlas) -> None:
    """Show all entries by group."""
    with st.container(horizontal=True):
        st.page_link(
            PAGE,
            label="Compare two cells side by side",
            icon=":material/compare:",
            query_params={"cell": "monocyte", "with": "variant_lymphocyte"},
        )
        st.page_link(
            "pages/attributes.py",
            label="Find cells by attribute",
            icon=":material/scatter_plot:",
            query_params={"view": "map"},
        )
        st.page_link("pages/lecture.py", label="Show on a big screen", icon=":material/co_present:")
    st.header("Maturation of the granulocytes")
    st.caption(
        "From the youngest to the mature cell: the nucleus shrinks, bends and divides into lobes, "
        "chromatin clumps, blue turns to pink, dark granules give way to fine ones. All at one "
        "scale."
    )
    show_maturation(atlas)
    for group in GROUPS:
        st.header(group.title)
        st.caption(group.about)
        with st.grid("auto", min_column_width=150):
            for key in group.keys:
                card(atlas.entries[key], f"grid_{key}")
    st.caption(
        "All images on this page are synthetic: drawn by the program, the same size in µm a "
        "pixel except where a wider or closer view is needed."
    )


def show_maturation(atlas: Atlas, current: str | None = None) -> None:
    """Show the granulocytes from blast to segmented in a row, which scrolls on a phone."""
    st.html(_STYLE)
    with st.container(
        key="atlas_maturation", horizontal=True, vertical_alignment="center", gap="xsmall"
    ):
        for place, key in enumerate(MATURATION):
            if place:
                st.markdown(":material/arrow_forward:", width="content")
            entry = atlas.entries[key]
            with st.container(
                border=True, width=118, gap="xsmall", key=f"atlas_card_maturation_{key}"
            ):
                short = entry.name.removesuffix(" neutrophil")
                show_card(entry, short, here=key == current)


def card(entry: Entry, name: str) -> None:
    """Draw an entry as a card that opens it; `name` makes its key unique."""
    with st.container(border=True, height="stretch", gap="xsmall", key=f"atlas_card_{name}"):
        show_card(entry, entry.name)


def show_card(entry: Entry, name: str, *, here: bool = False) -> None:
    """Show picture, name and size of an entry; no link where the reader is `here`."""
    embed_image(portrait_jpeg(entry.key), width="stretch", alt=f"{entry.name}, synthetic")
    if here:
        st.markdown(f"**{name}**")
    else:
        st.page_link(PAGE, label=name, query_params={"cell": entry.key}, width="stretch")
    st.caption(entry.size_text)
