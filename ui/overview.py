"""Parts of the page Overview: an example, the latest cases, accuracy and state of the models."""

import streamlit as st

from core.cases.audit import record_view
from core.cases.database import get_database
from core.cases.listing import search_patients
from core.charts.field import field_drawing
from core.domain.results import FieldAnalysis
from core.errors import ModelError
from core.evaluation.measured import measured_figures
from core.imaging.preview import preview_jpeg
from core.imaging.read import read_images
from core.inference.pipeline import get_analyzer
from core.model_card import load_card, read_checked
from core.synthetic.examples import synthetic_slides
from ui.components import cases, fields
from ui.components.visitor import current_user

MODELS = {
    "detector": ("Detector", "Finds white cells, red cells and platelets in a field."),
    "wbc": ("White cell types", "Types a white cell with calibrated probabilities."),
    "all_stage": ("ALL stage", "Grades a field: 4 classes with calibrated probabilities."),
}
SHOWN_SLIDE = 1
LATEST_CASES = 5


@st.cache_data(show_spinner=False)
def _example() -> tuple[FieldAnalysis, bytes]:
    """Analyze one synthetic slide."""
    name, data = synthetic_slides()[SHOWN_SLIDE]
    (image,) = read_images(data, name)
    return get_analyzer().analyze(image), preview_jpeg(image.pixels)


def show_example() -> None:
    """Show one analysed slide."""
    with cases.errors_shown():
        analysis, jpeg = _example()
        fields.show_drawing(field_drawing(jpeg, analysis), "overview_drawing")
        counts = analysis.counts.kinds
        st.caption(
            f"A synthetic slide, analysed in {analysis.seconds:.2f} s: {counts['wbc']} white cells "
            f"typed, {counts['rbc']} red cells and {counts['platelet']} platelets counted."
        )


def show_latest() -> None:
    """Show the latest samples, if any."""
    with cases.errors_shown():
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
        st.header("Latest cases")
        for patient, sample in latest:
            with st.container(border=True, horizontal=True, vertical_alignment="center"):
                cases.patient_link(patient.id, patient.identifier)
                cases.sample_link(sample.id, cases.sample_name(sample))
                st.markdown(cases.sample_line(sample), width="content")


def show_accuracy() -> None:
    """Show the main accuracy figures, other laboratories first."""
    figures = measured_figures()
    if not figures:
        return
    st.header("Measured")
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


@st.cache_data(ttl="5m", show_spinner=False)
def _problem(name: str) -> str | None:
    """Return why a model cannot be used, or None."""
    try:
        read_checked(load_card(name))
    except ModelError as error:
        return str(error)
    return None


def show_health() -> None:
    """Show for each model whether its file matches its card."""
    st.header("Models")
    with st.grid(3, min_column_width=260):
        for name, (title, task) in MODELS.items():
            with st.container(border=True):
                st.markdown(f"**{title}**")
                st.write(task)
                if wrong := _problem(name):
                    st.error(wrong, icon=":material/error:")
                else:
                    card = load_card(name)
                    st.markdown(
                        f":green-badge[:material/check: file verified] version {card.version}, "
                        f"{card.file_bytes / 1e6:.1f} MB"
                    )
