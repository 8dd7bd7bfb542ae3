"""Drawings of single fields, with boxed cells or a class activation map.

Positions are in pixels of the image as uploaded.
"""

import base64
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import plotly.graph_objects as go

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
        }
    )


def _group(cell: Cell) -> _Group:
    is_named = cell.status != "out_of_scope" or cell.type == "smudge_cell"
    return cell.kind, cell.type if is_named else None, cell.status


def _group_name(group: _Group) -> str:
    kind, cell_type, status = group
    if kind != "wbc":
        return KIND_NAMES[kind]
    if status == "out_of_scope":
        return label_name("smudge_cell" if cell_type == "smudge_cell" else NOT_A_WHITE_CELL)
    name = CELL_TYPES[cell_type].name if cell_type else "Undetermined"
    return f"{name}, uncertain" if status == "uncertain" and cell_type else name


def _said(number: int, cell: Cell) -> str:
    lines = [f"{number} {_group_name(_group(cell))}"]
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
    return "\n".join(lines)


def field_drawing(
    jpeg: bytes,
    analysis: FieldAnalysis,
    kinds: Iterable[CellKind] = ("wbc",),
    segmented: Iterable[CellSegmentation] = (),
) -> dict[str, Any]:
    """Return what `assets/components/field.js` draws: a field with its cells and their legend.

    Colour shows the type, line style the status; white cells have their numbers, which are the ids
    of all cells. `jpeg` shows the whole field at any resolution. Only cells of `kinds` are drawn.
    Of `segmented` cells nucleus and cell are outlined.
    """
    shown, outlined = set(kinds), tuple(segmented)
    # White cells last: they lie over the others.
    ordered = sorted(enumerate(analysis.cells, 1), key=lambda item: item[1].kind == "wbc")
    cells = [
        {
            "id": number,
            "number": str(number) if cell.kind == "wbc" else "",
            "box": list(cell.box.xywh),
            "title": _said(number, cell),
            "group": _group_name(_group(cell)),
            "colour": cell.colour,
            "dashes": _dashes(cell.status),
        }
        for number, cell in ordered
        if cell.kind in shown
    ]
    counts = Counter(cell["group"] for cell in cells)
    first = {cell["group"]: cell for cell in reversed(cells)}
    boxed = sum(cell["number"] != "" for cell in cells)
    parts = (("Cell outline", CELL_COLOUR, "cell"), ("Nucleus", NUCLEUS_COLOUR, "nucleus"))
    return {
        "field": f"{analysis.sha256} {analysis.page}",
        "title": f"Field {analysis.title} with {boxed} boxed white cell{'s' * (boxed != 1)}",
        "src": data_uri(jpeg),
        "width": analysis.width,
        "height": analysis.height,
        "cells": cells,
        "legend": [
            {
                "group": group,
                "text": f"{group} ({count})",
                "colour": first[group]["colour"],
                "dashes": first[group]["dashes"],
            }
            for group, count in counts.items()
        ],
        "outlines": [
            {"colour": colour, "points": " ".join(f"{x:.1f},{y:.1f}" for x, y in line[::_EVERY])}
            for _, colour, part in parts
            for one in outlined
            for line in one.outlines(getattr(one, part))
        ],
        "outlined": [part[:2] for part in parts] if outlined else [],
    }


def _dashes(status: Status) -> str:
    """Return the line of a status as `stroke-dasharray`."""
    return " ".join(f"{2 * length:g}" for length in STATUS_LINES[status])


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
