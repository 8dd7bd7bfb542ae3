"""Figures of how the models were trained, on what data, and how good they are.

Each takes what `evaluate` measured and computes nothing but percentages.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.charts.style import (
    HELPER_LINE,
    LEGEND_ABOVE,
    MAIN,
    MAIN_BAND,
    NEUTRAL,
    SECOND,
    THIRD,
    add_helper_line,
    error_bars,
    lay_out,
)
from core.domain.taxonomy import CELL_KINDS, CELL_TYPES, label_colour, label_name
from core.evaluation.report import UNCERTAIN, label_phrase
from core.evaluation.schema import DataSetFigures, DetectionFigures, PatientShare
from core.evaluation.tables import three_digits

ZOOM = 10
"""Percent that a zoomed curve shows of either axis."""
_LETTER_WIDTH = 0.025
"""Of a phase's name, as a proportion of the plot's width on a phone."""
_NAME_HEIGHT = 16
_SPLITS = {"train": "Training", "val": "Validation", "test": "Test", "test_simple": "Test"}
"""Names of splits; every other split is a fold."""
_FOLDS = "All folds"
_COLOURS = {"Training": MAIN, "Validation": THIRD, "Test": SECOND, _FOLDS: MAIN}
_ROW_HEIGHT = 30
_PATIENT_HEIGHT = 22


def _unit_square(figure: go.Figure, x: str, y: str) -> go.Figure:
    figure.update_xaxes(title=x, range=[0, 100.5], zeroline=False)
    figure.update_yaxes(title=y, range=[0, 101], zeroline=False, automargin=True)
    lay_out(figure, 420, top=10, legend=LEGEND_ABOVE, hovermode="closest", dragmode=False)
    return figure


def _add_curves(
    figure: go.Figure,
    points: Mapping[str, pd.DataFrame],
    areas: Mapping[str, float | None],
    columns: tuple[str, str],
    axes: tuple[str, str],
) -> None:
    """Add a curve a label, over two columns of its points with the names of their axes."""
    across, up = columns
    for label, frame in points.items():
        if not frame.empty:
            figure.add_scatter(
                x=100 * frame[across],
                y=100 * frame[up],
                mode="lines",
                # The grey of white cells in images would vanish on a dark page.
                line={"color": MAIN if label == "wbc" else label_colour(label), "width": 2},
                name=f"{label_name(label)} {three_digits(areas[label])}",
                hovertemplate="{} %{{x:.1f}} %, {} %{{y:.1f}} %<extra></extra>".format(*axes),
            )


def roc_figure(
    points: Mapping[str, pd.DataFrame], areas: Mapping[str, float | None], *, zoomed: bool = False
) -> go.Figure:
    """Draw one ROC curve a class against the rest; `points` as of `roc_points`, by label.

    `zoomed` shows the corner of few false positives and high recall.
    """
    figure = go.Figure()
    add_helper_line(figure, [0, 100], [0, 100])
    columns = ("false_positive_rate", "true_positive_rate")
    _add_curves(figure, points, areas, columns, ("False-positive rate", "recall"))
    _unit_square(figure, "False-positive rate, %", "True-positive rate (recall), %")
    if zoomed:
        figure.update_xaxes(range=[-0.1, ZOOM])
        figure.update_yaxes(range=[100 - ZOOM, 100.1])
    return figure


def precision_recall_figure(
    points: Mapping[str, pd.DataFrame], areas: Mapping[str, float | None], *, zoomed: bool = False
) -> go.Figure:
    """Draw precision over recall, one curve a label; `areas` are the average precisions.

    `zoomed` shows the corner where both are high.
    """
    figure = go.Figure()
    _add_curves(figure, points, areas, ("recall", "precision"), ("Recall", "precision"))
    _unit_square(figure, "Recall, %", "Precision, %")
    if zoomed:
        figure.update_xaxes(range=[100 - ZOOM, 100.1])
        figure.update_yaxes(range=[100 - ZOOM, 100.1])
    return figure


def patient_shares_figure(patients: Sequence[PatientShare]) -> go.Figure:
    """Draw each patient's predicted share of blasts over the true one, in percent."""
    figure = go.Figure()
    add_helper_line(figure, [0, 100], [0, 100])
    figure.add_scatter(
        x=[100 * one.true for one in patients],
        y=[100 * one.predicted for one in patients],
        mode="markers",
        marker={"color": MAIN, "size": [5 + one.cells**0.5 / 2 for one in patients]},
        customdata=[(one.patient, one.cells, one.uncertain) for one in patients],
        hovertemplate="Patient %{customdata[0]}: true %{x:.0f} %, predicted %{y:.0f} %<br>"
        "%{customdata[1]} white cells, %{customdata[2]} uncertain<extra></extra>",
        name="Patients",
        showlegend=False,
    )
    bias, reach = limits_of_agreement(patients)
    for offset in (bias - reach, bias + reach):
        add_helper_line(figure, [0, 100], [offset, 100 + offset], "dash")
    return _unit_square(figure, "True share of blasts, %", "Predicted share of blasts, %")


def limits_of_agreement(patients: Sequence[PatientShare]) -> tuple[float, float]:
    """Return the mean error of the share of blasts and 1.96 standard deviations, in points."""
    error = [100 * (one.predicted - one.true) for one in patients]
    return float(np.mean(error)), 1.96 * float(np.std(error, ddof=1))


def patient_distributions_figure(counts: pd.DataFrame) -> go.Figure:
    """Draw the cells of every patient in percent, the truth left and what was counted right.

    `counts` are those of `patient_distributions`.
    """
    patients = list(dict.fromkeys(counts["patient"]))
    figure = make_subplots(
        1, 2, shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=("True", "Predicted")
    )
    present = set(counts["label"])
    for label in (key for key in (*CELL_TYPES, UNCERTAIN) if key in present):
        colour = NEUTRAL if label == UNCERTAIN else label_colour(label)
        for column, side in enumerate(("true", "predicted"), start=1):
            own = counts[(counts["label"] == label) & (counts["side"] == side)]
            figure.add_bar(
                x=own["percent"],
                y=own["patient"],
                orientation="h",
                marker={"color": colour, "pattern": {"shape": "/" if label == UNCERTAIN else ""}},
                name="Uncertain" if label == UNCERTAIN else label_name(label),
                legendgroup=label,
                showlegend=column == 2,
                customdata=own["cells"],
                hovertemplate="%{y}: %{x:.0f} %, %{customdata} cells",
                row=1,
                col=column,
            )
    figure.update_xaxes(title="Cells, %", range=[0, 100], zeroline=False)
    figure.update_yaxes(
        categoryorder="array", categoryarray=patients[::-1], automargin=True, tickmode="linear"
    )
    lay_out(
        figure,
        150 + _PATIENT_HEIGHT * len(patients),
        top=30,
        barmode="stack",
        legend={"orientation": "h", "x": 0, "y": -60 / (_PATIENT_HEIGHT * len(patients))},
        dragmode=False,
    )
    return figure


def patient_errors_figure(errors: pd.DataFrame) -> go.Figure:
    """Draw the percentage of counted cells that got another type, by patient, the worst on top."""
    value, low, high = (100 * errors[key] for key in ("error", "low", "high"))
    figure = go.Figure(
        go.Scatter(
            x=value,
            y=errors["patient"],
            error_x=error_bars(value, low, high, MAIN),
            mode="markers",
            marker={"color": MAIN, "size": 8},
            customdata=errors[["wrong", "cells", "uncertain"]],
            hovertemplate="%{y}: %{x:.1f} %, %{customdata[0]} of %{customdata[1]} cells, "
            "%{customdata[2]} uncertain<extra></extra>",
        )
    )
    figure.update_xaxes(title="Counted as another type, %", rangemode="tozero", zeroline=False)
    figure.update_yaxes(autorange="reversed", automargin=True, tickmode="linear")
    lay_out(figure, 80 + _PATIENT_HEIGHT * len(errors), top=10, dragmode=False)
    return figure


def bland_altman_figure(patients: Sequence[PatientShare]) -> go.Figure:
    """Draw the error of each patient's share of blasts over the mean of both shares.

    Lines: the mean error and the 95 % limits of agreement, 1.96 standard deviations to either side
    (Bland and Altman 1986, Lancet 1:307). Points in percentage points.
    """
    true, predicted = (
        100 * np.array([getattr(one, key) for one in patients]) for key in ("true", "predicted")
    )
    error = predicted - true
    bias, reach = limits_of_agreement(patients)
    figure = go.Figure()
    figure.add_scatter(
        x=(true + predicted) / 2,
        y=error,
        mode="markers",
        marker={"color": MAIN, "size": 9},
        customdata=[one.patient for one in patients],
        hovertemplate="Patient %{customdata}: %{y:+.0f} points<extra></extra>",
        name="Patients",
        showlegend=False,
    )
    for height, text in ((bias, "mean"), (bias - reach, "lower"), (bias + reach, "upper")):
        figure.add_hline(
            y=height,
            line=HELPER_LINE,
            annotation_text=f"{text} {height:+.1f}",
            annotation_position="top right",
        )
    _unit_square(figure, "Mean of true and predicted share, %", "Predicted minus true, points")
    span = max(float(np.abs(error).max()), abs(bias) + reach) * 1.15
    figure.update_yaxes(range=[-span, span], zeroline=True)
    return figure


def reliability_figure(bins: pd.DataFrame) -> go.Figure:
    """Draw how often the model is right at each confidence, with 95 % limits."""
    accuracy = 100 * bins["accuracy"]
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 100],
        y=[0, 100],
        mode="lines",
        line=HELPER_LINE,
        name="Perfect calibration",
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=100 * bins["confidence"],
        y=accuracy,
        error_y=error_bars(accuracy, 100 * bins["accuracy_low"], 100 * bins["accuracy_high"], MAIN),
        mode="markers",
        cliponaxis=False,
        # The area of a marker follows the number of images in its bin.
        marker={"color": MAIN, "size": 6 + 16 * np.sqrt(bins["count"] / bins["count"].max())},
        customdata=bins["count"],
        name="Images in a bin, with 95 % limits",
        hovertemplate="Confidence %{x:.1f} %<br>Right %{y:.1f} %<br>%{customdata} images"
        "<extra></extra>",
    )
    return _unit_square(figure, "Mean confidence, %", "Accuracy, %")


def risk_coverage_figure(curve: pd.DataFrame, threshold: float) -> go.Figure:
    """Draw the percentage of wrong answers among the answered, and where a threshold lies."""
    coverage = 100 * curve["coverage"]
    figure = go.Figure()
    for column, fill in (("high", None), ("low", "tonexty")):
        figure.add_scatter(
            x=coverage,
            y=100 * curve[column],
            mode="lines",
            line={"width": 0, "color": MAIN},
            fill=fill,
            fillcolor=MAIN_BAND,
            name="95 % limits" if fill else "Upper 95 % limit",
            showlegend=fill is not None,
            hoverinfo="skip",
        )
    figure.add_scatter(
        x=coverage,
        y=100 * curve["risk"],
        customdata=100 * curve["threshold"],
        mode="lines",
        line={"color": MAIN, "width": 2},
        name="Wrong answers",
        hovertemplate="Answered %{x:.1f} %<br>Wrong %{y:.2f} %<br>Threshold %{customdata:.1f} %"
        "<extra></extra>",
    )
    answered = curve[curve["threshold"] >= threshold].tail(1)
    figure.add_scatter(
        x=100 * answered["coverage"],
        y=100 * answered["risk"],
        mode="markers",
        marker={"color": SECOND, "size": 12},
        name="Chosen threshold",
        hoverinfo="skip",
    )
    top = 100 * max(float(curve["risk"].max()), float(curve["high"].iloc[-1])) * 1.1
    _unit_square(figure, "Answered by the model, % of images", "Wrong answers, % of answered")
    figure.update_yaxes(range=[0, min(max(top, 1), 100)])
    return figure


def detection_curves_figure(curves: pd.DataFrame, figures: DetectionFigures) -> go.Figure:
    """Draw precision over recall at IoU .5 for each kind, with its mAP50 in the legend."""
    points = {kind: curves[curves["kind"] == kind] for kind in CELL_KINDS}
    return precision_recall_figure(
        {str(kind): frame for kind, frame in points.items()},
        {kind: own.map50 for kind, own in figures.per_kind.items()},
    )


def counts_figure(pairs: pd.DataFrame, kind: str) -> go.Figure:
    """Draw found over true cells of a kind, one marker a pair of numbers, sized by images."""
    grouped = pairs.groupby(["truth", "found"], as_index=False).agg(
        images=("file", "size"), first=("file", "first")
    )
    most = int(max(pairs["truth"].max(), pairs["found"].max(), 1))
    right = grouped["truth"] == grouped["found"]
    figure = go.Figure()
    add_helper_line(figure, [0, most], [0, most])
    for name, rows, colour in (
        ("Count exact", grouped[right], MAIN),
        ("Count off", grouped[~right], SECOND),
    ):
        figure.add_scatter(
            x=rows["truth"],
            y=rows["found"],
            customdata=rows[["images", "first"]],
            mode="markers",
            marker={
                "color": colour,
                "opacity": 0.8,
                "size": 7 + 21 * np.sqrt(rows["images"] / grouped["images"].max()),
            },
            name=f"{name} ({rows['images'].sum()} images)",
            hovertemplate="True %{x}, found %{y}: %{customdata[0]} images<br>such as "
            "%{customdata[1]}<extra></extra>",
        )
    noun = label_phrase(kind) + "s"
    span = [-0.06 * most - 0.3, 1.06 * most + 0.3]
    _unit_square(figure, f"True {noun} in an image", f"Found {noun} in an image")
    step = {"dtick": 1} if most <= 12 else {}
    figure.update_xaxes(range=span, **step)
    figure.update_yaxes(range=span, **step)
    return figure


def training_figure(history: pd.DataFrame, measure: str) -> go.Figure:
    """Draw a measure and its `val_` twin over epochs; a line marks where a phase begins."""
    figure = go.Figure()
    series = ((measure, "Training", MAIN), (f"val_{measure}", "Validation", SECOND))
    for column, name, colour in series:
        if column in history:
            figure.add_scatter(
                x=history["epoch"],
                y=history[column],
                mode="lines+markers" if len(history) < 60 else "lines",
                marker={"size": 5},
                line={"color": colour, "width": 2},
                name=name,
                hovertemplate="Epoch %{x}: %{y:.4g}<extra></extra>",
            )
    rows = _mark_phases(figure, history)
    figure.update_xaxes(title="Epoch", zeroline=False)
    figure.update_yaxes(title=measure_name(measure), automargin=True, zeroline=False)
    lay_out(
        figure,
        360,
        top=40 + _NAME_HEIGHT * rows,
        # Above the names of the phases, which stand above the plot.
        legend=LEGEND_ABOVE | {"y": 1, "yref": "container", "yanchor": "top"},
        hovermode="closest",
        dragmode=False,
    )
    return figure


def learning_rate_figure(history: pd.DataFrame) -> go.Figure:
    """Draw the learning rate over epochs, on a logarithmic axis."""
    figure = training_figure(history, "learning_rate")
    figure.update_yaxes(type="log", dtick=1, exponentformat="power")
    figure.update_traces(showlegend=False)
    return figure


def measures(history: pd.DataFrame) -> list[str]:
    """Return the columns that have a `val_` twin, the loss first."""
    found = [c for c in history.columns if f"val_{c}" in history.columns]
    return sorted(found, key=lambda column: column != "loss")


def measure_name(measure: str) -> str:
    """Write a column of the history for a page: `type_accuracy` is `Type accuracy`."""
    return measure.replace("_", " ").capitalize()


def _mark_phases(figure: go.Figure, history: pd.DataFrame) -> int:
    """Part the phases by lines, name them above the plot, and return the rows of names."""
    starts = history.loc[history["phase"] != history["phase"].shift()]
    ends: list[float] = []
    for start in starts.itertuples():
        if start.Index > 0:
            figure.add_vline(x=start.epoch - 0.5, line=HELPER_LINE)
        # The lowest row whose last name ends before this one begins.
        free = (row for row, end in enumerate(ends) if end <= start.epoch)
        row = next(free, len(ends))
        end = start.epoch + len(history) * _LETTER_WIDTH * (len(str(start.phase)) + 1)
        ends[row : row + 1] = [end]
        figure.add_annotation(
            x=start.epoch - 0.4,
            y=1,
            yref="paper",
            yshift=_NAME_HEIGHT * row,
            text=str(start.phase),
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
            font={"size": 12},
        )
    return len(ends)


def class_counts(described: DataSetFigures) -> pd.DataFrame:
    """Return label, split, count of one described set, the most frequent label first."""
    rows = [
        {"label": label_name(label), "split": _SPLITS.get(split, _FOLDS), "count": count}
        for split, own in described.counts.items()
        for label, count in own.items()
    ]
    counts = pd.DataFrame(rows).groupby(["label", "split"], as_index=False)["count"].sum()
    totals = counts.groupby("label")["count"].transform("sum")
    order = counts.assign(total=totals).sort_values(
        ["total", "label"], ascending=[False, True], kind="stable"
    )
    return order[["label", "split", "count"]].reset_index(drop=True)


def distribution_figure(described: DataSetFigures) -> go.Figure:
    """Draw the counts of one set: a bar a label, its splits side by side in it."""
    counts = class_counts(described)
    labels = list(dict.fromkeys(counts["label"]))
    figure = go.Figure()
    for split, colour in _COLOURS.items():
        own = counts[counts["split"] == split]
        if not own.empty:
            figure.add_bar(
                x=own["count"],
                y=own["label"],
                orientation="h",
                name=split,
                marker_color=colour,
                hovertemplate="%{y}: %{x:,} in " + split.lower() + "<extra></extra>",
            )
    lay_out(
        figure,
        90 + _ROW_HEIGHT * len(labels),
        top=30,
        barmode="stack",
        showlegend=True,
        legend=LEGEND_ABOVE,
        dragmode=False,
    )
    figure.update_yaxes(
        categoryorder="array", categoryarray=labels[::-1], automargin=True, zeroline=False
    )
    figure.update_xaxes(title=described.unit, zeroline=False)
    return figure
