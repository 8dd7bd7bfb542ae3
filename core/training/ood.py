"""Fits the appearance density of training cells, by which the classifier finds what is OOD."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.mixture import GaussianMixture

from core.inference.ood import AppearanceDensity, Floats, appearance_features
from core.model_card import APPEARANCE_FILE
from core.training.data.cells import TrainingCells, central_crops

_COMPONENTS = 24
_CHUNK = 512
"""Cells whose crops are in memory together."""
_FLOOR = 0.01
"""Added to every variance of a component, as a fraction of the variance of all features."""
OOD_CELLS = 0.005
"""Proportion of validation cells that may be called out of distribution."""


def fit_appearance_density(
    training: Sequence[TrainingCells], validation: Sequence[TrainingCells], size: int
) -> tuple[AppearanceDensity, float]:
    """Return the density of the appearance of training cells, and the threshold on its logarithm.

    A crop below the threshold is out of distribution. `size` is the side of the crops.
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

    known = np.array(features(training))
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
    return density, float(np.quantile(densities, OOD_CELLS))


def write_density(density: AppearanceDensity, folder: Path) -> str:
    """Write the density beside a model and return the SHA-256 for its card."""
    content = density.to_bytes()
    (folder / APPEARANCE_FILE).write_bytes(content)
    return hashlib.sha256(content).hexdigest()
