"""Looks at a whole picture before anything is said about it."""

from collections.abc import Sequence

import cv2
import numpy as np

from core.inference.detector import Detection
from core.results import Pixels

FLAT_DEVIATION = 3.0
"""Grey levels: a picture that varies less shows nothing."""
_BLANK = (
    "The picture shows no structure: it may be empty glass or a blank frame. "
    "Take a field with cells."
)
_NO_CELLS = (
    "No blood cells were found. Check that this is a stained blood smear, in focus, "
    "at a magnification that shows single cells."
)


def refuse_blank(pixels: Pixels) -> str | None:
    """Return why a picture cannot show cells, or None."""
    small = cv2.resize(pixels, (128, 128), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    return _BLANK if float(np.std(grey)) < FLAT_DEVIATION else None


def refuse_without_cells(detections: Sequence[Detection]) -> str | None:
    """Return why a picture in which the detector found this is no smear, or None."""
    return None if detections else _NO_CELLS
