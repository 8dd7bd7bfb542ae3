"""A matrix of counts whose colour is the share of the row: confusions, and two readings."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

# From each theme's own background to its own accent: a share of zero vanishes in the page.
_LIGHT_SCALE = [[0, "#F5F1F5"], [0.15, "#D9BBD4"], [1, "#7A2E6B"]]
_DARK_SCALE = [[0, "#221E2A"], [0.15, "#4A3149"], [1, "#A85B99"]]


def row_shares(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return percent of the row; a row without counts stays zero."""
    return np.asarray(100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1))


def broken(name: str) -> str:
    """Break a long name so that axes keep room for the figure on a phone."""
    return name.replace(" ", "<br>", 1)


def matrix_figure(  # noqa: PLR0913 - what is written where in one matrix
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
            z=row_shares(matrix),
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
        ticktext=[broken(name) for name in across],
        # Upright where names would overlap, never slanted.
        autotickangles=[0, -90],
        range=[-0.5, len(across) - 0.5],
    )
    figure.update_yaxes(
        title=titles[0],
        tickvals=list(range(len(down))),
        ticktext=[broken(name) for name in down],
        range=[len(down) - 0.5, -0.5],
    )
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(showgrid=False, zeroline=False, automargin=True)
    figure.update_layout(
        height=150 + 52 * len(down), margin={"l": 0, "r": 0, "t": 10, "b": 0}, dragmode=False
    )
    return figure
