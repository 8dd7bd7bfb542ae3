"""Matrices of counts whose colour is the percentage of the row: confusion and agreement."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from core.charts.style import MAIN, SECOND, lay_out
from core.domain.agreement import Agreement
from core.domain.taxonomy import label_name
from core.evaluation.report import label_phrase
from core.evaluation.schema import ClassificationFigures

Cell = tuple[str, str]
"""True and predicted label: a cell of the confusion matrix."""

# From the background of each theme to its accent: zero percent vanishes in the page.
_LIGHT_SCALE = [[0, "#F5F1F5"], [0.15, "#D9BBD4"], [1, "#7A2E6B"]]
_DARK_SCALE = [[0, "#221E2A"], [0.15, "#4A3149"], [1, "#A85B99"]]


def _row_percent(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return percent of the row; a row without counts stays zero."""
    return np.asarray(100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1))


def _broken(name: str) -> str:
    """Break a long name so that axes keep space for the figure on a phone."""
    return name.replace(" ", "<br>", 1)


def _matrix_figure(  # noqa: PLR0913 - what is written where in one matrix
    matrix: NDArray[np.int64],
    down: Sequence[str],
    across: Sequence[str],
    texts: Sequence[Sequence[str]],
    *,
    titles: tuple[str, str],
    dark: bool,
) -> go.Figure:
    """Draw counts with names of rows (`down`) and columns (`across`), first row on top.

    `texts` stand in the cells, `titles` beside the rows and below the columns. The figure answers
    to no pointer; the caller adds what should.
    """
    figure = go.Figure(
        go.Heatmap(
            z=_row_percent(matrix),
            zmin=0,
            zmax=100,
            colorscale=_DARK_SCALE if dark else _LIGHT_SCALE,
            showscale=False,
            text=texts,
            texttemplate="%{text}",
            textfont={"size": 13},
            xgap=2,
            ygap=2,
            hoverinfo="skip",
        )
    )
    figure.update_xaxes(
        title=titles[1],
        tickvals=list(range(len(across))),
        ticktext=[_broken(name) for name in across],
        # Upright where names would overlap, never slanted.
        autotickangles=[0, -90],
        range=[-0.5, len(across) - 0.5],
    )
    figure.update_yaxes(
        title=titles[0],
        tickvals=list(range(len(down))),
        ticktext=[_broken(name) for name in down],
        range=[len(down) - 0.5, -0.5],
    )
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(showgrid=False, zeroline=False, automargin=True)
    lay_out(figure, 150 + 52 * len(down), top=10, right=16, dragmode=False)
    return figure


def confusion_figure(
    figures: ClassificationFigures, *, by_row: bool, dark: bool, chosen: Cell | None = None
) -> go.Figure:
    """Draw the confusion matrix, truth down and prediction across; `chosen` gets an outline.

    Colour is always the percentage of the row, so that rare classes stay readable; the numbers are
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
    support, shares = matrix.sum(axis=1), _row_percent(matrix)
    texts = [
        [
            "" if n == 0 else f"{share:.1f}" if by_row else f"{n}"
            for n, share in zip(*row, strict=True)
        ]
        for row in zip(matrix, shares, strict=True)
    ]
    figure = _matrix_figure(
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


def matrix_difference_figure(first: pd.DataFrame, second: pd.DataFrame, *, dark: bool) -> go.Figure:
    """Draw a confusion matrix less another one, in images; truth down, prediction across.

    Colour is the difference in percent of the row: orange where the second has more, purple where
    it has less.
    """
    names = [label_name(label) for label in first.index]
    images = (second - first).to_numpy()
    percent = 100 * images / np.maximum(first.to_numpy().sum(axis=1, keepdims=True), 1)
    texts = [["" if n == 0 else f"{n:+d}" for n in row] for row in images.tolist()]
    figure = _matrix_figure(images, names, names, texts, titles=("Truth", "Prediction"), dark=dark)
    reach = max(float(np.abs(percent).max()), 1.0)
    figure.update_traces(
        z=percent,
        zmin=-reach,
        zmax=reach,
        colorscale=[[0, MAIN], [0.5, (_DARK_SCALE if dark else _LIGHT_SCALE)[0][1]], [1, SECOND]],
        hoverinfo=None,
        customdata=images,
        hovertemplate="True %{y}, called %{x}: %{customdata:+d} images, %{z:+.1f} points"
        "<extra></extra>",
    )
    return figure


def agreement_figure(
    compared: Agreement,
    first: str,
    second: str,
    *,
    dark: bool,
    name: Callable[[str], str] = label_name,
) -> go.Figure:
    """Draw how often each pair of labels occurs: `first` reads down, `second` across.

    Colour is the percentage of the row, the numbers are cells.
    """
    matrix = np.array(compared.matrix)
    names = [name(label) for label in compared.labels]
    texts = [["" if n == 0 else str(n) for n in row] for row in matrix.tolist()]
    figure = _matrix_figure(matrix, names, names, texts, titles=(first, second), dark=dark)
    figure.update_traces(
        customdata=matrix,
        hoverinfo=None,
        hovertemplate="%{y} / %{x}: %{customdata} cells<extra></extra>",
    )
    return figure
