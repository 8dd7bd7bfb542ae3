"""The metrics of the detector on one set: average precision, curves, counts."""

import pandas as pd
import streamlit as st

from core.charts.metrics import counts_figure, detection_curves_figure
from core.domain.taxonomy import KIND_NAMES
from core.evaluation.report import DetectorReport, count_errors
from core.evaluation.tables import kind_table, percent_or_none, three_digits
from ui.components import shared
from ui.metrics.parts import THREE_DIGITS, chart, estimate, provenance, show_gallery, show_head


@st.cache_data(
    max_entries=6,
    ttl="10m",
    show_spinner="Drawing the curves",
    hash_funcs={
        DetectorReport: lambda report: (report.card.sha256, report.metrics.model_dump_json())
    },
)
def curves_of(report: DetectorReport, key: str) -> pd.DataFrame:
    """Return precision over recall on a set; the evaluation takes a second."""
    return report.curves(key)


def show_detector(report: DetectorReport, key: str) -> None:
    """Show everything measured of the detector on one set."""
    figures = report.metrics.sets[key]
    show_head(
        key,
        figures.images,
        {
            "mAP50": (three_digits(figures.map50), None, "Mean average precision at IoU .5."),
            "mAP50-95": (three_digits(figures.map50_95), None, "Mean over IoU .5 to .95."),
            "WBC count exact": estimate(
                figures.wbc_count_exact, "Share of images with the true number of white cells."
            ),
            "RBC count error": (
                percent_or_none(figures.rbc_count_error),
                None,
                "Median over images of the difference to the true number of red cells.",
            ),
        },
    )
    show_detections(report, key)


@st.fragment
def show_detections(report: DetectorReport, key: str) -> None:
    """Show the detector's curves, and the numbers it counts against the true ones."""
    figures = report.metrics.sets[key]
    st.header("Each kind of cell")
    shared.data_table(
        kind_table(figures),
        column_config={
            "Cell": st.column_config.TextColumn(pinned=True),
            "mAP50": THREE_DIGITS,
            "mAP50-95": THREE_DIGITS,
        },
        alt="Average precision, precision and recall of each kind of cell",
    )
    st.caption("Precision and recall at the score threshold, boxes matched at IoU .5.")
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Precision and recall")
        st.caption("At IoU .5; beside each name its mAP50.")
        chart(
            detection_curves_figure(curves_of(report, key), figures),
            "metrics_detection_curves",
            "Precision over recall of each kind of cell",
            provenance(report, key),
        )
    with right:
        st.header("True and found counts")
        kind = st.segmented_control(
            "Count",
            list(KIND_NAMES),
            default="wbc",
            required=True,
            format_func=lambda k: f"{KIND_NAMES[k]}s",
            key="metrics_kind",
            label_visibility="collapsed",
        )
        pairs = report.counts(key, kind)
        chart(
            counts_figure(pairs, kind),
            "metrics_counts",
            "Found over true number of cells in each image",
            provenance(report, key),
        )
    st.header(f"Images with a wrong count of {KIND_NAMES[kind].lower()}s")
    wrong = count_errors(pairs)
    if wrong.empty:
        st.info("Every image was counted right.", icon=":material/check:")
        return
    captions = [f"True {row.truth}, found {row.found}" for row in wrong.itertuples()]
    show_gallery(key, wrong["file"].tolist(), captions, f"metrics_counts_{key}_{kind}")
