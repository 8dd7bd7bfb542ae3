"""A picture with controls beside it, or below it where the window is narrow."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator


def beside(key: str, least: int, controls: int, most: str = "none") -> tuple[DeltaGenerator, ...]:
    """Return places for a picture and for its controls.

    The picture takes the room that is left, `least` CSS pixels or more and `most` (a length of CSS)
    at most; `controls` is the least width of the controls.
    """
    item = "[data-testid=stLayoutWrapper]:has(> .st-key-{})"  # what the row lays out
    st.html(
        f"<style>{item.format(f'{key}_picture')} {{flex: 1 1 {least}px; max-width: {most};"
        f" min-width: min({least}px, 100%)}}"
        f"{item.format(f'{key}_controls')} {{flex: 0 1 {controls}px;"
        f" min-width: min({controls}px, 100%)}}</style>"
    )
    with st.container(horizontal=True, gap="medium"):
        return st.container(key=f"{key}_picture"), st.container(key=f"{key}_controls", gap="small")
