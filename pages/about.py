"""About: intended use, limits, privacy, model cards, data sets, how to cite."""

import streamlit as st

from ui.about import show_models, show_sources, show_text
from ui.components.page import header

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
    show_text("limits")
with right:
    show_text("privacy")
    st.header("Licence")
    st.markdown(
        "The software and the model weights are under the MIT licence: you may use, change and "
        "share them with the copyright notice and without warranty. The data sets below keep "
        "their own licences. The authors of DeepAPL grant none explicitly: use a model that was "
        "trained on it for research only."
    )
versions = show_models()
show_sources()
st.header("How to cite")
st.caption("Cite the software with its model versions, and the data sets you use.")
st.code(
    "Leukoscope: white-cell counts, differentials and ALL classes from blood smears. "
    f"Model versions: {', '.join(versions) or 'none'}.",
    language=None,
    wrap_lines=True,
)
