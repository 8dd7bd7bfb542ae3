"""How every page begins: the app shell, who may see the page, title and research notice."""

from urllib.parse import urlsplit

import streamlit as st

from core.domain.taxonomy import RESEARCH_NOTICE
from ui.components.visitor import admit

FRAMED = "framed"
"""Key in the session that the app shell sets."""


def header(title: str, subtitle: str, *, for_everyone: bool = False) -> None:
    """Draw the header of a page with the research notice; call it before anything else.

    Ends the page of a visitor who has to sign in first; pages `for_everyone` need no account.
    """
    _enter_app_shell()
    admit(for_everyone=for_everyone)
    st.title(title)
    st.markdown(subtitle)
    st.caption(RESEARCH_NOTICE)


def _enter_app_shell() -> None:
    """Start the app shell when a page runs without it.

    Streamlit runs the files of a folder `pages` alone until the process first calls
    `st.navigation`. This happens when the first visitor opens a page by its address.
    """
    if FRAMED not in st.session_state:
        name = urlsplit(st.context.url or "").path.rpartition("/")[2]
        names = dict.fromkeys(["overview", name or "overview"])
        st.navigation([st.Page(f"pages/{n}.py", url_path=n) for n in names], position="hidden")
        st.rerun()
