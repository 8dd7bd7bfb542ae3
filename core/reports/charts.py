"""Plotly figures of fields, differentials and ALL classes.

Figures carry no fonts or backgrounds of their own, so that the page's theme, light or dark,
decides them. Shares are in percent, positions in pixels of the picture as uploaded.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from core.differential import ADULT_PERCENT, Differential, Share, exact_interval
from core.imaging.overlay import cell_colour
from core.results import Cell, FieldAnalysis, StageResult
from core.taxonomy import (
    CELL_TYPES,
    KIND_NAMES,
    STAGES,
    UNDETERMINED_COLOUR,
    CellKind,
    Status,
)

LINE_STYLES: dict[Status, str] = {"classified": "solid", "uncertain": "dash", "out_of_scope": "dot"}
_LINE_WIDTHS: dict[Status, float] = {"classified": 2.5, "uncertain": 2.5, "out_of_scope": 1.5}
_STATUS_NAMES: dict[Status, str] = {
    "classified": "",
    "uncertain": ", uncertain",
    "out_of_scope": ", not a white cell",
}
_BAND = "rgba(128, 128, 128, 0.3)"
_LEGEND_SYMBOL, _LEGEND_CHARACTER, _LEGEND_ROW = 45, 6, 20
"""Size of a legend entry in CSS pixels: before the text, a letter of it, the height of a row."""
_ROW_LABEL = 130
"""Width in CSS pixels of the names beside bars, about."""
_PLATE = 0.06
"""Height of a number's plate as a share of the picture's height, about."""
_EVIDENCE_SIDE = 64
"""The evidence map is thinned to at most this many points a side: the browser smooths it."""
# Viridis with an opacity that grows with the evidence, as `overlay.evidence_overlay` draws it.
_EVIDENCE_COLOURS = [
    [0.0, "rgba(68, 1, 84, 0)"],
    [0.25, "rgba(59, 82, 139, 0.25)"],
    [0.5, "rgba(33, 145, 140, 0.5)"],
    [0.75, "rgba(94, 201, 98, 0.75)"],
    [1.0, "rgba(253, 231, 37, 1)"],
]

_Group = tuple[CellKind, str | None, Status]


def _data_uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def _top_legend(figure: go.Figure, width: int) -> None:
    """Put the legend over the figure and make the figure higher by its rows.

    Plotly would take the room from the drawing. It lays entries in one row if they fit into the
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


def _picture_figure(jpeg: bytes, size: tuple[int, int], shown_width: int) -> go.Figure:
    """Lay a picture of `size` (width, height) under axes in its pixels, y down, aspect kept.

    `shown_width` is the width in CSS pixels it will have on the page, about; the figure's height
    follows from it.
    """
    width, height = size
    figure = go.Figure()
    figure.add_layout_image(
        source=_data_uri(jpeg),
        xref="x",
        yref="y",
        x=0,
        y=0,
        sizex=width,
        sizey=height,
        sizing="stretch",
        layer="below",
    )
    figure.update_xaxes(
        visible=False, range=[0, width], constrain="domain", minallowed=0, maxallowed=width
    )
    figure.update_yaxes(
        visible=False,
        range=[height, 0],
        constrain="domain",
        constraintoward="top",
        scaleanchor="x",
        minallowed=0,
        maxallowed=height,
    )
    figure.update_layout(
        height=int(np.clip(shown_width * height / width, 240, 620)),
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        dragmode="pan",
        hovermode="closest",
        hoverdistance=40,
    )
    return figure


def _group_name(group: _Group) -> str:
    kind, cell_type, status = group
    if kind != "wbc":
        return KIND_NAMES[kind]
    if cell_type is None or status == "out_of_scope":
        return "Not a white cell" if status == "out_of_scope" else "Undetermined"
    return CELL_TYPES[cell_type].name + _STATUS_NAMES[status]


def _hover(number: int, cell: Cell) -> str:
    lines = [f"<b>{number}</b> {_group_name((cell.kind, cell.type, cell.status))}"]
    if cell.probabilities:
        likeliest = sorted(cell.probabilities.items(), key=lambda item: -item[1])[:3]
        lines += [f"{CELL_TYPES[key].name}: {100 * p:.1f} %" for key, p in likeliest if p >= 0.001]
    else:
        lines.append(f"Detection score: {100 * cell.confidence:.0f} %")
    return "<br>".join(lines)


def _outlines(cells: Sequence[tuple[int, Cell]]) -> tuple[list[float | None], list[float | None]]:
    """Return one polyline that goes round every box, broken between boxes."""
    x: list[float | None] = []
    y: list[float | None] = []
    for _, cell in cells:
        left, top = cell.box.x, cell.box.y
        right, bottom = left + cell.box.width, top + cell.box.height
        x += [left, right, right, left, left, None]
        y += [top, top, bottom, bottom, top, None]
    return x, y


def field_figure(
    jpeg: bytes,
    analysis: FieldAnalysis,
    kinds: Iterable[CellKind] = ("wbc",),
    shown_width: int = 720,
) -> go.Figure:
    """Draw the picture with its cells: colour by type, line style by status, number beside.

    `jpeg` shows the whole field at any resolution. Only cells of `kinds` are drawn.
    """
    figure = _picture_figure(jpeg, (analysis.width, analysis.height), shown_width)
    shown = set(kinds)
    groups: dict[_Group, list[tuple[int, Cell]]] = {}
    for number, cell in enumerate(analysis.cells, 1):
        if cell.kind in shown:
            groups.setdefault((cell.kind, cell.type, cell.status), []).append((number, cell))
    for group, cells in groups.items():
        kind, _, status = group
        colour, name = cell_colour(cells[0][1]), _group_name(group)
        x, y = _outlines(cells)
        white = kind == "wbc"
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines",
            line={
                "color": colour,
                "width": _LINE_WIDTHS[status] if white else 1.2,
                "dash": LINE_STYLES[status],
            },
            name=f"{name} ({len(cells)})",
            legendgroup=name,
            hoverinfo="skip",
        )
        figure.add_scatter(
            x=[cell.box.centre[0] for _, cell in cells],
            y=[cell.box.centre[1] for _, cell in cells],
            mode="markers",
            marker={"color": colour, "opacity": 0, "size": 1},
            text=[_hover(number, cell) for number, cell in cells],
            hovertemplate="%{text}<extra></extra>",
            name=name,
            legendgroup=name,
            showlegend=False,
        )
    for number, cell in analysis.white_cells():
        if "wbc" in shown:
            _number_plate(figure, number, cell, analysis.height)
    if groups:
        _top_legend(figure, shown_width)
    return figure


def _number_plate(figure: go.Figure, number: int, cell: Cell, height: int) -> None:
    """Write a white cell's number above its box, or inside where the picture ends."""
    colour = cell_colour(cell)
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    figure.add_annotation(
        x=cell.box.x,
        y=cell.box.y,
        text=str(number),
        showarrow=False,
        xanchor="left",
        yanchor="top" if cell.box.y < height * _PLATE else "bottom",
        bgcolor=colour,
        borderpad=1,
        # Luma of ITU-R BT.601 decides between black and white figures.
        font={
            "color": "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "white",
            "size": 13,
        },
    )


def evidence_figure(
    jpeg: bytes,
    result: StageResult,
    size: tuple[int, int],
    opacity: float,
    shown_width: int = 480,
) -> go.Figure:
    """Draw the evidence map of the named class over the picture of `size` (width, height).

    With `opacity` 0, or without a map, the plain picture is drawn.
    """
    width, height = size
    figure = _picture_figure(jpeg, size, shown_width)
    if result.evidence is None or opacity == 0:
        figure.add_scatter(x=[], y=[], showlegend=False)
        return figure
    rows, columns = result.evidence.shape
    step = max(1, -(-max(rows, columns) // _EVIDENCE_SIDE))
    thinned = np.round(result.evidence[::step, ::step], 2)
    dy, dx = height / thinned.shape[0], width / thinned.shape[1]
    figure.add_heatmap(
        z=thinned,
        x0=dx / 2,
        dx=dx,
        y0=dy / 2,
        dy=dy,
        zmin=0,
        zmax=1,
        zsmooth="best",
        colorscale=_EVIDENCE_COLOURS,
        opacity=opacity,
        showscale=False,
        hovertemplate="Evidence %{z:.2f} of 1<extra></extra>",
    )
    return figure


def _limits(share: Share, total: int) -> str:
    return f"{share.percent:.1f} % ({share.low:.1f}-{share.high:.1f}), {share.count} of {total}"


def differential_figure(differential: Differential) -> go.Figure:
    """Draw each type's share with its exact 95 % limits over the adult reference range."""
    keys = list(differential.shares)[::-1]
    ranges = [ADULT_PERCENT[key] for key in keys]
    figure = go.Figure()
    figure.add_bar(
        y=[CELL_TYPES[key].plural for key in keys],
        base=[low for low, _ in ranges],
        x=[high - low for low, high in ranges],
        orientation="h",
        width=0.7,
        marker={"color": _BAND, "line": {"width": 0}},
        name="Adult reference",
        customdata=ranges,
        hovertemplate="Adult reference %{customdata[0]}-%{customdata[1]} %<extra></extra>",
    )
    for key in keys:
        share, cell_type = differential.shares[key], CELL_TYPES[key]
        limits = _limits(share, differential.total)
        figure.add_scatter(
            x=[share.percent],
            y=[cell_type.plural],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [share.high - share.percent],
                "arrayminus": [share.percent - share.low],
                "thickness": 2,
                "width": 5,
                "color": cell_type.colour,
            },
            mode="markers",
            marker={"color": cell_type.colour, "size": 11},
            name=cell_type.name,
            showlegend=False,
            hovertemplate=f"{cell_type.plural}: {limits}<extra></extra>",
        )
    figure.update_xaxes(title="Share of white cells, %", range=[-1, 101], zeroline=False)
    figure.update_yaxes(automargin=True)
    figure.update_layout(
        height=310,
        margin={"l": 0, "r": 10, "t": 0, "b": 0},
    )
    _top_legend(figure, width=300)
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
    figure.update_layout(
        barmode="stack",
        height=80 + 46 * len(bars),
        bargap=0.35,
        margin={"l": 0, "r": 10, "t": 0, "b": 0},
    )
    _top_legend(figure, shown_width - _ROW_LABEL)
    return figure


def patients_figure(differentials: Mapping[str, Differential], shown_width: int = 900) -> go.Figure:
    """Stack the shares of leukocyte types for every patient; exact limits on hover."""
    bars = {name: f"{escape(name)} (n = {d.total})" for name, d in differentials.items()}
    keys = list(next(iter(differentials.values())).shares)
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
        for key in keys
    ]
    return _stack(bars, segments, "Share of classified white cells, %", shown_width)


def probabilities_figure(result: StageResult) -> go.Figure:
    """Draw the calibrated probabilities of the four ALL classes as horizontal bars."""
    keys = list(STAGES)[::-1]
    percents = [100 * result.probabilities.get(key, 0.0) for key in keys]
    figure = go.Figure()
    figure.add_bar(
        x=percents,
        y=[STAGES[key].name for key in keys],
        orientation="h",
        marker={"color": [STAGES[key].colour for key in keys]},
        text=[f"{percent:.1f} %" for percent in percents],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.1f} %<extra></extra>",
        showlegend=False,
    )
    figure.update_xaxes(
        title="Calibrated probability, %", range=[0, 118], tickvals=[0, 25, 50, 75, 100]
    )
    figure.update_yaxes(automargin=True)
    figure.update_layout(height=230, margin={"l": 0, "r": 0, "t": 0, "b": 0}, bargap=0.35)
    return figure


def stages_figure(
    results: Mapping[str, Sequence[StageResult]], shown_width: int = 900
) -> go.Figure:
    """Stack for every patient the share of fields by class; exact limits on hover."""
    bars = {name: f"{escape(name)} (n = {len(fields)})" for name, fields in results.items()}

    def segment(
        name: str, colour: str, counts: Sequence[int]
    ) -> tuple[str, str, list[float], list[str]]:
        totals = [len(fields) for fields in results.values()]
        limits = [exact_interval(c, n) for c, n in zip(counts, totals, strict=True)]
        shares = [100 * c / n for c, n in zip(counts, totals, strict=True)]
        hovers = [
            f"{name}: {share:.1f} % ({100 * low:.1f}-{100 * high:.1f}), {c} of {n} fields"
            for c, n, share, (low, high) in zip(counts, totals, shares, limits, strict=True)
        ]
        return name, colour, shares, hovers

    def count(stage: str) -> list[int]:
        return [
            sum(r.stage == stage and r.status == "classified" for r in fields)
            for fields in results.values()
        ]

    segments = [segment(stage.name, stage.colour, count(key)) for key, stage in STAGES.items()]
    undecided = [sum(r.status != "classified" for r in fields) for fields in results.values()]
    segments.append(segment("Uncertain or refused", UNDETERMINED_COLOUR, undecided))
    return _stack(bars, segments, "Share of fields, %", shown_width)
