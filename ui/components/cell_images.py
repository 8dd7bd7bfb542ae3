"""Images of single cells to compare, all at one physical scale."""

import cv2
import numpy as np

from core.domain.boxes import Box
from core.domain.results import Pixels
from core.imaging.crop import crop_square
from core.inference.cell_classifier import ASSUMED_CELL_MICROMETRES, CROP_MICROMETRES

SIDE_MICROMETRES = CROP_MICROMETRES
"""Side of the image of a cell."""
AROUND_MICROMETRES = 4 * SIDE_MICROMETRES
"""Side of the image of a cell among its neighbours."""
_FRAME = (122, 46, 107)


def _pixels_per_side(box: Box, micrometres_per_pixel: float | None, side: float) -> float:
    """Return how many pixels a side in µm has; without a scale the cell is taken for 13.5 µm."""
    return side / (micrometres_per_pixel or ASSUMED_CELL_MICROMETRES / box.longer_side)


def cell_image(pixels: Pixels, box: Box, micrometres_per_pixel: float | None, size: int) -> Pixels:
    """Return `SIDE_MICROMETRES` around a cell as size x size x 3, glass beyond the image.

    Raises ValueError for a box outside the image.
    """
    side = _pixels_per_side(box, micrometres_per_pixel, SIDE_MICROMETRES)
    return crop_square(pixels, box, side, size)


def surroundings(
    pixels: Pixels, box: Box, micrometres_per_pixel: float | None, size: int
) -> tuple[Pixels, float]:
    """Return the part of an image that holds a cell, framed, as size x size x 3, and its side.

    The side is in µm: `AROUND_MICROMETRES`, or less in a smaller image. At the image's edge
    the cell is not in the middle.
    """
    height, width = pixels.shape[:2]
    wanted = _pixels_per_side(box, micrometres_per_pixel, AROUND_MICROMETRES)
    side = min(round(wanted), height, width)
    left, top = (
        round(np.clip(middle - side / 2, 0, end - side))
        for middle, end in zip(box.centre, (width, height), strict=True)
    )
    part = pixels[top : top + side, left : left + side]
    drawn = cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8)
    corner = np.array([box.x - left, box.y - top])
    corners = (corner, corner + np.array([box.width, box.height]))
    first, second = (np.rint(c * size / side).astype(int).tolist() for c in corners)
    cv2.rectangle(drawn, first, second, _FRAME, max(2, size // 200), cv2.LINE_AA)
    return drawn, AROUND_MICROMETRES * side / wanted
