"""The metrics of a classifier on one set: matrix, classes, curves, calibration, worst errors."""

from collections.abc import Mapping
from functools import partial

import pandas as pd
import streamlit as st

from core.charts.confusion import confusion_figure
from core.charts.metrics import (
    ZOOM,
    precision_recall_figure,
    reliability_figure,
    risk_coverage_figure,
    roc_figure,
)
from core.domain.probability import probability_text
from core.domain.taxonomy import label_name
from core.evaluation.curves import (
    at_threshold,
    precision_recall_points,
    risk_coverage,
    roc_points,
)
from core.evaluation.metrics import reliability_bins
from core.evaluation.report import (
    ClassifierReport,
    behind_cell,
    label_phrase,
    worst_errors,
)
from core.evaluation.schema import ClassificationFigures, FieldFlagFigures, SubtypeFigures
from core.evaluation.tables import class_table, percent, subtypes_table
from ui.components import shared
from ui.metrics.parts import (
    COUNT,
    THREE_DIGITS,
    chart,
    estimate,
    provenance,
    show_gallery,
    show_head,
)
from ui.metrics.patients import show_blasts, show_patients

WORST = 24
CELL_STATE = "metrics_cell"


def show_classifier(report: ClassifierReport, key: str) -> None:
    """Show everything measured of a classifier on one set."""
    figures = report.metrics.sets[key]
    values = {
        "Accuracy": estimate(figures.accuracy, "Images classified correctly."),
        "Balanced accuracy": estimate(
            figures.balanced_accuracy, "Mean recall: every class counts the same."
        ),
        "Macro F1": estimate(figures.macro_f1, "Mean F1 of the classes."),
        "ECE": (
            f"{100 * figures.ece:.1f} %",
            None,
            (
                "Expected calibration error: mean gap between confidence and accuracy in 15 bins "
                "(Guo et al. 2017)."
            ),
        ),
    }
    if len(figures.labels) < len(report.card.labels):
        values["Another type"] = (
            f"{100 * figures.outside_labels:.1f} %",
            None,
            (
                "Images whose likeliest type is not among this set's. They are scored with the "
                "likeliest of the set's own types."
            ),
        )
    if missed := sum(figures.unanswered):
        values["No cell found"] = (f"{missed}", None, "Images without an answer: errors.")
    show_head(key, figures.n, values)
    if key in report.metrics.blasts:
        show_blasts(report, key)
        if report.metrics.field_flags:
            show_field_flags(report.metrics.field_flags)
    show_patients(report.counted(key), report.card.labels, provenance(report, key), "set")
    show_confusion(report, key)
    show_classes(report, key)
    if key in report.metrics.subtypes:
        show_subtypes(report.metrics.subtypes[key])
    show_curves(report, key)
    show_trust(report, key)
    show_worst(report, key)


def show_field_flags(figures: FieldFlagFigures) -> None:
    """Show how often fields of suspected ALL raise the flag of possible blasts."""
    rows = [("All classes of leukaemia", percent(figures.leukaemia), "")]
    rows += [
        (label_name(label), percent(share), percent(figures.cells[label]))
        for label, share in figures.by_class.items()
    ]
    st.markdown("**Fields of suspected ALL whose count raises the flag of possible blasts**")
    st.table(
        pd.DataFrame(rows, columns=["Fields", "Raise the flag", "Possible blasts of white cells"]),
        border="horizontal",
        hide_index=True,
        alt="Fields of suspected ALL that raise the flag of possible blasts",
    )
    st.caption(
        f"Fold {figures.fold} of the Taleqani set. Hematogones of benign fields resemble "
        "lymphoblasts: a flag there is no error of the count."
    )


def answers(rows: pd.DataFrame) -> list[str]:
    """Say of each image what it is and what it was called."""
    return [
        f"True {label_phrase(row.truth)}, called {label_phrase(row.prediction)}, "
        + probability_text(row.confidence).replace(" ", "\N{NO-BREAK SPACE}")
        for row in rows.itertuples()
    ]


def cell_title(cell: tuple[str, str], counts: Mapping[tuple[str, str], int]) -> str:
    """Name a cell of the matrix and its number of images."""
    truth, prediction = cell
    called = "right" if truth == prediction else f"called {label_phrase(prediction)}"
    return f"{label_name(truth)}, {called} ({counts.get(cell, 0)})"


def matrix_cells(figures: ClassificationFigures) -> pd.DataFrame:
    """Return a row a cell of the confusion matrix: truth, prediction, images, percent."""
    matrix = pd.DataFrame(figures.confusion, figures.labels, figures.labels)
    matrix["none"] = figures.unanswered
    table = matrix.rename_axis("truth").melt(
        ignore_index=False, var_name="prediction", value_name="images"
    )
    table["percent_of_row"] = (
        100 * table["images"] / table.groupby(level=0)["images"].transform("sum")
    )
    return table.reset_index()


@st.fragment
def show_confusion(report: ClassifierReport, key: str) -> None:
    """Show the matrix; a click, or the list beside it, chooses the cell whose images follow."""
    figures = report.metrics.sets[key]
    scored, state = report.scored(key), f"{CELL_STATE}_{report.card.name}_{key}"
    counts = scored.groupby(["truth", "prediction"]).size().to_dict()
    # Errors first: they are what one looks for.
    cells = sorted(counts, key=lambda cell: (cell[0] == cell[1], -counts[cell]))
    chosen: tuple[str, str] | None = st.session_state.get(state)
    if chosen is not None and chosen not in counts:
        cells.append(chosen)

    def clicked() -> None:
        points = st.session_state[f"{state}_chart"]["selection"]["points"]
        # Redrawing the figure with the outline empties the selection: that is no choice.
        if points:
            st.session_state[state] = tuple(points[-1]["customdata"])
            st.session_state.pop(f"{state}_page", None)

    def cleared() -> None:
        st.session_state[state] = None

    left, right = st.columns([1.25, 1], gap="large")
    with left:
        st.header("Confusion matrix")
        numbers = st.segmented_control(
            "Numbers in the matrix",
            ["Images", "Percent of row"],
            default="Images",
            required=True,
            key="metrics_numbers",
            persist_state="session",
        )
        draw = partial(confusion_figure, figures, by_row=numbers == "Percent of row")
        chart(
            draw(dark=st.context.theme.type == "dark", chosen=chosen),
            f"{state}_chart",
            "Confusion matrix: true classes down, predicted classes across",
            provenance(report, key),
            data=matrix_cells(figures),
            paper=draw(dark=False),
            on_select=clicked,
            selection_mode="points",
        )
        st.caption("Rows are the truth. Colour is the share of the row. Empty cells are 0.")
    with right:
        st.header("Images behind a cell")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.selectbox(
                "Cell of the matrix",
                cells,
                index=None,
                format_func=lambda cell: cell_title(cell, counts),
                placeholder="Click a cell or choose one",
                key=state,
            )
            st.button("Clear", icon=":material/close:", on_click=cleared, disabled=chosen is None)
        if chosen is None:
            st.info(
                "Click a cell of the matrix to see its images. Errors head the list above.",
                icon=":material/grid_on:",
            )
        elif chosen not in counts:
            st.info("No image lies in this cell.", icon=":material/grid_on:")
        else:
            rows = behind_cell(scored, *chosen)
            show_gallery(key, rows["file"].tolist(), answers(rows), f"{state}_gallery_{chosen}")


def show_classes(report: ClassifierReport, key: str) -> None:
    """Show precision, recall and F1 of every class."""
    st.header("Each class")
    shared.data_table(
        class_table(report.metrics.sets[key]),
        column_config={
            "Class": st.column_config.TextColumn(pinned=True),
            "Images": COUNT,
            "ROC AUC": THREE_DIGITS,
            "Average precision": THREE_DIGITS,
        },
        alt="Precision, recall and F1 of each class with 95 % confidence intervals",
    )
    st.caption(
        "In brackets: 95 % confidence intervals. ROC AUC and average precision: one class against "
        "all others."
    )


def show_subtypes(figures: Mapping[str, SubtypeFigures]) -> None:
    """Show how often each subtype is told."""
    st.header("Each subtype")
    shared.data_table(
        subtypes_table(figures),
        column_config={"Subtype": st.column_config.TextColumn(pinned=True), "Cells": COUNT},
        alt="Cells of each subtype that get it, with 95 % confidence intervals",
    )
    st.caption("In brackets: 95 % confidence intervals. Subtypes that the set does not name lack.")


@st.fragment
def show_curves(report: ClassifierReport, key: str) -> None:
    """Show ROC and precision-recall curves of each class against the rest."""
    scored, figures = report.scored(key), report.metrics.sets[key].per_class
    areas = [own.roc_auc for own in figures.values() if own.roc_auc is not None]
    zoomed = st.toggle(
        f"Zoom the curves to the best {ZOOM} %",
        value=bool(areas) and min(areas) > 0.99,
        key=f"metrics_zoom_{report.card.name}_{key}",
    )
    left, right = st.columns(2, gap="large")
    with left:
        st.header("ROC, one against the rest")
        st.caption("Beside each name: area under the curve.")
        chart(
            roc_figure(
                {label: roc_points(scored, label) for label in figures},
                {label: own.roc_auc for label, own in figures.items()},
                zoomed=zoomed,
            ),
            "metrics_roc",
            "ROC curve of each class against the rest",
            provenance(report, key),
        )
    with right:
        st.header("Precision and recall")
        st.caption("Beside each name: average precision.")
        chart(
            precision_recall_figure(
                {label: precision_recall_points(scored, label) for label in figures},
                {label: own.average_precision for label, own in figures.items()},
                zoomed=zoomed,
            ),
            "metrics_precision_recall",
            "Precision over recall of each class against the rest",
            provenance(report, key),
        )


@st.fragment
def show_trust(report: ClassifierReport, key: str) -> None:
    """Show calibration, and how many images a confidence threshold leaves to a reviewer."""
    # The app decides over all labels, also where a set has but some of them.
    called = report.scored(key, report.card.labels)
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Calibration")
        st.caption("On the dotted line, a confidence of 90 % is right 90 times in 100.")
        chart(
            reliability_figure(reliability_bins(report.scored(key))),
            "metrics_reliability",
            "Accuracy at each confidence, with 95 % confidence intervals",
            provenance(report, key),
        )
    with right:
        st.header("Coverage and accuracy")
        usual = 100 * report.decision.confidence
        threshold = st.slider(
            "Confidence threshold",
            0.0,
            100.0,
            round(usual, 1),
            0.5,
            format="%.1f %%",
            key=f"metrics_threshold_{report.card.name}",
            help=f"Below it a cell or field counts as uncertain. The model uses {usual:.1f} %.",
        )
        cut = at_threshold(called, threshold / 100)
        st.markdown(
            f"**{cut.answered:,}** of {len(called):,} answered ({100 * cut.coverage:.1f} %), "
            f"of these **{percent(cut.accuracy)}** right; "
            f"**{cut.to_reviewer:,}** go to a reviewer."
        )
        chart(
            risk_coverage_figure(risk_coverage(called), threshold / 100),
            "metrics_risk_coverage",
            "Share of wrong answers over the share of images answered",
            provenance(report, key),
        )


@st.fragment
def show_worst(report: ClassifierReport, key: str) -> None:
    """Show the most confident errors."""
    st.header("Worst errors")
    rows = worst_errors(report.scored(key), WORST)
    if rows.empty:
        st.info("No wrong answer in this set.", icon=":material/check:")
        return
    st.caption("Wrong answers, most confident first. Some are errors of the labels.")
    show_gallery(key, rows["file"].tolist(), answers(rows), f"metrics_worst_{key}")
