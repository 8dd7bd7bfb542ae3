"""About: intended use, limits, privacy, model cards, sources of the pictures, how to cite."""

import streamlit as st

from core.datasets.citations import SOURCES
from core.errors import ModelError
from core.evaluation.report import MODEL_TITLES
from core.model_card import load_card
from ui.components import shared
from ui.metrics.card import show_card

LIMITS = """
- A smear image alone does not establish leukaemia. The ALL classes are maturation subtypes that
  flow cytometry confirmed in the training set; here they are called stages by custom.
- The models were trained on few laboratories. Under another stain, camera or microscope they find
  and name fewer cells right: see **Model metrics**, where other laboratories come first. Cells
  whose colours or sharpness no training laboratory has are marked, and trusted less.
- A suggested class is a suggestion. Cells below the confidence threshold are shown as uncertain
  and held out of the percentages; a trained person has to look at them.
- Blasts, atypical lymphocytes, bands and smudge cells are no types of their own.
- Limits of a differential are sampling error only. The model's own error comes on top.
- Counts per litre are not measured: a smear gives shares, not concentrations.
"""
PRIVACY = """
- Uploaded files stay in the memory of this server for the session. Only what is saved to a patient
  is stored: the pixels without the file's header, the results, and what was typed in.
- Of a file's header only what is needed to show and measure the picture is read: format, size,
  pixel mode, orientation and pixel scale (µm per pixel). Names, dates, places and serial numbers
  are not read.
- What you type as a patient appears in tables and exports: use pseudonyms. Exports hold file names
  only when you ask for them; a setting has them forgotten on entry.
- No usage statistics are collected. No picture leaves this server but for the store that its
  administrator set up, and for links to a case that a reviewer makes.
"""


def show_models() -> dict[str, str]:
    """Show the card of every model; return the versions of those that have one."""
    versions: dict[str, str] = {}
    st.subheader("Models")
    for name, title in MODEL_TITLES.items():
        with st.expander(title, icon=":material/badge:"):
            try:
                card = load_card(name)
            except ModelError as error:
                st.info(str(error), icon=":material/hourglass_empty:")
                continue
            show_card(card)
            versions[name] = card.version
    return versions


def show_sources() -> None:
    """Show where the pictures come from, with licences and citations."""
    st.subheader("Data sets")
    st.caption("Public sets the models were trained and measured on. None is part of the software.")
    for source in SOURCES:
        with st.container(border=True):
            st.markdown(f"**[{source.name}]({source.url})**: {source.content}.")
            st.caption(f"{source.use}. Licence: {source.licence}.  \n{source.citation}")


shared.header(
    "About",
    "Leukoscope finds, counts and names the cells of stained blood smears, gives the differential "
    "with exact limits and grades fields of suspected acute lymphoblastic leukaemia (ALL). It is "
    "made for haematology research, for teaching, and for comparing models across laboratories.",
    for_everyone=True,
)
left, right = st.columns(2, gap="large")
with left:
    st.subheader("Limits")
    st.markdown(LIMITS)
with right:
    st.subheader("Privacy")
    st.markdown(PRIVACY)
    st.subheader("Licence")
    st.markdown(
        "The software and the weights of its models are under the MIT licence: use, change and "
        "pass them on, with the copyright notice and without warranty. The data sets below keep "
        "their own licences."
    )
versions = show_models()
show_sources()
st.subheader("How to cite")
st.caption("Cite the software with the versions of its models, and the data sets you rely on.")
listed = ", ".join(f"{name} {version}" for name, version in versions.items())
st.code(
    "Leukoscope: white-cell counts, differentials and ALL classes from blood smears. "
    f"Model versions: {listed or 'none'}.",
    language=None,
    wrap_lines=True,
)
