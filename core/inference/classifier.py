"""Names white cells: a crop around the cell goes in, calibrated probabilities come out."""

import numpy as np
from numpy.typing import NDArray

from core.imaging.crop import crop_cell
from core.inference.card import ModelCard
from core.inference.engine import Engine, mean_outputs
from core.results import Box, Pixels
from core.taxonomy import Status

CROP_MARGIN = 0.2
"""Margin on every side of the crop, as a share of the cell's longer side."""
CENTRAL_SHARE = 0.6
"""Side of the cell in a single-cell picture in which the detector finds none."""


def softmax(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """Return calibrated probabilities along the last axis (Guo et al. 2017)."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def central_box(pixels: Pixels) -> Box:
    """Return the box a centred cell is expected to fill in a single-cell picture."""
    height, width = pixels.shape[:2]
    side = CENTRAL_SHARE * min(height, width)
    return Box((width - side) / 2, (height - side) / 2, side, side)


def mirrored_mean(engine: Engine, crop: Pixels) -> dict[str, NDArray[np.float32]]:
    """Return the mean outputs of a network over a square crop and its two mirror images."""
    return mean_outputs(engine, (crop, crop[:, ::-1], crop[::-1]))


class Classifier:
    """The cell type network with its calibration."""

    def __init__(self, engine: Engine, card: ModelCard) -> None:
        self._engine = engine
        self._size = card.input_width
        self._temperature = card.temperature
        self._threshold = card.thresholds["uncertain"]
        self._attributes = card.attributes
        self.labels = tuple(card.labels)

    def _outputs(self, pixels: Pixels, box: Box) -> dict[str, NDArray[np.float32]]:
        crop = crop_cell(pixels, box, size=self._size, margin=CROP_MARGIN)
        return mirrored_mean(self._engine, crop)

    def probabilities(self, pixels: Pixels, box: Box) -> dict[str, float]:
        """Return the calibrated probability of every type for the cell in a box."""
        values = softmax(self._outputs(pixels, box)["type"], self._temperature)
        return dict(zip(self.labels, map(float, values), strict=True))

    def attributes(self, pixels: Pixels, box: Box) -> dict[str, str]:
        """Return the most probable value of every morphological attribute (WBCAtt)."""
        outputs = self._outputs(pixels, box)
        return {
            name: values[int(outputs[name].argmax())] for name, values in self._attributes.items()
        }

    def status_of(self, probabilities: dict[str, float]) -> tuple[str, float, Status]:
        """Return the most probable type, its probability, and whether that is enough."""
        best = max(probabilities, key=probabilities.__getitem__)
        confidence = probabilities[best]
        return best, confidence, "classified" if confidence >= self._threshold else "uncertain"
