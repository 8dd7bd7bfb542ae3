"""Square crops of single cells, for the classifier, for training and for galleries."""

import cv2
import numpy as np

from core.domain.boxes import Box
from core.domain.results import Pixels

_GLASS_PERCENTILE = 90
_SAMPLED = 64


def glass_colour(pixels: Pixels) -> tuple[int, int, int]:
    """Return the colour of the empty glass of an H x W x 3 image: its 90th percentile."""
    step = max(min(pixels.shape[:2]) // _SAMPLED, 1)
    sample = pixels[::step, ::step].reshape(-1, 3)
    red, green, blue = np.percentile(sample, _GLASS_PERCENTILE, axis=0).astype(int).tolist()
    return red, green, blue


def crop_cell(pixels: Pixels, box: Box, *, size: int = 128, margin: float = 0.15) -> Pixels:
    """Return a size x size x 3 crop of one cell, centred, with a margin around its box.

    The margin is a fraction of the longer side. Beyond the edge of the image is empty glass.
    Raises ValueError for a box wholly outside the image.
    """
    return crop_square(pixels, box, box.longer_side * (1 + 2 * margin), size)


def crop_square(pixels: Pixels, box: Box, side: float, size: int) -> Pixels:
    """Return a square of `side` image pixels around a box's centre as size x size x 3.

    Beyond the edge of the image is empty glass: a mirrored border would give a truncated cell
    lobes that it does not have. Raises ValueError for a square wholly outside.
    """
    height, width = pixels.shape[:2]
    cut = max(2, round(side))
    x, y = (round(middle - cut / 2) for middle in box.centre)
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + cut, width), min(y + cut, height)
    if left >= right or top >= bottom:
        raise ValueError(f"{box} lies outside the {width} x {height} image")
    crop = pixels[top:bottom, left:right]
    if crop.shape[:2] != (cut, cut):
        beyond = top - y, y + cut - bottom, left - x, x + cut - right
        glass = glass_colour(pixels)
        bordered = cv2.copyMakeBorder(crop, *beyond, cv2.BORDER_CONSTANT, value=glass)
        crop = np.asarray(bordered, np.uint8)
    method = cv2.INTER_AREA if cut > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(crop, (size, size), interpolation=method), dtype=np.uint8)
