"""Overview: an example, the latest cases, and the state and accuracy of the models."""

import streamlit as st

from core.cases.audit import record_view
from core.cases.database import get_database
from core.cases.listing import search_patients
from core.charts.field import field_figure
from core.domain.results import FieldAnalysis
from core.errors import READABLE_FORMATS, ModelError
from core.evaluation.measured import measured_figures
from core.imaging.preview import preview_jpeg
from core.imaging.read import read_images
from core.inference.pipeline import get_analyzer
from core.model_card import load_card, read_checked
from core.synthetic.examples import synthetic_slides
from ui.components import shared
from ui.components.actions import kept_button
from ui.components.cases import (
    errors_shown,
    patient_link,
    sample_line,
    sample_link,
    sample_name,
)
from ui.components.page import header
from ui.components.visitor import current_user
from ui.count.intake import example_slides
from ui.upload.session import analyze_field, open_upload_session

MODELS = {
    "detector": ("Detector", "Finds white cells, red cells and platelets in a field."),
    "wbc": ("White cell types", "Types a white cell: 8 types with calibrated probabilities."),
    "all_stage": ("ALL stage", "Grades a field: 4 classes with calibrated probabilities."),
}
SHOWN_SLIDE = 1
LATEST_CASES = 5


@st.cache_data(show_spinner=False)
def example() -> tuple[FieldAnalysis, bytes]:
    """Analyze one synthetic slide."""
    name, data = synthetic_slides()[SHOWN_SLIDE]
    (image,) = read_images(data, name)
    return get_analyzer().analyze(image), preview_jpeg(image.pixels)


@st.cache_data(ttl="5m", show_spinner=False)
def problem(name: str) -> str | None:
    """Return why a model cannot be used, or None."""
    try:
        read_checked(load_card(name))
    except ModelError as error:
        return str(error)
    return None


def show_health() -> None:
    """Show for each model whether its file matches its card."""
    st.subheader("Models")
    with st.grid(3, min_column_width=260):
        for name, (title, task) in MODELS.items():
            with st.container(border=True):
                st.markdown(f"**{title}**")
                st.write(task)
                if wrong := problem(name):
                    st.error(wrong, icon=":material/error:")
                else:
                    card = load_card(name)
                    st.markdown(
                        f":green-badge[:material/check: file verified] version {card.version}, "
                        f"{card.file_bytes / 1e6:.1f} MB"
                    )


def show_accuracy() -> None:
    """Show the main accuracy figures, other laboratories first."""
    figures = measured_figures()
    if not figures:
        return
    st.subheader("Measured")
    st.table(
        {
            "What": [f.what for f in figures],
            "Measure": [f.measure for f in figures],
            "Images": [f"{f.images:,}" for f in figures],
            "%": [f"**{100 * f.share.value:.1f}**" for f in figures],
            "95 % interval": [f"{100 * f.share.low:.1f}-{100 * f.share.high:.1f}" for f in figures],
        },
        border="horizontal",
        hide_index=True,
        alt="Measured accuracy of the models, other laboratories first",
    )
    st.caption(
        "Other laboratories come first, because accuracy falls with a stain or camera that the "
        "models were not trained on. Expect this for your own slides."
    )


def show_latest() -> None:
    """Show the latest samples, if any."""
    with errors_shown():
        database = get_database()
        user = current_user(database)
        latest = [
            (line.patient, line.last)
            for line in search_patients(database, limit=LATEST_CASES).items
            if line.last is not None
        ]
        if not latest:
            return
        record_view(database, user.name, "list patients")
        st.subheader("Latest cases")
        for patient, sample in latest:
            with st.container(border=True, horizontal=True, vertical_alignment="center"):
                patient_link(patient.id, patient.identifier)
                sample_link(sample.id, sample_name(sample))
                st.markdown(sample_line(sample), width="content")


def show_example() -> None:
    """Show one analysed slide."""
    try:
        analysis, jpeg = example()
    except ModelError as error:
        st.error(str(error), title="The models cannot be used", icon=":material/error:")
        return
    shared.image_chart(
        field_figure(jpeg, analysis, shown_width=shared.shown_width(560)),
        "overview_drawing",
        "A synthetic slide with its white cells boxed and typed",
    )
    counts = analysis.counts.kinds
    st.caption(
        f"A synthetic slide, analysed in {analysis.seconds:.2f} s: {counts['wbc']} white cells "
        f"typed, {counts['rbc']} red cells and {counts['platelet']} platelets counted."
    )


header(
    "Leukoscope",
    "Leukoscope finds and counts the cells of a stained blood smear and types the white cells. It "
    "gives the differential with exact confidence intervals, grades fields of suspected acute "
    "lymphoblastic leukaemia (ALL), and sets uncertain cells aside for review.",
)
left, right = st.columns([1, 1.3], gap="large")
with left:
    st.subheader("Start")
    if kept_button(
        "Open example slides",
        "overview_examples",
        type="primary",
        icon=":material/draw:",
        width="stretch",
    ):
        open_upload_session("wbc", analyze_field).pending = example_slides()
        st.switch_page("pages/wbc_count.py")
    st.page_link(
        "pages/wbc_count.py",
        label="Count white cells in your fields",
        icon=":material/blur_circular:",
    )
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
