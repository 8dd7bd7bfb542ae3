"""Overview: what Leukoscope is, an example, the health of its models and how they were measured."""

import streamlit as st

from core.errors import ModelError
from core.imaging.examples import made_slides
from core.imaging.preview import preview_jpeg
from core.imaging.read import read_image
from core.inference.analyzer import get_analyzer
from core.inference.card import MODEL_NAMES, load_card, read_checked
from core.reports.charts import field_figure
from core.results import FieldAnalysis
from pages import shared

MODEL_TASKS = {
    "detector": "Finds white cells, red cells and platelets in a field",
    "wbc": "Names a white cell: 8 types",
    "all_stage": "Grades an ALL field: 4 classes",
}
SHOWN_SLIDE = 1


@st.cache_data(show_spinner=False)
def example() -> tuple[FieldAnalysis, bytes]:
    """Analyse one made slide."""
    name, data = made_slides()[SHOWN_SLIDE]
    image = read_image(data, name)
    return get_analyzer().analyze(image), preview_jpeg(image.pixels)


@st.cache_data(ttl="5m", show_spinner=False)
def health() -> list[dict[str, str]]:
    """Check every model file against its card."""
    rows = []
    for name in MODEL_NAMES:
        row = {"Model": name, "Task": MODEL_TASKS[name]}
        try:
            card = load_card(name)
            read_checked(card)
        except ModelError as error:
            rows.append({**row, "Version": "", "Size": "", "Check": str(error)})
        else:
            size = f"{card.file_bytes / 1e6:.1f} MB"
            rows.append(
                {**row, "Version": card.version, "Size": size, "Check": "SHA-256 as in its card"}
            )
    return rows


def show_example() -> None:
    """Show one analysed slide."""
    try:
        analysis, jpeg = example()
    except ModelError as error:
        st.error(str(error), title="The models cannot be used", icon=":material/error:")
        return
    st.plotly_chart(
        field_figure(jpeg, analysis),
        config={"displayModeBar": False, "staticPlot": False},
        alt="A made slide with its white cells boxed and named",
    )
    counts = analysis.counts()
    st.caption(
        f"A made slide, analysed in {analysis.seconds:.2f} s: {counts['wbc']} white cells, "
        f"{counts['rbc']} red cells, {counts['platelet']} platelets found."
    )


shared.header(
    "Leukoscope",
    "Leukoscope finds the cells of a stained blood smear, counts them and names the white ones. "
    "It gives the differential with exact limits, grades fields of suspected acute lymphoblastic "
    "leukaemia (ALL), and sets apart what it is not sure of. "
    "How far its models can be trusted stands beside every answer.",
)
left, right = st.columns([1, 1.3], gap="large")
with left:
    st.subheader("Start")
    if st.button("Open example slides", type="primary", icon=":material/draw:", width="stretch"):
        st.session_state["open_examples"] = True
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
        "Pictures: JPEG, PNG, BMP, TIFF or WebP, at a magnification that shows single cells. "
        "The example slides are drawn by a program and come with their answer key."
    )
with right:
    show_example()

st.subheader("Models")
st.table(health(), border="horizontal", alt="Version, size and checksum of every model")
