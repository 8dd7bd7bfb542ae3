"""Names white cells: a crop around the cell goes in, calibrated probabilities come out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.domain.boxes import Box
from core.domain.decision import decide
from core.domain.results import Pixels
from core.domain.taxonomy import Status
from core.evaluation.calibration import softmax
from core.imaging.crop import crop_square
from core.inference.ood import Looks, look_of
from core.inference.runtime import Engine, mean_outputs
from core.inference.site_profile import SiteProfile
from core.model_card import CellClassifierCard

CROP_MICROMETRES = 24.0
"""Side of the crop: the largest monocytes are about 20 µm across."""
ASSUMED_CELL_MICROMETRES = 13.5
"""Longer side a white cell is taken to have when nothing tells the scale."""
_SIDE_LIMITS = (1.15, 3.5)
"""The crop's side as a multiple of the cell's longer side, whatever the scale says."""
CENTRAL_SHARE = 0.6
"""Side of the cell in a single-cell picture in which the detector finds none."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A cell to be named: where it is, and the picture's scale when that is known."""

    box: Box
    micrometres_per_pixel: float | None = None

    @property
    def crop_side(self) -> float:
        """Side of the classifier's crop in pixels of the picture."""
        longer = self.box.longer_side
        scale = self.micrometres_per_pixel or ASSUMED_CELL_MICROMETRES / longer
        least, most = (longer * limit for limit in _SIDE_LIMITS)
        return float(np.clip(CROP_MICROMETRES / scale, least, most))


def central_box(pixels: Pixels) -> Box:
    """Return the box a centred cell is expected to fill in a single-cell picture."""
    height, width = pixels.shape[:2]
    side = CENTRAL_SHARE * min(height, width)
    return Box((width - side) / 2, (height - side) / 2, side, side)


def mirrored_mean(engine: Engine, crop: Pixels) -> dict[str, NDArray[np.float32]]:
    """Return the mean outputs of a network over a square crop and its two mirror images."""
    return mean_outputs(engine, (crop, crop[:, ::-1], crop[::-1]))


@dataclass(frozen=True, slots=True, eq=False)
class CellAnswer:
    """What the network says of one cell."""

    type: str
    """The most probable type."""
    confidence: float
    status: Status
    probabilities: Mapping[str, float]
    """Calibrated, over all types."""
    cellness: float
    """Probability that the picture shows one whole nucleated cell or platelet at all."""
    attributes: Mapping[str, str]
    """The most probable value of every morphological attribute (WBCAtt)."""
    logits: NDArray[np.float32]
    """Of the types, as the shipped model gives them."""
    features: NDArray[np.float32]
    """Pooled features of the trunk, 1280."""
    in_distribution: bool = True
    """Whether the crop looks like those of a laboratory that the model learnt from."""


class Classifier:
    """The cell type network with its calibration."""

    def __init__(
        self, engine: Engine, card: CellClassifierCard, looks: Looks | None = None
    ) -> None:
        """Take the network; without `looks` every crop is taken for familiar."""
        self._engine = engine
        self._looks = looks
        self._least_density = card.thresholds.appearance_density
        self._size = card.input_width
        self.temperature = card.temperature
        self._ood_temperature = card.ood_temperature or card.temperature
        self.thresholds = card.thresholds.decision
        self.model_sha256 = card.sha256
        self._attributes = card.attributes
        self.labels = tuple(card.labels)

    def answer(
        self,
        pixels: Pixels,
        subject: Subject,
        profile: SiteProfile | None = None,
        *,
        excluded: Collection[str] = (),
    ) -> CellAnswer:
        """Name one cell of a picture, with a site's profile when one is given.

        A profile knows how far its site can be trusted; without one, a crop of unfamiliar look
        gets the temperature that suits laboratories the model has not seen. Cells of the `excluded`
        types are out of scope.
        """
        crop = crop_square(pixels, subject.box, subject.crop_side, self._size)
        outputs = mirrored_mean(self._engine, crop)
        familiar = self._is_familiar(crop)
        logits, thresholds = outputs["type"], self.thresholds
        temperature = self.temperature if familiar else self._ood_temperature
        if profile is not None:
            logits = profile.logits(logits, outputs["features"])
            temperature = profile.temperature
            thresholds = replace(thresholds, confidence=profile.uncertain)
        values = softmax(logits, temperature)
        best = int(values.argmax())
        probabilities = dict(zip(self.labels, map(float, values), strict=True))
        cellness = float(softmax(outputs["white"], 1.0)[1])
        return CellAnswer(
            type=self.labels[best],
            confidence=float(values[best]),
            status=decide(probabilities, thresholds, cellness=cellness, excluded=excluded),
            probabilities=probabilities,
            cellness=cellness,
            attributes={
                name: names[int(outputs[name].argmax())] for name, names in self._attributes.items()
            },
            logits=outputs["type"],
            features=outputs["features"],
            in_distribution=familiar,
        )

    def _is_familiar(self, crop: Pixels) -> bool:
        if self._looks is None or self._least_density is None:
            return True
        return self._looks.log_density(look_of(crop)) >= self._least_density
