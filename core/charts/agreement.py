"""The matrix of two readings of the same cells."""

import numpy as np
import plotly.graph_objects as go

from core.charts.matrix import matrix_figure
from core.domain.agreement import Agreement
from core.domain.taxonomy import label_name


def agreement_figure(compared: Agreement, first: str, second: str, *, dark: bool) -> go.Figure:
    """Draw how often each pair of labels occurs: `first` reads down, `second` across.

    Colour is the share of the row, the numbers are cells.
    """
    matrix = np.array(compared.matrix)
    names = [label_name(label) for label in compared.labels]
    texts = [["" if n == 0 else str(n) for n in row] for row in matrix.tolist()]
    figure = matrix_figure(matrix, names, names, texts, titles=(first, second), dark=dark)
    figure.update_traces(
        customdata=matrix,
        hoverinfo=None,
        hovertemplate="%{y} / %{x}: %{customdata} cells<extra></extra>",
    )
    return figure
