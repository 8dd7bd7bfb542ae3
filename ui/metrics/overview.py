"""Model metrics: what to expect of images of another source, then all sets."""

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from core.charts.robustness import sources_figure
from core.errors import ModelError
from core.evaluation.comparisons import Comparisons, PatientsRow, SourcesRow, load_comparisons
from core.evaluation.report import (
    PATIENTS_SET,
    ClassifierReport,
    DetectorReport,
    patients_left_out,
)
from core.evaluation.tables import (
    SOURCES,
    fields_table,
    left_out_sentence,
    left_out_table,
    patients_table,
    sets_table,
    sources_table,
)
from core.model_card import ModelName
from ui.components import shared
from ui.metrics.comparisons import protocols
from ui.metrics.parts import chart
from ui.metrics.patients import show_patients, show_shares

_SHARES = (
    "In brackets: 95 % confidence intervals. Macro F1: mean over the classes of F1, the harmonic "
    "mean of precision and recall. ECE: expected calibration error, the mean gap between "
    "confidence and accuracy."
)
MEASURES: dict[ModelName, str] = {
    "wbc": _SHARES,
    "all_stage": _SHARES,
    "detector": "mAP50: mean average precision of boxes that overlap the true ones by half or "
    "more (IoU .5); mAP50-95: the mean over overlaps of .5 to .95.",
}


def show_overview(report: ClassifierReport | DetectorReport) -> None:
    """Show the figures of sources that were left out of training, then those of every set."""
    name = report.card.name
    try:
        comparisons = load_comparisons(name)
    except ModelError as error:
        st.info(str(error), icon=":material/hourglass_empty:")
        comparisons = Comparisons()
    st.header("A source left out")
    if isinstance(report, DetectorReport):
        show_fields(comparisons)
    elif name == "wbc":
        show_left_out(report, comparisons)
    else:
        st.info(
            "Not measured: all ALL fields come from one hospital. Other stains and scales are "
            "imitated in the sets below.",
            icon=":material/hourglass_empty:",
        )
    st.header("All sets")
    st.table(
        sets_table(report),
        border="horizontal",
        hide_index=True,
        alt="The model's figures on every set",
    )
    st.caption(MEASURES[name])


def show_left_out(report: ClassifierReport, comparisons: Comparisons) -> None:
    """Show what is known of every source of cells without training on it."""
    shared.data_table(
        left_out_table(report, comparisons),
        column_config={"Source": st.column_config.TextColumn(pinned=True)},
        alt="Accuracy and calibration error on each source that was not trained on",
    )
    st.caption(
        f"{left_out_sentence(report, comparisons)} Shipped: the shipped classifier on sources that "
        "it was not trained on. Trained without it: a shorter training on the other sources."
    )
    if comparisons.sources:
        show_sources(comparisons.sources)
    for key, row in comparisons.patients.items():
        show_patients_left_out(report, key, row)


def show_sources(rows: Mapping[str, SourcesRow]) -> None:
    """Show the trainings without one source on every source."""
    source = "; ".join(
        f"trained on {', '.join(row.trained_on)}, revision {row.git_revision or 'not noted'}"
        for row in rows.values()
    )
    chart(
        sources_figure(rows),
        "metrics_sources",
        "Balanced accuracy on each source, with and without training on it",
        f"Trainings without one source ({source}). Test cells of each source. Leukoscope",
    )
    st.caption(
        "Star and hatching: never trained on. DeepAPL: patients that no training saw, seven types, "
        "one of which (smudge cells) no other source has; "
        f"PBC: eight types; Kaggle: four; the others: five. {protocols(rows)}"
    )
    shared.data_table(
        sources_table(rows),
        alt="Balanced accuracy and calibration error on each source by what was trained on",
    )


def show_patients_left_out(report: ClassifierReport, key: str, row: PatientsRow) -> None:
    """Show what networks say of all patients of a set, each by one that did not see them."""
    title = SOURCES[key]
    st.header(f"Every {title} patient left out")
    st.table(
        patients_table(row),
        border="horizontal",
        hide_index=True,
        alt=f"Figures of all {title} patients, each left out of training",
    )
    st.caption(
        f"{row.patients} patients, {row.figures.n:,} cells, {len(row.folds)} folds by patient, "
        f"each by a network that did not see its patients: {row.protocol}. Temperature and "
        "thresholds: those of the shipped classifier."
    )
    source = (
        f"{title}, {row.patients} patients, each left out of training, revision "
        f"{row.git_revision or 'not noted'}. Leukoscope"
    )
    show_shares(row.blasts, source, key="folds")
    show_cells_left_out(report, source)


@st.fragment
def show_cells_left_out(report: ClassifierReport, source: str) -> None:
    """Offer the cells of every patient who was left out: a chart higher than the page."""
    if not st.toggle("Show the types of every patient's cells", key="metrics_every_patient"):
        return
    try:
        predictions = patients_left_out()
    except ModelError as error:
        st.info(str(error), icon=":material/hourglass_empty:")
        return
    if predictions is None:
        st.info("The predictions were not kept.", icon=":material/hourglass_empty:")
        return
    cells = replace(report, predictions=predictions).counted(PATIENTS_SET)
    show_patients(cells, report.card.labels, source, "folds")


def show_fields(comparisons: Comparisons) -> None:
    """Show what leaving some of the fields out costs the detector."""
    rows = comparisons.fields
    if not rows:
        st.info("Not measured for this model.", icon=":material/hourglass_empty:")
        return
    shared.data_table(
        fields_table(rows),
        alt="Average precision and recall on each kind of fields by what was left out",
    )
    st.caption(f"mAP50, then recall of white cells. Star: never trained on. {protocols(rows)}")
