"""The input gate: looks at a whole picture before anything is said about it.

Every function returns the reason for a refusal as a sentence with what to do, or None.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from core.domain.results import Pixels
from core.inference.detector import Detection
from core.inference.runtime import Engine
from core.model_card import FieldClassifierCard

FLAT_DEVIATION = 3.0
"""Grey levels: a picture that varies less shows nothing."""
LEAST_CHROMA = 2.5
"""Spread of CIELAB chroma: stained smears have 4 and more, greyscale pictures 0."""
LEAST_SHARPNESS = 0.047
"""Real fields have 0.055 and more; blurred with 3 % of their side they have less than 0.046."""
_SHARPNESS_SIDE = 384
GATE_SIZE = 224
"""Side in pixels to which the gate squeezes a picture, or a part of it."""
_MOST_PARTS_A_SIDE = 4
SMALL_SIDES = (128, 192)
"""Shorter sides in pixels. The gate was tested on images of 192 pixels and more. Enlarged to 224,
smaller ones of anything look more like smears, so that more is asked of them: most of it below
128."""
LEAST_OF_SMALL = 1.0
"""Least logit of a smear whose shorter side has at most 128 pixels. Of photographs and drawn
negatives shrunk to 64 pixels 1.5 % reach it, of real crops and fields 94 % (Taleqani) to 100 %."""
DOUBTFUL_BELOW = (2.0, 0.5)
"""Logits below which a small and a large image are doubtful. Textures reach 0.4; real fields of
unknown stain (warty pigs) fall to -0.9, those of the sets that taught the gate hardly ever."""
DOUBTFUL_RED_CELLS = (5, 100)
"""Red cells that a doubtful image needs, and those that dispel the doubt. Of 24 negatives at the
gate's edge none has more than 19; of 17 fields of pigs 15 have 88 and more."""
CONFIDENT_RED_SCORE = 0.5
"""Score of the detector from which such a red cell counts."""

_BLANK = (
    "The picture shows no structure: it may be empty glass or a blank frame. "
    "Take a field with cells."
)
_COLOURLESS = (
    "The picture has no stain colours: it is greyscale or shows an unstained smear. "
    "Send the colour picture of a stained smear."
)
_BLURRED = "The picture is out of focus. Focus the microscope and take the field again."
_NO_SMEAR = (
    "This does not look like a stained blood smear. "
    "Send a field of a Romanowsky-stained smear at a magnification that shows single cells."
)
HARDLY_A_SMEAR = "This hardly looks like a stained blood smear."
"""What is said of a doubtful image when QC was overridden."""
DOUBTFUL = (
    "This hardly looks like a stained blood smear, so nothing is classified. Check the image, or "
    "take the field again with more light, in focus and with more pixels."
)
_NO_CELLS = (
    "No blood cells were found. Check that this is a stained blood smear, in focus, "
    "at a magnification that shows single cells."
)


def refuse_blank(pixels: Pixels) -> str | None:
    """Refuse what shows nothing, or no colour."""
    small = cv2.resize(pixels, (128, 128), interpolation=cv2.INTER_AREA)
    if float(np.std(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))) < FLAT_DEVIATION:
        return _BLANK
    return _COLOURLESS if chroma_spread(pixels) < LEAST_CHROMA else None


def chroma_spread(pixels: Pixels) -> float:
    """Return the span from the 5th to the 95th percentile of CIELAB chroma."""
    small = cv2.resize(pixels, (128, 128), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    low, high = np.percentile(np.hypot(lab[..., 1] - 128, lab[..., 2] - 128), [5, 95])
    return float(high - low)


def sharpness(pixels: Pixels) -> float:
    """Return the steepest slopes of a field as a share of its contrast.

    The field is scaled to a longest side of 384 pixels; slope is the 99th percentile of the
    gradient in grey levels a pixel, contrast the span from the 1st to the 99th percentile.
    """
    factor = _SHARPNESS_SIDE / max(pixels.shape[:2])
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=method)
    grey = cv2.GaussianBlur(cv2.cvtColor(scaled, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1)
    across, down = (cv2.Sobel(grey, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0))
    low, high = np.percentile(grey, [1, 99])
    return float(np.percentile(np.hypot(across, down), 99) / max(high - low, 1.0))


def refuse_blurred(pixels: Pixels) -> str | None:
    """Refuse a field that is out of focus."""
    return _BLURRED if sharpness(pixels) < LEAST_SHARPNESS else None


@dataclass(frozen=True, slots=True)
class SmearVerdict:
    """How an image passes the smear gate."""

    reject_reason: str | None = None
    """Why it is rejected, in one sentence."""
    doubt: str | None = None
    """Why nothing is classified in it, in one sentence."""


class SmearGate:
    """Tells stained smears from other pictures: one linear output on the ALL model's trunk.

    That trunk is ImageNet's, so it knows what photographs, tissue and textures look like.
    """

    def __init__(self, engine: Engine, card: FieldClassifierCard) -> None:
        self._engine = engine
        self.threshold: float = card.thresholds.smear

    def logit(self, pixels: Pixels) -> float:
        """Return how much a picture looks like a stained smear.

        Squeezed whole, the cells of a large field become too small to be seen. One that would be
        refused is looked at in parts, and counts as much as the one that looks least like a smear.
        """
        whole = self._look(pixels)
        parts = min(min(pixels.shape[:2]) // GATE_SIZE, _MOST_PARTS_A_SIDE)
        if whole >= self.threshold or parts <= 1:
            return whole
        bands = np.array_split(pixels, parts)
        looks = [self._look(part) for band in bands for part in np.array_split(band, parts, axis=1)]
        return max(whole, min(looks))

    def _look(self, pixels: Pixels) -> float:
        squared = cv2.resize(pixels, (GATE_SIZE, GATE_SIZE), interpolation=cv2.INTER_AREA)
        return float(self._engine.run(squared[None])["smear"][0, 0])

    def least(self, pixels: Pixels) -> float:
        """Return the logit below which an image of this size is rejected."""
        return _by_size(pixels, LEAST_OF_SMALL, self.threshold)

    def judge(self, pixels: Pixels) -> SmearVerdict:
        """Reject what is no stained smear, and doubt what hardly looks like one."""
        logit = self.logit(pixels)
        if logit < self.least(pixels):
            return SmearVerdict(reject_reason=_NO_SMEAR)
        return SmearVerdict(doubt=DOUBTFUL if logit < _by_size(pixels, *DOUBTFUL_BELOW) else None)


def _by_size(pixels: Pixels, small: float, large: float) -> float:
    return float(np.interp(min(pixels.shape[:2]), SMALL_SIDES, (small, large)))


def refuse_without_cells(detections: Sequence[Detection]) -> str | None:
    """Refuse a picture in which the detector found nothing."""
    return None if detections else _NO_CELLS


def settle_doubt(detections: Sequence[Detection]) -> SmearVerdict:
    """Judge a doubtful image by its red cells: reject it, keep the doubt, or dispel it."""
    red = sum(d.kind == "rbc" and d.score >= CONFIDENT_RED_SCORE for d in detections)
    few, many = DOUBTFUL_RED_CELLS
    if red < few:
        return SmearVerdict(reject_reason=_NO_SMEAR)
    return SmearVerdict(doubt=DOUBTFUL if red < many else None)
