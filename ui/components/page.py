"""How every page begins: the app shell, who may see the page, title and research notice."""

from urllib.parse import urlsplit

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.domain.taxonomy import RESEARCH_NOTICE
from ui.components.visitor import admit

FRAMED = "framed"
"""Key in the session that the app shell sets."""


# Of pages that fill the window: small margins, with room for the menu and for the button that
# unfolds the sidebar. Components that draw a change at once do not fade while the server works.
# `:has` looks at few elements: one over the whole app is checked at every change of a page.
_COMPACT = """<style>
[data-testid='stHeader'] {background: none}
[data-testid='stHeader'], [data-testid='stHeader'] * {pointer-events: none}
[data-testid='stHeader'] :is(button, a), [data-testid='stHeader'] :is(button, a) * {
  pointer-events: auto;
}
[data-testid='stMainBlockContainer'] {padding: 0.6rem 1rem 0.5rem}
[data-testid='stMainBlockContainer'] > [data-testid='stVerticalBlock'] {gap: 0.5rem}
.st-key-header {padding: 0 2.5rem 0 0; min-height: 2.5rem}
.st-key-header h1 {font-size: 1.2rem; padding: 0}
.st-key-header [data-testid='stHeading'] [data-testid='stMarkdownContainer'] {margin: 0}
.st-key-header [data-testid='stCaptionContainer'] {font-size: 0.7rem; margin: 0}
.st-key-header [data-testid='stCaptionContainer'] p {margin: 0}
.st-key-header [data-testid='stMetricValue'] {font-size: 1.1rem; line-height: 1.2}
[data-testid='stElementContainer']:has(> .stBidiComponent) {opacity: 1 !important}
@media (max-width: 640px) {
  .st-key-header {padding: 0}
  .st-key-header > :first-child {margin-right: 2.5rem}
}
[data-testid='stHeader']:has([data-testid='stExpandSidebarButton']) ~ [data-testid='stMain']
  .st-key-header > :first-child {
  margin-left: 5rem;
}
</style>"""
# The menu and the button stay at the top of the window; of a page that is longer the row of the
# title stays with them, or they would lie over what is below. Phones have no room for that: there
# they have a ground of their own.
_STAYING = """<style>
[data-testid='stApp'] {--behind: light-dark(%s, %s)}
@media (max-width: 640px), (max-height: 499px) {
  [data-testid='stHeader'] button {background: var(--behind); border-radius: 0.5rem}
}
@media (min-width: 641px) and (min-height: 500px) {
  [data-testid='stMain'] {scroll-padding-top: 4rem}
  [data-testid='stLayoutWrapper']:has(> .st-key-header) {
    position: sticky; top: 0.6rem; z-index: 990;
    background: var(--behind); box-shadow: 0 -0.7rem var(--behind);
  }
}
</style>"""


def header(title: str, subtitle: str, *, for_everyone: bool = False) -> None:
    """Draw the header of a page with the research notice; call it before anything else.

    Ends the page of a visitor who has to sign in first; pages `for_everyone` need no account.
    """
    _enter_app_shell()
    admit(for_everyone=for_everyone)
    st.title(title)
    st.markdown(subtitle)
    st.caption(RESEARCH_NOTICE)


def compact_header(title: str, subtitle: str, *, stays: bool = False) -> DeltaGenerator:
    """Draw the header of a page that fills the window; return the row, for controls beside it.

    The row of a page that may be longer than the window `stays` at its top.
    """
    _enter_app_shell()
    admit(for_everyone=False)
    st.html(_COMPACT)
    if stays:
        colours = (st.get_option(f"theme.{scheme}.backgroundColor") for scheme in ("light", "dark"))
        st.html(_STAYING % tuple(colours))
    row = st.container(horizontal=True, vertical_alignment="center", key="header")
    with row.container(gap=None, width="content"):
        st.title(title, help=subtitle, anchor=False)
        st.caption(RESEARCH_NOTICE)
    return row


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
