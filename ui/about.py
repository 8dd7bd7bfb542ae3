"""Parts of the page About: limits, privacy, model cards, data sets."""

import streamlit as st

from core.datasets.sources import SOURCES
from core.errors import ModelError
from core.evaluation.report import MODEL_TITLES
from core.model_card import load_card
from core.settings import PROJECT_ROOT
from ui.metrics.card import show_card

_TEXTS = PROJECT_ROOT / "assets" / "about"


def show_text(name: str) -> None:
    """Show a text of the page: `limits` or `privacy`."""
    st.header(name.capitalize())
    st.markdown((_TEXTS / f"{name}.md").read_text(encoding="utf-8"))


def show_models() -> list[str]:
    """Show the card of every model; return names and versions of those that have one."""
    versions = []
    st.header("Models")
    for name, title in MODEL_TITLES.items():
        with st.expander(title, icon=":material/badge:"):
            try:
                card = load_card(name)
            except ModelError as error:
                st.info(str(error), icon=":material/hourglass_empty:")
                continue
            show_card(card)
            versions.append(f"{name} {card.version}")
    return versions


def show_sources() -> None:
    """Show the data sets with licences and citations."""
    st.header("Data sets")
    st.caption(
        "The models were trained and measured on these public data sets. The software contains "
        "none of them."
    )
    for source in SOURCES.values():
        with st.container(border=True):
            st.markdown(f"**[{source.name}]({source.url})**: {source.content}.")
            st.caption(f"{source.use}. Licence: {source.licence}.  \n{source.citation}")
