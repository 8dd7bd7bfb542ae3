"""Plotly figures of how a model was trained, from its `history.csv`."""

import pandas as pd
import plotly.graph_objects as go

from core.charts.metrics import HELPER_LINE, LEGEND_ABOVE, MAIN, SECOND

_LETTER_WIDTH = 0.025
"""Of a phase's name, as a share of the plot on a phone."""
_NAME_HEIGHT = 16


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
    figure.update_layout(
        height=360,
        margin={"l": 0, "r": 10, "t": 40 + _NAME_HEIGHT * rows, "b": 0},
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
