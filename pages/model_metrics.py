"""Model metrics: how far each model can be trusted, drawn from what `evaluate` wrote beside it."""

import streamlit as st

from core.charts.metrics import learning_rate_figure, measure_name, measures, training_figure
from core.errors import ModelError
from core.evaluation.report import (
    MODEL_TITLES,
    ClassifierReport,
    DetectorReport,
    ModelReport,
    load_report,
)
from core.evaluation.sets import evaluation_set
from core.model_card import ModelName
from core.settings import get_settings
from ui.components.page import header
from ui.metrics.card import show_card
from ui.metrics.classifier import show_classifier
from ui.metrics.comparisons import show_comparisons
from ui.metrics.data import show_data
from ui.metrics.detector import show_detector
from ui.metrics.head_to_head import show_head_to_head
from ui.metrics.overview import show_overview
from ui.metrics.own_set import show_own_set
from ui.metrics.parts import chart, provenance
from ui.metrics.robustness import show_robustness

NOT_TESTED = "Validation images are none of the test images above."
PARTS = OVERVIEW, ONE_SET, ROBUSTNESS, HEAD_TO_HEAD, COMPARISONS, OWN_IMAGES, DATA, CARD = (
    "Another source",
    "One set",
    "Robustness",
    "Head to head",
    "Comparisons",
    "Own images",
    "Data and training",
    "Model card",
)
WATCHED = {
    "all_stage": "The curves are those of the first fold's model, validated on its held-out fold."
}


@st.cache_resource(max_entries=6, ttl="1m", show_spinner="Reading the figures")
def open_report(name: ModelName, models: str) -> ClassifierReport | DetectorReport:
    """Read a model's report; `models` is its folder, so that another folder is read anew."""
    del models
    return load_report(name)


def show_set(report: ClassifierReport | DetectorReport) -> None:
    """Let the reader choose a set; show everything measured on it."""
    name = report.card.name
    key = st.selectbox(
        "Set",
        report.sets,
        format_func=lambda k: evaluation_set(k).name,
        key=f"metrics_set_{name}",
        persist_state="session",
        width=420,
    )
    if isinstance(report, DetectorReport):
        show_detector(report, key)
    else:
        show_classifier(report, key)


def show_training(report: ModelReport) -> None:
    """Show the training history."""
    st.header("Training")
    history = report.history
    minutes = history["seconds"].sum() / 60
    duration = f" in {minutes:.0f} minutes" if minutes else ""
    st.caption(
        f"{len(history)} epochs{duration}. Dotted lines separate the stages. "
        f"{WATCHED.get(report.card.name, NOT_TESTED)}"
    )
    drawn = measures(history)[:3]
    with st.grid(2, min_column_width=320, gap="large"):
        for measure in drawn:
            chart(
                training_figure(history, measure),
                f"metrics_training_{measure}",
                f"{measure_name(measure)} over epochs in training and validation",
                provenance(report),
            )
        if history["learning_rate"].notna().any():
            chart(
                learning_rate_figure(history),
                "metrics_learning_rate",
                "Learning rate over the epochs",
                provenance(report),
            )


def show_not_measured(name: ModelName, error: ModelError) -> None:
    """Say that there are no figures and how to make them."""
    st.info(str(error), title="There are no figures yet", icon=":material/hourglass_empty:")
    st.markdown("Train the model, then measure it:")
    st.code(f"python -m core train {name}\npython -m core evaluate {name}", language="bash")


header(
    "Model metrics",
    "How far the models can be trusted, measured on images they were not trained on. "
    "Other laboratories come first: that is what to expect of your own slides.",
)
name = st.segmented_control(
    "Model",
    list(MODEL_TITLES),
    default="wbc",
    required=True,
    format_func=MODEL_TITLES.__getitem__,
    key="metrics_model",
    persist_state="session",
)
try:
    report = open_report(name, str(get_settings().models))
except ModelError as error:
    show_not_measured(name, error)
    st.stop()
part = st.segmented_control(
    "Part",
    PARTS,
    default=OVERVIEW,
    required=True,
    key="part",
    bind="query-params",
    wrap=True,
    label_visibility="collapsed",
)
if part == OVERVIEW:
    show_overview(report)
elif part == ONE_SET:
    show_set(report)
elif part == ROBUSTNESS:
    show_robustness(report)
elif part == HEAD_TO_HEAD:
    if isinstance(report, ClassifierReport):
        show_head_to_head(report)
    else:
        st.info("Only classifiers are compared image by image.", icon=":material/compare_arrows:")
elif part == OWN_IMAGES:
    show_own_set(name)
elif part == COMPARISONS:
    show_comparisons(name)
elif part == DATA:
    if report.metrics.data:
        show_data(report.metrics.data)
    show_training(report)
else:
    st.header("Model card")
    show_card(report.card)
