"""Plotly figures of how good the models are.

They leave fonts and backgrounds to the page's theme. Axes are in percent where the page speaks of
percent. Each takes what `evaluate` measured and computes nothing but percentages.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.matrix import matrix_figure, row_shares
from core.domain.taxonomy import CELL_KINDS, label_colour, label_name
from core.evaluation.report import label_phrase
from core.evaluation.schema import ClassificationFigures, DetectionFigures
from core.evaluation.tables import three_digits

Cell = tuple[str, str]
"""True and predicted label: a cell of the confusion matrix."""

ZOOM = 10
"""Percent that a zoomed curve shows of either axis."""
MAIN = "#7A5CA8"
SECOND = "#D98A00"
_GREY = "#888888"
_BAND = "rgba(122, 92, 168, 0.22)"
HELPER_LINE = {"color": _GREY, "width": 1, "dash": "dot"}
LEGEND_ABOVE = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "title": None}


def confusion_figure(
    figures: ClassificationFigures, *, by_row: bool, dark: bool, chosen: Cell | None = None
) -> go.Figure:
    """Draw the confusion matrix, truth down and prediction across; `chosen` gets an outline.

    Colour is always the share of the row, so that rare classes stay readable; the numbers are
    images, or with `by_row` percent of the row. Each cell holds an unseen square marker with
    (truth, prediction) as `customdata`, because a heatmap reports no clicks. A last column shows
    images without an answer when there are any.
    """
    labels = list(figures.labels)
    matrix = np.array(figures.confusion)
    across = list(labels)
    if any(figures.unanswered):
        across.append("none")
        matrix = np.column_stack([matrix, figures.unanswered])
    support, shares = matrix.sum(axis=1), row_shares(matrix)
    texts = [
        [
            "" if n == 0 else f"{share:.1f}" if by_row else f"{n}"
            for n, share in zip(*row, strict=True)
        ]
        for row in zip(matrix, shares, strict=True)
    ]
    figure = matrix_figure(
        matrix,
        [label_name(label) for label in labels],
        [label_name(label) for label in across],
        texts,
        titles=("Truth", "Prediction"),
        dark=dark,
    )
    cells = [(row, column) for row in range(len(labels)) for column in range(len(across))]
    figure.add_scatter(
        x=[column for _, column in cells],
        y=[row for row, _ in cells],
        customdata=[[labels[row], across[column]] for row, column in cells],
        text=[
            f"True {label_phrase(labels[row])}, called {label_phrase(across[column])}:"
            f"<br>{matrix[row, column]} of {support[row]} images ({shares[row, column]:.1f} %)"
            for row, column in cells
        ],
        hovertemplate="%{text}<extra></extra>",
        mode="markers",
        marker={"symbol": "square", "size": 30, "opacity": 0},
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
        showlegend=False,
    )
    if chosen is not None and chosen[0] in labels and chosen[1] in across:
        x, y = across.index(chosen[1]), labels.index(chosen[0])
        figure.add_shape(
            type="rect",
            x0=x - 0.48,
            x1=x + 0.48,
            y0=y - 0.48,
            y1=y + 0.48,
            line={"color": SECOND, "width": 3},
        )
    figure.update_layout(clickmode="event+select", hovermode="closest", hoverdistance=40)
    return figure


def _unit_square(figure: go.Figure, x: str, y: str) -> go.Figure:
    figure.update_xaxes(title=x, range=[0, 100.5], zeroline=False)
    figure.update_yaxes(title=y, range=[0, 101], zeroline=False, automargin=True)
    figure.update_layout(
        height=420,
        margin={"l": 0, "r": 10, "t": 10, "b": 0},
        legend=LEGEND_ABOVE,
        hovermode="closest",
        dragmode=False,
    )
    return figure


def roc_figure(
    points: Mapping[str, pd.DataFrame], areas: Mapping[str, float | None], *, zoomed: bool = False
) -> go.Figure:
    """Draw one ROC curve a class against the rest; `points` as of `roc_points`, by label.

    `zoomed` shows the corner of few false alarms and many found.
    """
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 100], y=[0, 100], mode="lines", line=HELPER_LINE, hoverinfo="skip", showlegend=False
    )
    for label, frame in points.items():
        if not frame.empty:
            figure.add_scatter(
                x=100 * frame["false_positive_rate"],
                y=100 * frame["true_positive_rate"],
                mode="lines",
                line={"color": label_colour(label), "width": 2},
                name=f"{label_name(label)} {three_digits(areas[label])}",
                hovertemplate="%{x:.1f} % false alarms, %{y:.1f} % found<extra></extra>",
            )
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
    for label, frame in points.items():
        if not frame.empty:
            figure.add_scatter(
                x=100 * frame["recall"],
                y=100 * frame["precision"],
                mode="lines",
                # The grey of white cells in pictures would vanish on a dark page.
                line={"color": MAIN if label == "wbc" else label_colour(label), "width": 2},
                name=f"{label_name(label)} {three_digits(areas[label])}",
                hovertemplate="Recall %{x:.1f} %, precision %{y:.1f} %<extra></extra>",
            )
    _unit_square(figure, "Recall, %", "Precision, %")
    if zoomed:
        figure.update_xaxes(range=[100 - ZOOM, 100.1])
        figure.update_yaxes(range=[100 - ZOOM, 100.1])
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
        error_y={
            "type": "data",
            "symmetric": False,
            "array": 100 * bins["accuracy_high"] - accuracy,
            "arrayminus": accuracy - 100 * bins["accuracy_low"],
            "thickness": 1.5,
            "width": 4,
            "color": MAIN,
        },
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
    """Draw the share of wrong answers among the answered, with the place of a threshold."""
    coverage = 100 * curve["coverage"]
    figure = go.Figure()
    for column, fill in (("high", None), ("low", "tonexty")):
        figure.add_scatter(
            x=coverage,
            y=100 * curve[column],
            mode="lines",
            line={"width": 0, "color": MAIN},
            fill=fill,
            fillcolor=_BAND,
            name="95 % limits",
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
    figure.add_scatter(
        x=[0, most],
        y=[0, most],
        mode="lines",
        line=HELPER_LINE,
        hoverinfo="skip",
        showlegend=False,
    )
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
