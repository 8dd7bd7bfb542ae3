"""Whether images are shown light-corrected or as taken."""

import streamlit as st

_KEY = "light_corrected"


def light_toggle() -> bool:
    """Draw the toggle with its explanation; return whether images are shown light-corrected."""
    corrected = st.toggle("Light corrected", True, key=_KEY, persist_state="session")
    st.caption(
        "Each colour channel is divided by its estimated background: the light is even and empty "
        "glass nearly white. Off: the image as taken."
    )
    return corrected


def is_light_corrected() -> bool:
    """Return what the toggle says; light-corrected where none was drawn yet."""
    return bool(st.session_state.get(_KEY, True))
