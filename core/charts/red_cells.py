"""The diameters of red cells as a histogram."""

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from core.charts.style import add_helper_line, lay_out
from core.domain.taxonomy import label_colour

_BINS = np.arange(50, 151, 5)
"""Percent of the median; what lies beyond is counted in the outer bins."""


def diameters_figure(diameters: NDArray[np.float64]) -> go.Figure:
    """Draw diameters, given over the median of their field, by percent of the median."""
    inside = np.clip(100 * diameters, _BINS[0], _BINS[-1] - 1e-9)
    counts, _ = np.histogram(inside, _BINS)
    figure = go.Figure()
    figure.add_bar(
        x=_BINS[:-1] + 2.5,
        y=counts,
        width=5,
        marker={"color": label_colour("rbc"), "line": {"width": 0}},
        customdata=[f"{low}-{low + 5} %" for low in _BINS[:-1]],
        hovertemplate="%{customdata} of the median: %{y}<extra></extra>",
        showlegend=False,
    )
    add_helper_line(figure, [100, 100], [0, max(int(counts.max()), 1)])
    figure.update_xaxes(title="Diameter, percent of the field's median", range=[50, 150])
    figure.update_yaxes(title="Red cells", rangemode="tozero", automargin=True)
    lay_out(figure, 230, bargap=0)
    return figure
