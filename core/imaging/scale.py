"""Micrometres per pixel of a field: from the file's header, else from its red cells."""

from collections.abc import Iterable
from statistics import median

from core.results import Cell, FieldImage, Scale

RED_CELL_MICROMETRES = 7.5
"""Mean diameter of a red cell on a dried smear (6.2-8.2 µm across all healthy cells)."""

MINIMUM_RED_CELLS = 5
CONFIDENT_SCORE = 0.5
BORDER_PIXELS = 2
"""A box this close to the picture's edge may hold a cut cell."""


def field_scale(image: FieldImage, cells: Iterable[Cell]) -> Scale | None:
    """Return the scale of a field and its source, or None when nothing tells it.

    Without a scale in the header the median diameter of at least five confident whole red cells
    is taken as 7.5 µm. The median bears overlapping cells and a few wrong boxes.
    """
    if image.micrometres_per_pixel is not None:
        return Scale(image.micrometres_per_pixel, "file")
    diameters = [
        cell.box.diameter
        for cell in cells
        if cell.kind == "rbc" and cell.confidence >= CONFIDENT_SCORE and _is_whole(cell, image)
    ]
    if len(diameters) < MINIMUM_RED_CELLS:
        return None
    return Scale(RED_CELL_MICROMETRES / median(diameters), "red cells")


def _is_whole(cell: Cell, image: FieldImage) -> bool:
    box = cell.box
    return (
        min(box.x, box.y) >= BORDER_PIXELS
        and box.x + box.width <= image.width - BORDER_PIXELS
        and box.y + box.height <= image.height - BORDER_PIXELS
    )
