"""Figures of differentials and ALL classes, over a sample or patients. Axes are in percent."""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

import plotly.graph_objects as go

from core.charts.style import RANGE_BAND, error_bars, lay_out, top_legend
from core.domain.differential import Differential, Share
from core.domain.intervals import proportion
from core.domain.probability import probability_text
from core.domain.reference_ranges import ReferenceRange
from core.domain.results import StageResult
from core.domain.taxonomy import CELL_TYPES, LEUKOCYTES, STAGES, UNDETERMINED_COLOUR

_ROW_LABEL = 130
"""Width in CSS pixels of the names beside bars, about."""


def _limits(share: Share, total: int) -> str:
    return f"{share.text(' %')}, {share.count} of {total}"


def differential_figure(
    differential: Differential, ranges: Mapping[str, ReferenceRange]
) -> go.Figure:
    """Draw each type's percentage with its exact 95 % interval over its reference range."""
    keys = list(differential.shares)[::-1]
    ranged = [ranges[key] for key in keys if key in ranges]
    figure = go.Figure()
    figure.add_bar(
        y=[CELL_TYPES[limits.analyte].plural for limits in ranged],
        base=[limits.low for limits in ranged],
        x=[limits.high - limits.low for limits in ranged],
        orientation="h",
        width=0.7,
        marker={"color": RANGE_BAND, "line": {"width": 0}},
        name="Reference range",
        customdata=[[limits.low, limits.high, escape(limits.laboratory)] for limits in ranged],
        hovertemplate="Reference range %{customdata[0]}-%{customdata[1]} %, %{customdata[2]}"
        "<extra></extra>",
    )
    for key in keys:
        share, cell_type = differential.shares[key], CELL_TYPES[key]
        limits = _limits(share, differential.total)
        figure.add_scatter(
            x=[share.percent],
            y=[cell_type.plural],
            error_x=error_bars([share.percent], [share.low], [share.high], cell_type.colour),
            mode="markers",
            marker={"color": cell_type.colour, "size": 11},
            cliponaxis=False,
            name=cell_type.name,
            showlegend=False,
            hovertemplate=f"{cell_type.plural}: {limits}<extra></extra>",
        )
    figure.update_xaxes(title="Percent of white cells", range=[-1, 101], zeroline=False)
    figure.update_yaxes(automargin=True)
    lay_out(figure, 310)
    top_legend(figure, width=300)
    return figure


def _stack(
    bars: Mapping[str, str],
    segments: Sequence[tuple[str, str, list[float], list[str]]],
    axis: str,
    shown_width: int,
) -> go.Figure:
    """Stack horizontal bars; each segment is name, colour, widths in percent and hover texts."""
    figure = go.Figure()
    for name, colour, widths, hovers in segments:
        figure.add_bar(
            y=list(bars.values()),
            x=widths,
            orientation="h",
            marker={"color": colour},
            name=name,
            text=[f"{width:.0f} %" if width >= 8 else "" for width in widths],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            customdata=hovers,
            hovertemplate="%{y}<br>%{customdata}<extra></extra>",
        )
    figure.update_xaxes(title=axis, range=[0, 100])
    figure.update_yaxes(automargin=True, autorange="reversed")
    text = {"minsize": 10, "mode": "hide"}
    lay_out(figure, 80 + 46 * len(bars), barmode="stack", bargap=0.35, uniformtext=text)
    top_legend(figure, shown_width - _ROW_LABEL)
    return figure


def patients_figure(differentials: Mapping[str, Differential], shown_width: int = 900) -> go.Figure:
    """Stack the percentages of leukocyte types for every patient; exact limits on hover."""
    bars = {name: f"{escape(name)} (n = {d.total})" for name, d in differentials.items()}
    segments = [
        (
            CELL_TYPES[key].plural,
            CELL_TYPES[key].colour,
            [d.shares[key].percent for d in differentials.values()],
            [
                f"{CELL_TYPES[key].plural}: {_limits(d.shares[key], d.total)}"
                for d in differentials.values()
            ],
        )
        for key in LEUKOCYTES
    ]
    return _stack(bars, segments, "Percent of classified white cells", shown_width)


def probabilities_figure(result: StageResult) -> go.Figure:
    """Draw the calibrated probabilities of the four ALL classes as horizontal bars."""
    keys = list(STAGES)[::-1]
    values = [result.probabilities.get(key, 0.0) for key in keys]
    figure = go.Figure()
    figure.add_bar(
        x=[100 * value for value in values],
        y=[STAGES[key].name for key in keys],
        orientation="h",
        marker={"color": [STAGES[key].colour for key in keys]},
        text=[probability_text(value) for value in values],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{text}<extra></extra>",
        showlegend=False,
    )
    figure.update_xaxes(
        title="Calibrated probability, %", range=[0, 118], tickvals=[0, 25, 50, 75, 100]
    )
    figure.update_yaxes(automargin=True)
    lay_out(figure, 230, right=0, bargap=0.35)
    return figure


def stages_figure(
    results: Mapping[str, Sequence[StageResult]], shown_width: int = 900
) -> go.Figure:
    """Stack the percentages of fields by class for every patient; exact limits on hover."""
    bars = {name: f"{escape(name)} (n = {len(fields)})" for name, fields in results.items()}
    counts = [
        Counter(r.stage if r.status == "classified" else None for r in fields)
        for fields in results.values()
    ]
    named: dict[str | None, tuple[str, str]] = {k: (s.name, s.colour) for k, s in STAGES.items()}
    named[None] = ("Without a class", UNDETERMINED_COLOUR)
    segments = []
    for key, (name, colour) in named.items():
        shares = [proportion(found[key], found.total(), per=100) for found in counts]
        hovers = [
            f"{name}: {share.text(' %')}, {found[key]} of {found.total()} fields"
            for share, found in zip(shares, counts, strict=True)
        ]
        segments.append((name, colour, [share.value for share in shares], hovers))
    return _stack(bars, segments, "Percent of fields", shown_width)
