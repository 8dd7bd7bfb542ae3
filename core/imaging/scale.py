"""Micrometres per pixel of a field: from the file's header, else from its red cells."""

import re
from collections.abc import Iterable
from statistics import median

from PIL import Image, TiffImagePlugin

from core.results import Box, FieldImage, Scale

MICROSCOPE_SCALES = (0.02, 2.0)
"""Micrometres per pixel that a light microscope's camera can give; 72 or 300 dpi lie far off."""

RED_CELL_MICROMETRES = 7.5
"""Mean diameter of a red cell on a dried smear (6.2-8.2 µm across all healthy cells)."""

MINIMUM_RED_CELLS = 5
CONFIDENT_SCORE = 0.5
"""Detections of red cells below this score are no ruler."""
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
    """Return micrometres per pixel from resolution tags if a microscope can have written them."""
    try:
        per_pixel = _imagej_scale(picture)
        if per_pixel is not None:
            return microscope_scale((per_pixel, per_pixel))
        across, down = (25_400 / float(dpi) for dpi in picture.info["dpi"])
    except (ArithmeticError, KeyError, TypeError, ValueError):
        return None
    return microscope_scale((across, down))


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


def _imagej_scale(picture: Image.Image) -> float | None:
    """Return the scale of an ImageJ TIFF whose unit is the micrometre.

    ImageJ writes pixels per unit as XResolution and names the unit in ImageDescription.
    """
    if not isinstance(picture, TiffImagePlugin.TiffImageFile):
        return None
    description = str(picture.tag_v2.get(TiffImagePlugin.IMAGEDESCRIPTION, ""))
    unit = re.search(r"^unit=(um|µm|μm|\\u00B5m|microns?)\s*$", description, re.MULTILINE)
    if not (description.startswith("ImageJ=") and unit):
        return None
    return 1 / float(picture.tag_v2[TiffImagePlugin.X_RESOLUTION])
