"""Nuclei of a whole field by their stain, without a network."""

import cv2
import numpy as np
from numpy.typing import NDArray

from core.domain.results import Pixels

_NUCLEUS_FLOOR = 18
_LEAST_SIDE = 6
"""Side in pixels of the box of a piece, below which it is noise."""
_LEAST_FILL = 0.45
"""Share of its box that a nucleus fills at least; a disc fills .79, a lobed nucleus less."""
_LONGEST = 2.2
"""Longer over shorter side of its box."""


def nuclear_mask(pixels: Pixels) -> NDArray[np.bool_]:
    """Return where the colour is that of nuclei (H x W): purple, apart from grey and pink.

    Otsu's threshold (1979, IEEE Trans SMC 9:62) on CIELAB a - b / 2, never below a floor so that
    a field without nuclei has none.
    """
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).astype(np.float32) - 128
    purple = np.clip(lab[..., 1] - lab[..., 2] / 2, 0, 255).astype(np.uint8)
    purple = np.asarray(cv2.GaussianBlur(purple, (0, 0), 1.0), np.uint8)
    otsu, _ = cv2.threshold(purple, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    mask = (purple > max(otsu, _NUCLEUS_FLOOR)).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, disc), bool)


def nuclear_sides(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean side in pixels of the box of each piece that can be a nucleus."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    width, height, area = (
        stats[1:, column].astype(np.float64)
        for column in (cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT, cv2.CC_STAT_AREA)
    )
    shorter, longer = np.minimum(width, height), np.maximum(width, height)
    is_nucleus = (
        (shorter >= _LEAST_SIDE)
        & (longer <= _LONGEST * shorter)
        & (area >= _LEAST_FILL * width * height)
    )
    return np.asarray((width + height)[is_nucleus] / 2)
