"""Types white cells: from a crop around the cell to calibrated probabilities."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.domain.boxes import Box
from core.domain.decision import decide
from core.domain.results import Pixels
from core.domain.taxonomy import SUBTYPES, Status
from core.evaluation.calibration import softmax
from core.imaging.crop import crop_square
from core.inference.ood import AppearanceDensity, appearance_features
from core.inference.runtime import Engine, mean_outputs
from core.inference.site_profile import SiteProfile
from core.model_card import CellClassifierCard

CROP_MICROMETRES = 24.0
"""Side of the crop: the largest monocytes are about 20 µm across."""
ASSUMED_CELL_MICROMETRES = 13.5
"""Longer side of a white cell, assumed where the scale is unknown."""
_SIDE_LIMITS = (1.15, 3.5)
"""Least and largest side of the crop in longer sides of the cell, whatever the scale."""
LEAST_TYPED_SIDE = 36
"""Pixels of the longer side of a cell, below which chromatin and granules cannot be seen: on fields
of leukaemia with white cells of 25 to 35 pixels, lymphoblasts passed for lymphocytes."""
_LEAST_SUBTYPE = 0.6
"""Probability from which on a subtype is told; people agree little on bands and variants."""
CENTRAL_PROPORTION = 0.6
"""Side of the cell in a single-cell image in which the detector finds none, in sides of it."""


@dataclass(frozen=True, slots=True)
class CellRegion:
    """Where to crop a cell: its box, and the scale of the image when it is known."""

    box: Box
    micrometres_per_pixel: float | None = None

    @property
    def is_small(self) -> bool:
        """Whether the cell has too few pixels to be typed with certainty."""
        return self.box.longer_side < LEAST_TYPED_SIDE

    @property
    def crop_side(self) -> float:
        """Side of the classifier's crop in pixels of the image."""
        longer = self.box.longer_side
        scale = self.micrometres_per_pixel or ASSUMED_CELL_MICROMETRES / longer
        least, most = (longer * limit for limit in _SIDE_LIMITS)
        return float(np.clip(CROP_MICROMETRES / scale, least, most))


def central_box(pixels: Pixels) -> Box:
    """Return the box that a centred cell is expected to fill in a single-cell image."""
    height, width = pixels.shape[:2]
    side = CENTRAL_PROPORTION * min(height, width)
    return Box((width - side) / 2, (height - side) / 2, side, side)


def tta_outputs(engine: Engine, crop: Pixels) -> dict[str, NDArray[np.float32]]:
    """Return the mean outputs over a square crop and its two mirror images (TTA)."""
    return mean_outputs(engine, (crop, crop[:, ::-1], crop[::-1]))


@dataclass(frozen=True, slots=True, eq=False)
class CellPrediction:
    """The network's output for one cell."""

    type: str
    """The most probable type."""
    confidence: float
    status: Status
    probabilities: Mapping[str, float]
    """Calibrated, over all types."""
    cellness: float
    """Probability that the crop shows one whole nucleated cell or platelet."""
    subtype: str | None
    """Key of `SUBTYPES`, where one of the type's is likely; else None."""
    attribute_probabilities: Mapping[str, Mapping[str, float]]
    """Of each value of each morphological attribute (WBCAtt); not calibrated."""
    logits: NDArray[np.float32]
    """Of the types, from the shipped model: before temperature and site profile."""
    features: NDArray[np.float32]
    """Pooled features of the backbone, 1280."""
    in_distribution: bool = True
    """Whether the crop looks like the training crops of some site."""

    @property
    def attributes(self) -> dict[str, str]:
        """The most probable value of each morphological attribute."""
        return {
            name: max(values, key=values.__getitem__)
            for name, values in self.attribute_probabilities.items()
        }


class CellClassifier:
    """The cell type network with its calibration."""

    def __init__(
        self, engine: Engine, card: CellClassifierCard, appearance: AppearanceDensity | None = None
    ) -> None:
        """Without `appearance` every crop counts as in distribution."""
        self._engine = engine
        self._appearance = appearance
        self._least_density = card.thresholds.appearance_density
        self._size = card.input_width
        self.temperature = card.temperature
        self._ood_temperature = card.ood_temperature or card.temperature
        self.thresholds = card.thresholds.decision
        self.model_sha256 = card.sha256
        self._attributes = card.attributes
        self._subtypes = card.subtypes
        self.labels = tuple(card.labels)

    def predict(
        self,
        pixels: Pixels,
        region: CellRegion,
        profile: SiteProfile | None = None,
        *,
        excluded: Collection[str] = (),
    ) -> CellPrediction:
        """Return the prediction for one cell, with the site's profile when there is one.

        Without a profile, an out-of-distribution crop gets the OOD temperature; a profile has the
        temperature of its site. Cells of the `excluded` types are out of scope. A cell of few
        pixels is never typed with certainty.
        """
        crop = crop_square(pixels, region.box, region.crop_side, self._size)
        outputs = tta_outputs(self._engine, crop)
        in_distribution = self._is_in_distribution(crop)
        logits, thresholds = outputs["type"], self.thresholds
        temperature = self.temperature if in_distribution else self._ood_temperature
        if profile is not None:
            logits = profile.logits(logits, outputs["features"])
            temperature = profile.temperature
            thresholds = replace(thresholds, confidence=profile.uncertain)
        values = softmax(logits, temperature)
        best = int(values.argmax())
        probabilities = dict(zip(self.labels, map(float, values), strict=True))
        cellness = float(softmax(outputs["white"], 1.0)[1])
        return CellPrediction(
            type=self.labels[best],
            confidence=float(values[best]),
            status=decide(
                probabilities,
                thresholds,
                cellness=cellness,
                excluded=excluded,
                doubtful=region.is_small,
            ),
            probabilities=probabilities,
            cellness=cellness,
            subtype=self._subtype(self.labels[best], outputs),
            attribute_probabilities={
                name: dict(zip(names, map(float, softmax(outputs[name], 1.0)), strict=True))
                for name, names in self._attributes.items()
            },
            logits=outputs["type"],
            features=outputs["features"],
            in_distribution=in_distribution,
        )

    def _subtype(self, cell_type: str, outputs: Mapping[str, NDArray[np.float32]]) -> str | None:
        """Return the subtype of a cell among those of its type."""
        own = [
            index
            for index, key in enumerate(self._subtypes)
            if key not in SUBTYPES or SUBTYPES[key].type == cell_type
        ]
        if len(own) < 2:  # none but "no subtype"
            return None
        values = softmax(outputs["subtype"][own], 1.0)
        key = self._subtypes[own[int(values.argmax())]]
        return key if key in SUBTYPES and values.max() >= _LEAST_SUBTYPE else None

    def _is_in_distribution(self, crop: Pixels) -> bool:
        if self._appearance is None or self._least_density is None:
            return True
        return self._appearance.log_density(appearance_features(crop)) >= self._least_density
