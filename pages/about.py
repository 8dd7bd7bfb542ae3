"""About: intended use, limits, privacy, model cards, data sets, how to cite."""

import streamlit as st

from core.datasets.sources import SOURCES
from core.errors import ModelError
from core.evaluation.report import MODEL_TITLES
from core.model_card import load_card
from ui.components.page import header
from ui.metrics.card import show_card

LIMITS = """
- A smear image alone cannot diagnose leukaemia. The ALL classes are maturation subtypes that flow
  cytometry confirmed in the training set; by custom this app calls them stages.
- The models were trained on images of few laboratories. With another stain, camera or microscope
  they find and type fewer cells correctly. See **Model metrics**, where other laboratories come
  first. Cells unlike the training images are marked, and their confidence is lowered.
- A suggested class is only a suggestion. Cells below the confidence threshold are shown as
  uncertain and are not counted in the percentages; a trained person must review them.
- Blasts and smudge cells are types of their own. They were learnt from the smears of leukaemia
  patients of one hospital; a possible blast always needs a specialist's look, and no blast found
  does not exclude leukaemia.
- Band forms, variant lymphocytes, plasma cells, promonocytes and the stages of granulocytes are
  subtypes: suggestions beside a type, shown only where one is likely, and not counted apart.
- Outlines of nucleus and cell come from colour thresholds. Two methods are offered; where they
  disagree, do not rely on the measures.
- Confidence intervals of a differential cover sampling error only. The error of the model adds to
  it.
- A smear gives percentages, not concentrations: counts per litre are not measured.
"""
PRIVACY = """
- Uploaded files stay in the memory of this server during the session. Saving to a patient stores
  the pixels without the file's header, the results, and what you typed.
- The app reads only what it needs from a file's header: format, size, pixel mode, orientation and
  pixel scale (µm per pixel). It does not read names, dates, places or serial numbers.
- Patient names that you type appear in tables and exports: use pseudonyms. Exports contain file
  names only if you ask for them. A setting discards file names on upload.
- The app collects no usage statistics. Images leave this server only for the store that its
  administrator configured, and through case links that a reviewer creates.
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
    """Show the data sets with licences and citations."""
    st.subheader("Data sets")
    st.caption(
        "The models were trained and measured on these public data sets. The software contains "
        "none of them."
    )
    for source in SOURCES.values():
        with st.container(border=True):
            st.markdown(f"**[{source.name}]({source.url})**: {source.content}.")
            st.caption(f"{source.use}. Licence: {source.licence}.  \n{source.citation}")


header(
    "About",
    "Leukoscope finds, counts and types the cells of stained blood smears. It gives the "
    "differential with exact confidence intervals and grades fields of suspected acute "
    "lymphoblastic leukaemia (ALL). It is for haematology research, teaching, "
    "and comparing models across laboratories.",
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
        "The software and the model weights are under the MIT licence: you may use, change and "
        "share them with the copyright notice and without warranty. The data sets below keep "
        "their own licences. The authors of DeepAPL grant none explicitly: use a model that was "
        "trained on it for research only."
    )
versions = show_models()
show_sources()
st.subheader("How to cite")
st.caption("Cite the software with its model versions, and the data sets you use.")
listed = ", ".join(f"{name} {version}" for name, version in versions.items())
st.code(
    "Leukoscope: white-cell counts, differentials and ALL classes from blood smears. "
    f"Model versions: {listed or 'none'}.",
    language=None,
    wrap_lines=True,
)
