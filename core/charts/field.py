"""Figures of single fields, with boxed cells or a class activation map.

Positions are in pixels of the image as uploaded.
"""

import base64
from collections.abc import Iterable, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from core.charts.style import top_legend
from core.domain.boxes import Box
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

_PLATE = 0.06
"""Height of a number's plate as a proportion of the image's height, about."""
_FRAME_GAP = 0.12
"""Distance of a frame from the box of its cell as a proportion of the box."""
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


def data_uri(jpeg: bytes) -> str:
    """Return a JPEG as a data URI."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def _image_figure(jpeg: bytes, size: tuple[int, int], shown_width: int) -> go.Figure:
    """Lay an image of `size` (width, height) under axes in its pixels, y down, aspect kept.

    `shown_width` is the width in CSS pixels it will have on the page, about; the figure's height
    follows from it.
    """
    width, height = size
    image = {"source": data_uri(jpeg), "layer": "below", "xref": "x", "yref": "y", "x": 0, "y": 0}
    image |= {"sizex": width, "sizey": height, "sizing": "stretch"}
    axis = {"visible": False, "constrain": "domain", "minallowed": 0}
    return go.Figure(
        layout={
            "images": [image],
            "xaxis": axis | {"range": [0, width], "maxallowed": width},
            "yaxis": axis
            | {"range": [height, 0], "maxallowed": height}
            | {"constraintoward": "top", "scaleanchor": "x"},
            "height": int(np.clip(shown_width * height / width, 240, 620)),
            "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
            "dragmode": "pan",
            "hovermode": "closest",
            "hoverdistance": 40,
        }
    )


def _group_name(group: _Group) -> str:
    kind, cell_type, status = group
    if kind != "wbc":
        return KIND_NAMES[kind]
    if status == "out_of_scope":
        return label_name("smudge_cell" if cell_type == "smudge_cell" else NOT_A_WHITE_CELL)
    name = CELL_TYPES[cell_type].name if cell_type else "Undetermined"
    return f"{name}, uncertain" if status == "uncertain" and cell_type else name


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


def _points(box: Box, kind: CellKind) -> NDArray[np.float64]:
    """Return where a cell can be pointed at, n x 2 (x, y): all over the box of a white cell."""
    if kind != "wbc":
        return np.array([box.centre])
    sixths = np.array([1, 3, 5]) / 6
    places = np.stack(np.meshgrid(sixths, sixths), axis=-1).reshape(-1, 2)
    return places * (box.width, box.height) + (box.x, box.y)


def _corners(box: Box) -> NDArray[np.float64]:
    x, y = (box.x, box.right), (box.y, box.bottom)
    return np.array([(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])])


def _polyline(
    figure: go.Figure,
    contours: Iterable[NDArray[np.float64]],
    line: dict[str, object],
    **options: str,
) -> None:
    """Draw one line along closed contours, n x 2 (x, y) each, broken between them."""
    gap = [[None, None]]
    points = [
        point for contour in contours for part in (contour, contour[:1], gap) for point in part
    ]
    x, y = zip(*points, strict=True)
    figure.add_scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", **options)


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
            is_named = cell.status != "out_of_scope" or cell.type == "smudge_cell"
            group = (cell.kind, cell.type if is_named else None, cell.status)
            groups.setdefault(group, []).append((number, cell))
    for group, cells in groups.items():
        kind, _, status = group
        colour, name = cells[0][1].colour, _group_name(group)
        width = 1.2 if kind != "wbc" else 1.5 if status == "out_of_scope" else 2.5
        _polyline(
            figure,
            (_corners(cell.box) for _, cell in cells),
            {"color": colour, "width": width, "dash": STATUS_LINES[status].name},
            name=f"{name} ({len(cells)})",
            legendgroup=name,
        )
        places = [_points(cell.box, kind) for _, cell in cells]
        x, y = np.concatenate(places).T.tolist()
        figure.add_scatter(
            x=x,
            y=y,
            mode="markers",
            marker={"color": colour, "opacity": 0, "size": 1},
            selected={"marker": {"opacity": 0}},
            unselected={"marker": {"opacity": 0}},
            customdata=[number for number, _ in cells for _ in places[0]],
            text=[text for cell in cells for text in [_hover(*cell)] * len(places[0])],
            hovertemplate="%{text}<extra></extra>",
            name=name,
            legendgroup=name,
            showlegend=False,
        )
    for name, colour, masks in (
        ("Cell outline", CELL_COLOUR, [(one, one.cell) for one in segmented]),
        ("Nucleus", NUCLEUS_COLOUR, [(one, one.nucleus) for one in segmented]),
    ):
        if masks:
            lines = (np.round(c[::_EVERY], 1) for one, mask in masks for c in one.outlines(mask))
            _polyline(figure, lines, {"color": colour, "width": 1.5}, name=name)
    if "wbc" in shown:
        for number, cell in analysis.white_cells():
            _number_plate(figure, number, cell, analysis.height)
    if groups:
        top_legend(figure, shown_width)
    return figure


def add_frames(figure: go.Figure, analysis: FieldAnalysis) -> None:
    """Add a hidden frame around every white cell to its `field_figure`, in their order.

    `shown_frame` shows one: a figure that changes would lose its zoom in the browser.
    """
    for _, cell in analysis.white_cells():
        gap, box = _FRAME_GAP * cell.box.longer_side, cell.box
        figure.add_shape(
            type="rect",
            x0=box.x - gap,
            y0=box.y - gap,
            x1=box.right + gap,
            y1=box.bottom + gap,
            line={"color": "black", "width": 3},
            opacity=0,
        )


def shown_frame(analysis: FieldAnalysis, number: int) -> str:
    """Return CSS of the chart that shows the frame of a white cell of `add_frames`."""
    place = [number for number, _ in analysis.white_cells()].index(number)
    return (
        f".shapelayer path[data-index='{place}'] "
        "{opacity: 1 !important; filter: drop-shadow(0 0 2px white) drop-shadow(0 0 2px white)}"
    )


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
