"""A figure as readers take it home: on white, of one size, with its origin; and its numbers."""

from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

WIDTH, LEAST_HEIGHT = 900, 480
"""Of an exported image in pixels; PNG has three times as many."""
_LINE, _LINE_HEIGHT = 150, 14
"""Characters and pixels of a line of small print."""


def paper_figure(figure: go.Figure, provenance: str) -> go.Figure:
    """Return a copy in black on white with a line of provenance below."""
    paper = go.Figure(figure)
    # The empty line keeps it off the axis.
    lines = ["\N{NO-BREAK SPACE}", *wrap(provenance, _LINE)]
    room = _LINE_HEIGHT * len(lines) + 10
    paper.update_xaxes(automargin=True)
    paper.update_layout(
        template="plotly_white",
        width=None,
        height=max(figure.layout.height or 0, LEAST_HEIGHT) + room,
        paper_bgcolor="white",
        plot_bgcolor="white",
        margin={"l": 8, "r": 16, "b": 0},
        font={"family": "Arial, Helvetica, sans-serif", "size": 14, "color": "black"},
        title={
            "text": "<br>".join(lines),
            "font": {"size": 11, "color": "#444444"},
            "x": 0,
            "xref": "container",
            "y": 0,
            "yref": "container",
            "yanchor": "bottom",
            # Plotly draws the lines of a title below its foot.
            "pad": {"l": 8, "b": room},
            "automargin": True,
        },
    )
    return paper


def figure_table(figure: go.Figure) -> pd.DataFrame:
    """Return the points of a figure: series, both axes by their titles, limits of error bars."""
    x_title = figure.layout.xaxis.title.text or "x"
    y_title = figure.layout.yaxis.title.text or "y"
    parts = []
    for trace in figure.data:
        if trace.hoverinfo == "skip" and trace.showlegend is False:
            continue  # a helper line
        part: dict[str, Any] = {"Series": trace.name or "", x_title: trace.x, y_title: trace.y}
        for title, values, bars in (
            (x_title, trace.x, trace.error_x),
            (y_title, trace.y, trace.error_y),
        ):
            if bars is not None and bars.array is not None:
                part[f"{title}, lower limit"] = np.asarray(values) - np.asarray(bars.arrayminus)
                part[f"{title}, upper limit"] = np.asarray(values) + np.asarray(bars.array)
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)
