"""Figures of what was measured beside the sets: corruptions, and sources left out of training."""

from collections.abc import Mapping
from itertools import cycle

import plotly.graph_objects as go

from core.charts.style import (
    HELPER_LINE,
    LEGEND_ABOVE,
    MAIN,
    NEUTRAL,
    SECOND,
    THIRD,
    error_bars,
    lay_out,
)
from core.evaluation.comparisons import SourcesRow
from core.evaluation.schema import CorruptionFigures
from core.evaluation.tables import SOURCES

WANTED_DROP = 2.0
"""Points of accuracy that a corruption may cost."""
_ROW_HEIGHT = 30


def corruptions_figure(measured: CorruptionFigures) -> go.Figure:
    """Draw the points of accuracy that each corruption costs, the worst on top."""
    rows = sorted(measured.rows, key=lambda row: row.drop)
    lost = [100 * row.drop for row in rows]
    figure = go.Figure(
        go.Bar(
            x=lost,
            y=[row.corruption for row in rows],
            orientation="h",
            marker_color=[SECOND if value > WANTED_DROP else MAIN for value in lost],
            text=[f"{value:.1f}" for value in lost],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.1f} points lost<extra></extra>",
        )
    )
    figure.add_vline(x=WANTED_DROP, line=HELPER_LINE)
    figure.update_layout(
        height=90 + _ROW_HEIGHT * len(rows),
        margin={"l": 10, "r": 40, "t": 10, "b": 40},
        showlegend=False,
    )
    least, most = min(0.0, *lost), max(3.0, *lost)
    room = 0.18 * (most - least)  # for the numbers, on a phone too
    figure.update_xaxes(title="Accuracy lost, points", range=[least - room, most + room])
    figure.update_yaxes(automargin=True)
    return figure


def sources_figure(rows: Mapping[str, SourcesRow]) -> go.Figure:
    """Draw the balanced accuracy on each source, a bar a training; hatched where it lacked it."""
    figure = go.Figure()
    ordered = [rows[key] for key in SOURCES if key in rows]
    for row, colour in zip(ordered, cycle((MAIN, NEUTRAL, SECOND, THIRD, NEUTRAL))):
        shares = {key: own.balanced_accuracy or own.accuracy for key, own in row.sets.items()}
        values = [100 * share.value for share in shares.values()]
        figure.add_bar(
            x=[SOURCES[key] for key in shares],
            y=values,
            error_y=error_bars(
                values,
                [100 * s.low for s in shares.values()],
                [100 * s.high for s in shares.values()],
            ),
            marker={
                "color": colour,
                "pattern": {"shape": ["" if key in row.trained_on else "/" for key in shares]},
            },
            name="Trained on " + ", ".join(SOURCES[key] for key in row.trained_on),
            hovertemplate="%{x}: %{y:.1f} %<extra></extra>",
        )
    lay_out(figure, 380, top=40, barmode="group", legend=LEGEND_ABOVE, dragmode=False)
    figure.update_yaxes(
        title="Balanced accuracy, %", range=[0, 101], zeroline=False, automargin=True
    )
    return figure
