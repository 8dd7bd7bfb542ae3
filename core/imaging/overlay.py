"""Drawings over images: boxes and numbers of cells, class activation maps.

Colour shows the type, the line style shows the status (`STATUS_LINES`). White cells have the number
that they have in the gallery and in every table.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL.ImageColor import getrgb

from core.domain.boxes import Box
from core.domain.results import Cell, FieldAnalysis, Pixels
from core.domain.taxonomy import STATUS_LINES
from core.imaging.crop import crop_square
from core.imaging.segmentation import CellSegmentation

NUCLEUS_COLOUR, CELL_COLOUR = "#FFD400", "#00C853"
"""Of outlines: both stand apart from stained nuclei and from red cells."""
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_overlay(pixels: Pixels, analysis: FieldAnalysis) -> Pixels:
    """Return a copy of the image (H x W x 3) with boxes around the cells of its analysis.

    Lines and numbers grow with the image, so that they stay readable when it is shown reduced.
    """
    drawn = np.ascontiguousarray(pixels).copy()
    line = max(1, round(max(drawn.shape[:2]) / 400))
    others = [cell for cell in analysis.cells if cell.kind != "wbc"]
    for cell in others:
        _draw_box(drawn, cell, max(1, line // 2))
    for _, cell in analysis.white_cells():
        _draw_box(drawn, cell, line + 1)
    for number, cell in analysis.white_cells():
        _draw_number(drawn, cell, number)
    return drawn


def cam_overlay(pixels: Pixels, cam: NDArray[np.float32], strength: float = 0.5) -> Pixels:
    """Lay a class activation map (h x w, 0..1, covering the image) over the image (H x W x 3).

    Colours are viridis (Smith and van der Walt 2015). Opacity grows with the activation; `strength`
    is the opacity at 1.
    """
    height, width = pixels.shape[:2]
    weights = np.nan_to_num(cam.astype(np.float32), nan=0.0).clip(0, 1)
    weights = cv2.resize(weights, (width, height), interpolation=cv2.INTER_LINEAR)
    coloured = cv2.applyColorMap(np.rint(weights * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    opacity = weights[..., None] * strength
    mixed = pixels * (1 - opacity) + coloured[..., ::-1] * opacity
    return np.asarray(np.rint(mixed).clip(0, 255), dtype=np.uint8)


def segmentation_overlay(
    pixels: Pixels, box: Box, segmentation: CellSegmentation, size: int
) -> Pixels:
    """Return the square around a segmented cell with outlines, size x size x 3."""
    side = segmentation.side
    drawn = crop_square(pixels, box, side, size).copy()
    corner = np.array([segmentation.x, segmentation.y])
    for mask, colour in (
        (segmentation.cell, CELL_COLOUR),
        (segmentation.nucleus, NUCLEUS_COLOUR),
    ):
        lines = [
            np.rint((line - corner) * size / side).astype(np.int32)
            for line in segmentation.outlines(mask)
        ]
        cv2.polylines(drawn, lines, True, getrgb(colour), max(1, size // 160), cv2.LINE_AA)
    return drawn


def _corners(box: Box) -> NDArray[np.int32]:
    """Return the four corners of a box as 4 x (x, y), clockwise from the top left."""
    left, top = round(box.x), round(box.y)
    right, bottom = round(box.right), round(box.bottom)
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.int32)


def _draw_box(drawn: Pixels, cell: Cell, line: int) -> None:
    colour, corners = getrgb(cell.colour), _corners(cell.box)
    dashes = STATUS_LINES[cell.status]
    if not dashes:
        cv2.polylines(drawn, [corners], True, colour, line, cv2.LINE_AA)
        return
    on, off = (length * (line + 1) for length in dashes)
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        length = float(np.hypot(*(end - start)))
        for begin in np.arange(0, length, on + off):
            stretch = np.array([begin, min(begin + on, length)]) / max(length, 1)
            a, b = (tuple(np.rint(start + (end - start) * s).astype(int).tolist()) for s in stretch)
            cv2.line(drawn, a, b, colour, line, cv2.LINE_AA)


def _draw_number(drawn: Pixels, cell: Cell, number: int) -> None:
    """Write the number on a plate of the cell's colour, above its box or just inside the edge."""
    height, width = drawn.shape[:2]
    scale = max(0.4, max(height, width) / 1400)
    weight = max(1, round(scale * 1.6))
    text, colour = str(number), getrgb(cell.colour)
    (text_width, text_height), _ = cv2.getTextSize(text, _FONT, scale, weight)
    pad = max(2, round(text_height / 3))
    plate_width, plate_height = text_width + 2 * pad, text_height + 2 * pad
    left = int(np.clip(round(cell.box.x), 0, max(0, width - plate_width)))
    top = int(np.clip(round(cell.box.y) - plate_height, 0, max(0, height - plate_height)))
    cv2.rectangle(drawn, (left, top), (left + plate_width, top + plate_height), colour, cv2.FILLED)
    # Luma of ITU-R BT.601 decides between black and white figures.
    ink = (0, 0, 0) if np.dot(colour, (0.299, 0.587, 0.114)) > 140 else (255, 255, 255)
    origin = (left + pad, top + pad + text_height)
    cv2.putText(drawn, text, origin, _FONT, scale, ink, weight, cv2.LINE_AA)
