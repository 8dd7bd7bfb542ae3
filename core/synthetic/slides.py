"""Synthetic whole slides with exact ground truth: fields on empty glass, written as a pyramid.

Writing needs tifffile, which comes with requirements.txt.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from core.domain.boxes import Box
from core.synthetic.fields import SyntheticCell, SyntheticField

GLASS = (243, 244, 242)
_TILE = 256
_LEVELS = 3
_FACTOR = 4


def make_slide(
    width: int, height: int, fields: Iterable[tuple[SyntheticField, int, int]]
) -> SyntheticField:
    """Lay fields of one scale on glass, each with its left and top in pixels.

    Raises ValueError for fields of several scales, and for one that sticks out.
    """
    pixels = np.full((height, width, 3), GLASS, np.uint8)
    cells: list[SyntheticCell] = []
    scales: set[float] = set()
    for field, left, top in fields:
        rows, columns = field.pixels.shape[:2]
        pixels[top : top + rows, left : left + columns] = field.pixels
        scales.add(field.micrometres_per_pixel)
        for cell in field.cells:
            box = Box(left + cell.box.x, top + cell.box.y, cell.box.width, cell.box.height)
            cells.append(replace(cell, box=box))
    if len(scales) != 1:
        raise ValueError(f"the fields of a slide have one scale, not {len(scales)}")
    return SyntheticField(pixels, tuple(cells), scales.pop())


def write_slide(slide: SyntheticField, path: Path) -> None:
    """Write a slide as Aperio's scanners do (tiled TIFF, a page a level), without loss."""
    from tifffile import TiffWriter

    height, width = slide.pixels.shape[:2]
    about = (
        f"Aperio Image Library\r\n{width}x{height} ({_TILE}x{_TILE})"
        f"|MPP = {slide.micrometres_per_pixel:.6f}"
    )
    with TiffWriter(path) as writer:
        for number in range(_LEVELS):
            size = width // _FACTOR**number, height // _FACTOR**number
            writer.write(
                cv2.resize(slide.pixels, size, interpolation=cv2.INTER_AREA),
                tile=(_TILE, _TILE),
                photometric="rgb",
                compression="zlib",
                subfiletype=1 if number else 0,
                description=about,
                metadata=None,
            )
