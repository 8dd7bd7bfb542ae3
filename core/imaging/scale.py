"""Micrometres per pixel of a field: from the file's header, else from its red cells."""

import re
from collections.abc import Iterable
from statistics import median

from PIL import Image

from core.results import Box, FieldImage, Scale

MICROSCOPE_SCALES = (0.02, 2.0)
"""Micrometres per pixel that a light microscope's camera can give; 72 or 300 dpi lie far off."""

RED_CELL_MICROMETRES = 7.5
"""Mean diameter of a red cell on a dried smear (6.2-8.2 µm across all healthy cells)."""

MINIMUM_RED_CELLS = 5
CONFIDENT_SCORE = 0.5
"""Detections of red cells below this score are no ruler."""
_IMAGEJ_MICROMETRE = re.compile(r"^unit=(um|µm|μm|\\u00B5m|microns?)\s*$", re.MULTILINE)
BORDER_PIXELS = 2
"""A box this close to the picture's edge may hold a cut cell."""


def field_scale(image: FieldImage, red_cells: Iterable[Box]) -> Scale | None:
    """Return the scale of a field and its source, or None when nothing tells it.

    Without a scale in the header the confident red cells are the ruler, five at least.
    """
    if image.micrometres_per_pixel is not None:
        return Scale(image.micrometres_per_pixel, "file")
    ruled = red_cell_scale(red_cells, image.width, image.height)
    return None if ruled is None else Scale(ruled, "red cells")


def red_cell_scale(
    red_cells: Iterable[Box], width: int, height: int, at_least: int = MINIMUM_RED_CELLS
) -> float | None:
    """Return micrometres per pixel from the boxes of red cells, or None with too few whole ones.

    Their median diameter is taken as 7.5 µm. The median bears overlapping cells and a few wrong
    boxes.
    """
    diameters = [box.diameter for box in red_cells if _is_whole(box, width, height)]
    return RED_CELL_MICROMETRES / median(diameters) if len(diameters) >= at_least else None


def header_scale(picture: Image.Image) -> float | None:
    """Return micrometres per pixel from a header's dots per inch if a microscope can give them.

    Of every format but TIFF, whose tags `tiff_scale` reads.
    """
    try:
        across, down = (25_400 / float(dpi) for dpi in picture.info["dpi"])
    except (ArithmeticError, KeyError, TypeError, ValueError):
        return None
    return microscope_scale((across, down))


def tiff_scale(description: str, resolution: tuple[float, float] | None, unit: int) -> float | None:
    """Return micrometres per pixel from the tags of a TIFF page if a microscope can give them.

    `description` is ImageDescription, `resolution` pixels per unit across and down, `unit`
    ResolutionUnit: 2 inch, 3 centimetre. ImageJ writes pixels per micrometre and names the unit in
    the description.
    """
    if resolution is None or min(resolution) <= 0:
        return None
    micrometres = {2: 25_400.0, 3: 10_000.0}.get(unit)
    if description.startswith("ImageJ=") and _IMAGEJ_MICROMETRE.search(description):
        across = 1 / resolution[0]
        return microscope_scale((across, across))
    if micrometres is None:
        return None
    return microscope_scale((micrometres / resolution[0], micrometres / resolution[1]))


def microscope_scale(micrometres: tuple[float, float] | None) -> float | None:
    """Return the scale across if pixels are square and a microscope can have made them."""
    across, down = micrometres or (0.0, 0.0)
    low, high = MICROSCOPE_SCALES
    return across if low <= across <= high and abs(across - down) <= 0.02 * across else None


def _is_whole(box: Box, width: int, height: int) -> bool:
    return (
        min(box.x, box.y) >= BORDER_PIXELS
        and box.x + box.width <= width - BORDER_PIXELS
        and box.y + box.height <= height - BORDER_PIXELS
    )
