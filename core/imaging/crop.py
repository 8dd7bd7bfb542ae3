"""Square pictures of single cells, for the classifier, for training and for galleries."""

import cv2
import numpy as np

from core.results import Box, Pixels

_BEYOND = (200, 200, 200)
"""Grey in RGB where a picture for people has ended."""


def crop_cell(pixels: Pixels, box: Box, *, size: int = 128, margin: float = 0.15) -> Pixels:
    """Return a size x size x 3 picture of one cell, centred, with a margin around its box.

    The margin is a share of the longer side. Beyond the picture's edge it is mirrored.
    Raises ValueError for a box wholly outside the picture.
    """
    return crop_square(pixels, box, max(box.width, box.height) * (1 + 2 * margin), size)


def crop_square(
    pixels: Pixels, box: Box, side: float, size: int, *, mirrored: bool = True
) -> Pixels:
    """Return a square of `side` picture pixels around a box's centre as size x size x 3.

    Beyond the picture's edge it is mirrored, for networks, or grey, for people who would take
    mirrored cells for real ones. Raises ValueError for a square wholly outside.
    """
    height, width = pixels.shape[:2]
    cut = max(2, round(side))
    x, y = (round(middle - cut / 2) for middle in box.centre)
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + cut, width), min(y + cut, height)
    if left >= right or top >= bottom:
        raise ValueError(f"{box} lies outside the {width} x {height} picture")
    crop = cv2.copyMakeBorder(
        pixels[top:bottom, left:right],
        top - y,
        y + cut - bottom,
        left - x,
        x + cut - right,
        cv2.BORDER_REFLECT if mirrored else cv2.BORDER_CONSTANT,
        value=_BEYOND,
    )
    method = cv2.INTER_AREA if cut > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(crop, (size, size), interpolation=method), dtype=np.uint8)
