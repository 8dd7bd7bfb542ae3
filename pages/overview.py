"""Overview: an example, the latest cases, and the state and accuracy of the models."""

import streamlit as st

from core.errors import READABLE_FORMATS
from ui.components.actions import kept_button
from ui.components.cases import count_link
from ui.components.page import header
from ui.count.intake import example_slides
from ui.overview import show_accuracy, show_example, show_health, show_latest
from ui.upload.session import upload_session

header(
    "Leukoscope",
    "Leukoscope finds and counts the cells of a stained blood smear and types the white cells. It "
    "gives the differential with exact confidence intervals, grades fields of suspected acute "
    "lymphoblastic leukaemia (ALL), and sets uncertain cells aside for review.",
)
left, right = st.columns([1, 1.3], gap="large")
with left:
    st.header("Start")
    if kept_button(
        "Open example slides",
        "overview_examples",
        type="primary",
        icon=":material/draw:",
        width="stretch",
    ):
        upload_session().pending = example_slides()
        st.switch_page("pages/wbc_count.py")
    count_link()
    st.page_link(
        "pages/all_stage.py", label="Grade ALL fields", icon=":material/stacked_line_chart:"
    )
    st.page_link(
        "pages/model_metrics.py",
        label="See the accuracy of the models",
        icon=":material/analytics:",
    )
    st.caption(
        f"Images: {READABLE_FORMATS}, at a magnification that shows single cells. "
        "The example slides are synthetic and come with an answer key."
    )
with right:
    show_example()

show_latest()
show_accuracy()
show_health()
