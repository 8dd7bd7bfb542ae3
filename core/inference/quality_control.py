"""Quality control of a whole image, before any result.

Every `reject_` function returns the reject reason as a sentence with what to do, or None.
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
"""Grey levels: an image that varies less shows nothing."""
LEAST_CHROMA = 2.5
"""Spread of CIELAB chroma: stained smears have 4 and more, greyscale images 0."""
LEAST_SHARPNESS = 0.047
"""Real fields have 0.055 and more; blurred with 3 % of their side they have less than 0.046."""
_SHARPNESS_SIDE = 384
SMEAR_SIZE = 224
"""Side in pixels of the smear classifier's input: a whole image or a tile of it."""
_MOST_TILES_A_SIDE = 4
SMALL_SIDES = (128, 192)
"""Shorter sides in pixels. The classifier was tested on images of 192 pixels and more. Enlarged
to 224, smaller images of anything look more like smears, so they need a higher logit: the highest
below 128."""
LEAST_OF_SMALL = 1.0
"""Least logit of a smear whose shorter side has at most 128 pixels. Of photographs and drawn
negatives shrunk to 64 pixels 1.5 % reach it, of real crops and fields 94 % (Taleqani) to 100 %."""
DOUBTFUL_BELOW = (2.0, 0.5)
"""Logits below which a small and a large image are doubtful. Textures reach 0.4; real fields of
unknown stain (warty pigs) fall to -0.9, those of its training sets hardly ever."""
CERTAIN_SMEAR = 4.5
"""Logit of a light-corrected image from which it is not judged as it was taken too: 87 % of the
fields and cells of six sets reach it. Of 2,250 photographs, marbles, drawings and noise, plain,
shrunk or under uneven light, each corrected in both ways, none has more than 3.8."""
DOUBTFUL_RED_CELLS = (5, 100)
"""Red cells that a doubtful image needs, and those that dispel the doubt. Of 24 negatives at the
threshold none has more than 19; of 17 fields of pigs 15 have 88 and more."""
CONFIDENT_RED_SCORE = 0.5
"""Score of the detector from which such a red cell counts."""

_BLANK = (
    "The image shows no structure: it may be empty glass or a blank frame. Take one with cells."
)
_COLOURLESS = (
    "The image has no stain colours: it is greyscale or shows an unstained smear. "
    "Send the colour image of a stained smear."
)
_BLURRED = "The image is out of focus. Focus the microscope and take it again."
_NO_SMEAR = (
    "This does not look like a stained blood smear. "
    "Send an image of a Romanowsky-stained smear at a magnification that shows single cells."
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


def reject_blank(pixels: Pixels) -> str | None:
    """Reject an image without structure or colour."""
    small = _small(pixels)
    if float(np.std(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))) < FLAT_DEVIATION:
        return _BLANK
    return _COLOURLESS if chroma_spread(small) < LEAST_CHROMA else None


def _small(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.resize(pixels, (128, 128), interpolation=cv2.INTER_AREA), np.uint8)


def chroma_spread(pixels: Pixels) -> float:
    """Return the span from the 5th to the 95th percentile of CIELAB chroma."""
    small = _small(pixels)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    low, high = np.percentile(np.hypot(lab[..., 1] - 128, lab[..., 2] - 128), [5, 95])
    return float(high - low)


def sharpness(pixels: Pixels) -> float:
    """Return the steepest slopes of a field as a proportion of its contrast.

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


def reject_blurred(pixels: Pixels) -> str | None:
    """Reject a field that is out of focus."""
    return _BLURRED if sharpness(pixels) < LEAST_SHARPNESS else None


@dataclass(frozen=True, slots=True)
class SmearVerdict:
    """What quality control says of an image."""

    reject_reason: str | None = None
    """Why it is rejected, in one sentence."""
    doubt: str | None = None
    """Why nothing is classified in it, in one sentence."""


class SmearClassifier:
    """Separates stained smears from other images: one linear output on the ALL model's backbone.

    That backbone is ImageNet's, so it separates photographs, tissue and textures.
    """

    def __init__(self, engine: Engine, card: FieldClassifierCard) -> None:
        self._engine = engine
        self.threshold: float = card.thresholds.smear

    def logit(self, pixels: Pixels) -> float:
        """Return the logit of an image being a stained smear.

        Scaled down whole, the cells of a large field become too small to be seen. An image that
        would be rejected is judged by tiles: it gets the lowest of their logits.
        """
        whole = self._forward(pixels)
        tiles = min(min(pixels.shape[:2]) // SMEAR_SIZE, _MOST_TILES_A_SIDE)
        if whole >= self.threshold or tiles <= 1:
            return whole
        rows = np.array_split(pixels, tiles)
        logits = [
            self._forward(tile) for row in rows for tile in np.array_split(row, tiles, axis=1)
        ]
        return max(whole, min(logits))

    def _forward(self, pixels: Pixels) -> float:
        squared = cv2.resize(pixels, (SMEAR_SIZE, SMEAR_SIZE), interpolation=cv2.INTER_AREA)
        return float(self._engine.run(squared[None])["smear"][0, 0])

    def least(self, pixels: Pixels) -> float:
        """Return the logit below which an image of this size is rejected."""
        return _by_size(pixels, LEAST_OF_SMALL, self.threshold)

    def judge(self, pixels: Pixels, original: Pixels | None = None) -> SmearVerdict:
        """Reject an image that is no stained smear; doubt one that hardly looks like one.

        Corrected light can make other images look like a smear: light-corrected `pixels` that are
        rejected or doubtful as they were taken (`original`) are doubtful, below `CERTAIN_SMEAR`.
        """
        logit = self.logit(pixels)
        if logit < self.least(pixels):
            return SmearVerdict(reject_reason=_NO_SMEAR)
        if logit < _by_size(pixels, *DOUBTFUL_BELOW):
            return SmearVerdict(doubt=DOUBTFUL)
        if original is None or logit >= CERTAIN_SMEAR or self.judge(original) == SmearVerdict():
            return SmearVerdict()
        return SmearVerdict(doubt=DOUBTFUL)


def _by_size(pixels: Pixels, small: float, large: float) -> float:
    return float(np.interp(min(pixels.shape[:2]), SMALL_SIDES, (small, large)))


def reject_without_cells(detections: Sequence[Detection]) -> str | None:
    """Reject an image in which the detector found nothing."""
    return None if detections else _NO_CELLS


def settle_doubt(detections: Sequence[Detection]) -> SmearVerdict:
    """Judge a doubtful image by its red cells: reject it, keep the doubt, or dispel it."""
    red = sum(d.kind == "rbc" and d.score >= CONFIDENT_RED_SCORE for d in detections)
    few, many = DOUBTFUL_RED_CELLS
    if red < few:
        return SmearVerdict(reject_reason=_NO_SMEAR)
    return SmearVerdict(doubt=DOUBTFUL if red < many else None)
