"""Overview: what Leukoscope is, an example, the health of its models and how they were measured."""

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
from ui.components.cases import (
    errors_shown,
    patient_link,
    sample_line,
    sample_link,
    sample_name,
)
from ui.components.visitor import current_user
from ui.count.intake import example_slides
from ui.upload.session import analyze_field, open_upload_session

MODELS = {
    "detector": ("Detector", "Finds white cells, red cells and platelets in a field."),
    "wbc": ("White cell types", "Names a white cell: 8 types with calibrated probabilities."),
    "all_stage": ("ALL stage", "Grades a field: 4 classes with calibrated probabilities."),
}
SHOWN_SLIDE = 1
LATEST_CASES = 5


@st.cache_data(show_spinner=False)
def example() -> tuple[FieldAnalysis, bytes]:
    """Analyse one made slide."""
    name, data = synthetic_slides()[SHOWN_SLIDE]
    (image,) = read_images(data, name)
    return get_analyzer().analyze(image), preview_jpeg(image.pixels)


@st.cache_data(ttl="5m", show_spinner=False)
def problem(name: str) -> str | None:
    """Return what is wrong with a model's files, or None."""
    try:
        read_checked(load_card(name))
    except ModelError as error:
        return str(error)
    return None


def show_health() -> None:
    """Say of every model whether its file is the one of its card."""
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
    """Show what was measured in short, other laboratories first."""
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
            "95 % limits": [f"{100 * f.share.low:.1f}-{100 * f.share.high:.1f}" for f in figures],
        },
        border="horizontal",
        hide_index=True,
        alt="Measured accuracy of the models, other laboratories first",
    )
    st.caption(
        "Other laboratories first: a stain or camera the models were not trained on costs "
        "accuracy. Expect that of your own slides too."
    )


def show_latest() -> None:
    """Show the samples taken last, when there are any."""
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
        "A made slide with its white cells boxed and named",
    )
    counts = analysis.counts.kinds
    st.caption(
        f"A made slide, analysed in {analysis.seconds:.2f} s: {counts['wbc']} white cells named, "
        f"{counts['rbc']} red cells and {counts['platelet']} platelets counted."
    )


shared.header(
    "Leukoscope",
    "Leukoscope finds the cells of a stained blood smear, counts them and names the white ones. "
    "It gives the differential with exact limits, grades fields of suspected acute lymphoblastic "
    "leukaemia (ALL), and sets apart what it is not sure of. "
    "How far its models can be trusted is shown below.",
)
left, right = st.columns([1, 1.3], gap="large")
with left:
    st.subheader("Start")
    if st.button("Open example slides", type="primary", icon=":material/draw:", width="stretch"):
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
        label="See how the models were measured",
        icon=":material/analytics:",
    )
    st.caption(
        f"Pictures: {READABLE_FORMATS}, at a magnification that shows single cells. "
        "The example slides are drawn by a program and come with their answer key."
    )
with right:
    show_example()

show_latest()
show_accuracy()
show_health()
