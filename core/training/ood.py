"""Fits the appearance density of training cells, by which the classifier finds what is OOD."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

from core.inference.ood import AppearanceDensity, Floats, appearance_features
from core.model_card import APPEARANCE_FILE
from core.training.data.cells import TrainingCells, central_crops

_COMPONENTS = 24
_CHUNK = 512
"""Cells whose crops are in memory together."""
_FLOOR = 0.01
"""Added to every variance of a component, as a fraction of the variance of all features."""
MAX_CELLS = 2500
"""Cells of each source that count: otherwise the largest sources decide what is known."""
OOD_CELLS = 0.005
"""Proportion of validation cells that may be called out of distribution."""


@dataclass(frozen=True, slots=True)
class Appearance:
    """What the classifier knows of the appearance of cells."""

    density: AppearanceDensity
    threshold: float
    """Log density below which a crop is out of distribution."""

    def knows(self, crops: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return of each of n crops whether it is in distribution."""
        features = map(appearance_features, crops)
        return np.array([self.density.log_density(own) >= self.threshold for own in features])


def fit_appearance_density(
    training: Sequence[TrainingCells], validation: Sequence[TrainingCells], size: int
) -> Appearance:
    """Return the density of the appearance of training cells with its threshold.

    `size` is the side of the crops.
    """

    def features(sources: Sequence[TrainingCells]) -> list[Floats]:
        return [
            appearance_features(crop)
            for cells in sources
            for first in range(0, len(cells), _CHUNK)
            for crop in central_crops(
                cells.chosen(np.arange(first, min(first + _CHUNK, len(cells)))), size
            )
        ]

    known = np.array(features([_spread(cells) for cells in training]))
    centre, scale = known.mean(0), known.std(0)
    mixture = GaussianMixture(_COMPONENTS, reg_covar=_FLOOR, max_iter=200, random_state=0)
    mixture.fit((known - centre) / scale)
    density = AppearanceDensity(
        centre,
        scale,
        means=mixture.means_,
        factors=mixture.precisions_cholesky_,
        log_weights=np.log(mixture.weights_),
    )
    densities = [density.log_density(own) for own in features(validation)]
    return Appearance(density, float(np.quantile(densities, OOD_CELLS)))


def _spread(cells: TrainingCells) -> TrainingCells:
    """Return at most `MAX_CELLS` cells, spread evenly over the source."""
    count = min(len(cells), MAX_CELLS)
    return cells.chosen(np.linspace(0, len(cells) - 1, count).astype(int))


def write_density(density: AppearanceDensity, folder: Path) -> str:
    """Write the density beside a model and return the SHA-256 for its card."""
    content = density.to_bytes()
    (folder / APPEARANCE_FILE).write_bytes(content)
    return hashlib.sha256(content).hexdigest()
