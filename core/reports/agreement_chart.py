"""The matrix of two readings of the same cells."""

import numpy as np
import plotly.graph_objects as go

from core.agreement import Agreement
from core.reports.cell_groups import label_name
from core.reports.metric_charts import DARK_SCALE, LIGHT_SCALE


def agreement_figure(compared: Agreement, first: str, second: str, *, dark: bool) -> go.Figure:
    """Draw how often each pair of labels occurs: `first` reads down, `second` across.

    Colour is the share of the row, the numbers are cells.
    """
    matrix = np.array(compared.matrix)
    shares = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    names = [label_name(label).replace(" ", "<br>", 1) for label in compared.labels]
    figure = go.Figure()
    figure.add_heatmap(
        z=shares,
        zmin=0,
        zmax=100,
        colorscale=DARK_SCALE if dark else LIGHT_SCALE,
        showscale=False,
        text=[["" if n == 0 else str(n) for n in row] for row in matrix.tolist()],
        texttemplate="%{text}",
        customdata=matrix,
        xgap=2,
        ygap=2,
        hovertemplate="%{y} / %{x}: %{customdata} cells<extra></extra>",
    )
    ticks = {"tickvals": list(range(len(names))), "ticktext": names, "showgrid": False}
    figure.update_xaxes(
        title=second, automargin=True, zeroline=False, autotickangles=[0, -90], **ticks
    )
    figure.update_yaxes(title=first, automargin=True, zeroline=False, autorange="reversed", **ticks)
    figure.update_layout(
        height=150 + 48 * len(names), margin={"l": 0, "r": 0, "t": 10, "b": 0}, dragmode=False
    )
    return figure
