"""What all figures share: colours, lines, error bars and legends.

Figures have no fonts or backgrounds, so that the page's theme, light or dark, decides them. The
colours and line styles of cell types, stages and statuses are in `core.domain.taxonomy`.
"""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

MAIN, SECOND, THIRD = "#7A5CA8", "#D98A00", "#3E8E7E"
"""Of series that are no cell type, stage or status."""
NEUTRAL = "#8A7F8D"
"""Of a series beside others in the colours of cell types."""
MAIN_BAND = "rgba(122, 92, 168, 0.22)"
RANGE_BAND = "rgba(128, 128, 128, 0.3)"
"""Of reference ranges."""
HELPER_LINE = {"color": "#888888", "width": 1, "dash": "dot"}
LEGEND_ABOVE = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "title": None}
_LEGEND_SYMBOL, _LEGEND_CHARACTER, _LEGEND_ROW = 45, 6, 20
"""Size of a legend entry in CSS pixels: before the text, a letter of it, the height of a row."""


def lay_out(
    figure: go.Figure, height: int, *, top: int = 0, right: int = 10, **layout: Any
) -> None:
    """Set the height, the space above and right of the plot, both in pixels, and more."""
    margin = {"l": 0, "r": right, "t": top, "b": 0}
    figure.update_layout(height=height, margin=margin, **layout)


def add_helper_line(
    figure: go.Figure, x: Sequence[float], y: Sequence[float], dash: str = "dot"
) -> None:
    """Draw a thin grey line that neither the legend nor the pointer names."""
    line = HELPER_LINE | {"dash": dash}
    figure.add_scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", showlegend=False)


def error_bars(
    values: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    colour: str | None = None,
) -> dict[str, Any]:
    """Return error bars from the lower to the upper limits of values."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - value for value, high in zip(values, highs, strict=True)],
        "arrayminus": [value - low for value, low in zip(values, lows, strict=True)],
        "thickness": 1.5,
        "width": 4,
        "color": colour,
    }


def top_legend(figure: go.Figure, width: int) -> None:
    """Put the legend over the figure and make the figure higher by its rows.

    Plotly would take the space from the drawing. It lays entries in one row if they fit into the
    `width` of the drawing, else in columns as wide as the widest.
    """
    names = [trace.name for trace in figure.data if trace.showlegend is not False and trace.name]
    entries = [_LEGEND_SYMBOL + _LEGEND_CHARACTER * len(name) for name in names]
    columns = len(names) if sum(entries) <= width else max(1, width // max(entries))
    rows = -(-len(names) // columns)
    room = _LEGEND_ROW * rows + 10
    figure.update_layout(
        height=figure.layout.height + room,
        margin={"t": room},
        showlegend=True,
        legend={
            "orientation": "h",
            "xref": "container",
            "yref": "container",
            "x": 0,
            "y": 1,
            "xanchor": "left",
            "yanchor": "top",
            "traceorder": "normal",
            "title": None,
            "maxheight": room + 1,
        },
    )
