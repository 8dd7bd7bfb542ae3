"""Figures of single fields, with boxed cells or a class activation map.

Positions are in pixels of the image as uploaded.
"""

import base64
from collections.abc import Iterable, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from core.charts.style import top_legend
from core.domain.probability import probability_text
from core.domain.results import Cell, FieldAnalysis, StageResult
from core.domain.taxonomy import (
    CELL_TYPES,
    KIND_NAMES,
    NOT_A_WHITE_CELL,
    STATUS_LINES,
    CellKind,
    Status,
    label_name,
)
from core.imaging.overlay import CELL_COLOUR, NUCLEUS_COLOUR
from core.imaging.segmentation import CellSegmentation

_LINE_WIDTHS: dict[Status, float] = {"classified": 2.5, "uncertain": 2.5, "out_of_scope": 1.5}
_STATUS_NAMES: dict[Status, str] = {
    "classified": "",
    "uncertain": ", uncertain",
    "out_of_scope": "",
}
_PLATE = 0.06
"""Height of a number's plate as a proportion of the image's height, about."""
_EVERY = 3
"""Of the points of an outline one in so many is drawn."""
_CAM_SIDE = 64
"""Points per side to which the class activation map is thinned; the browser smooths it."""
# Viridis with an opacity that grows with the activation, as `overlay.cam_overlay` draws it.
_CAM_COLOURS = [
    [0.0, "rgba(68, 1, 84, 0)"],
    [0.25, "rgba(59, 82, 139, 0.25)"],
    [0.5, "rgba(33, 145, 140, 0.5)"],
    [0.75, "rgba(94, 201, 98, 0.75)"],
    [1.0, "rgba(253, 231, 37, 1)"],
]

_Group = tuple[CellKind, str | None, Status]


def _data_uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def _image_figure(jpeg: bytes, size: tuple[int, int], shown_width: int) -> go.Figure:
    """Lay a image of `size` (width, height) under axes in its pixels, y down, aspect kept.

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
    if status == "out_of_scope":
        return label_name("smudge_cell" if cell_type == "smudge_cell" else NOT_A_WHITE_CELL)
    if cell_type is None:
        return "Undetermined"
    return CELL_TYPES[cell_type].name + _STATUS_NAMES[status]


def _hover(number: int, cell: Cell) -> str:
    lines = [f"<b>{number}</b> {_group_name((cell.kind, cell.type, cell.status))}"]
    if cell.likely_subtype:
        lines.append(f"Likely {label_name(cell.likely_subtype).lower()}")
    if cell.probabilities:
        likeliest = sorted(cell.probabilities.items(), key=lambda item: -item[1])[:3]
        lines += [
            f"{CELL_TYPES[key].name}: {probability_text(p)}" for key, p in likeliest if p >= 0.001
        ]
    else:
        lines.append(f"Detection score: {100 * cell.confidence:.0f} %")
    if cell.duplicate:
        lines.append("Counted in another field that shows it too")
    return "<br>".join(lines)


def _points(cell: Cell) -> list[tuple[float, float]]:
    """Return where a cell can be pointed at: nine places all over the box of a white cell."""
    box = cell.box
    if cell.kind != "wbc":
        return [box.centre]
    thirds = (1 / 6, 3 / 6, 5 / 6)
    return [
        (box.x + across * box.width, box.y + down * box.height)
        for down in thirds
        for across in thirds
    ]


def _outlines(cells: Sequence[tuple[int, Cell]]) -> tuple[list[float | None], list[float | None]]:
    """Return one polyline that goes round every box, broken between boxes."""
    x: list[float | None] = []
    y: list[float | None] = []
    for _, cell in cells:
        left, top = cell.box.x, cell.box.y
        right, bottom = cell.box.right, cell.box.bottom
        x += [left, right, right, left, left, None]
        y += [top, top, bottom, bottom, top, None]
    return x, y


def _polyline(
    contours: Iterable[NDArray[np.float64]],
) -> tuple[list[float | None], list[float | None]]:
    """Return one polyline along closed contours, n x 2 (x, y) each, broken between them."""
    x: list[float | None] = []
    y: list[float | None] = []
    for contour in contours:
        thinned = np.round(np.vstack([contour[::_EVERY], contour[:1]]), 1)
        x += [*thinned[:, 0].tolist(), None]
        y += [*thinned[:, 1].tolist(), None]
    return x, y


def field_figure(
    jpeg: bytes,
    analysis: FieldAnalysis,
    kinds: Iterable[CellKind] = ("wbc",),
    shown_width: int = 720,
    segmented: Sequence[CellSegmentation] = (),
) -> go.Figure:
    """Draw the image with its cells: colour by type, line style by status, number beside.

    `jpeg` shows the whole field at any resolution. Only cells of `kinds` are drawn. Points of a
    selection carry the number of their cell as `customdata`. Of `segmented` cells nucleus and cell
    are outlined.
    """
    figure = _image_figure(jpeg, (analysis.width, analysis.height), shown_width)
    shown = set(kinds)
    groups: dict[_Group, list[tuple[int, Cell]]] = {}
    for number, cell in enumerate(analysis.cells, 1):
        if cell.kind in shown:
            groups.setdefault((cell.kind, cell.type, cell.status), []).append((number, cell))
    for group, cells in groups.items():
        kind, _, status = group
        colour, name = cells[0][1].colour, _group_name(group)
        x, y = _outlines(cells)
        white = kind == "wbc"
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines",
            line={
                "color": colour,
                "width": _LINE_WIDTHS[status] if white else 1.2,
                "dash": STATUS_LINES[status].name,
            },
            name=f"{name} ({len(cells)})",
            legendgroup=name,
            hoverinfo="skip",
        )
        points = [(number, cell, *point) for number, cell in cells for point in _points(cell)]
        figure.add_scatter(
            x=[x for *_, x, _ in points],
            y=[y for *_, y in points],
            mode="markers",
            marker={"color": colour, "opacity": 0, "size": 1},
            selected={"marker": {"opacity": 0}},
            unselected={"marker": {"opacity": 0}},
            customdata=[number for number, *_ in points],
            text=[_hover(number, cell) for number, cell, *_ in points],
            hovertemplate="%{text}<extra></extra>",
            name=name,
            legendgroup=name,
            showlegend=False,
        )
    for name, colour, contours in (
        ("Cell outline", CELL_COLOUR, [line for s in segmented for line in s.outlines(s.cell)]),
        ("Nucleus", NUCLEUS_COLOUR, [line for s in segmented for line in s.outlines(s.nucleus)]),
    ):
        if contours:
            x, y = _polyline(contours)
            line = {"color": colour, "width": 1.5}
            figure.add_scatter(x=x, y=y, mode="lines", line=line, name=name, hoverinfo="skip")
    for number, cell in analysis.white_cells():
        if "wbc" in shown:
            _number_plate(figure, number, cell, analysis.height)
    if groups:
        top_legend(figure, shown_width)
    return figure


def _number_plate(figure: go.Figure, number: int, cell: Cell, height: int) -> None:
    """Write a white cell's number above its box, or inside where the image ends."""
    colour = cell.colour
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    figure.add_annotation(
        x=max(cell.box.x, 0),
        y=max(cell.box.y, 0),
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


def cam_figure(
    jpeg: bytes,
    result: StageResult,
    size: tuple[int, int],
    opacity: float,
    shown_width: int = 480,
) -> go.Figure:
    """Draw the class activation map of the named class over the image of `size` (width, height).

    With `opacity` 0, or without a map, the plain image is drawn.
    """
    width, height = size
    figure = _image_figure(jpeg, size, shown_width)
    if result.cam is None or opacity == 0:
        figure.add_scatter(x=[], y=[], showlegend=False)
        return figure
    rows, columns = result.cam.shape
    step = max(1, -(-max(rows, columns) // _CAM_SIDE))
    thinned = np.round(result.cam[::step, ::step], 2)
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
        colorscale=_CAM_COLOURS,
        opacity=opacity,
        showscale=False,
        hovertemplate="Activation %{z:.2f} of 1<extra></extra>",
    )
    return figure
