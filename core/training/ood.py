"""Learns how the cells of the training laboratories look, and what to trust away from them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.stats import gmean
from sklearn.mixture import GaussianMixture

from core.evaluation.comparisons import load_comparisons
from core.inference.ood import Floats, Looks, look_of
from core.model_card import APPEARANCE_FILE
from core.settings import Settings
from core.training.data.cells import Cells, central_crops

TRAINING = ("pbc", "kaggle", "untyped")
"""Domains of real laboratories; made cells have any look."""
WATCHED = ("pbc_val", "kaggle_val")
_COMPONENTS = 24
_FLOOR = 0.01
"""Added to every variance of a component, as a share of the variance of all looks."""
UNFAMILIAR_CELLS = 0.005
"""Share of validation cells that may be called unfamiliar."""


def fitted_looks(domains: Mapping[str, Cells], size: int) -> tuple[Looks, float]:
    """Return the looks of training cells, and the least log density of a familiar crop.

    `domains` holds those of `TRAINING` and `WATCHED`; `size` is the side of the crops.
    """

    def looks_of(name: str) -> list[Floats]:
        return [look_of(crop) for crop in central_crops(domains[name], size)]

    known = np.array([look for name in TRAINING for look in looks_of(name)])
    centre, scale = known.mean(0), known.std(0)
    mixture = GaussianMixture(_COMPONENTS, reg_covar=_FLOOR, max_iter=200, random_state=0)
    mixture.fit((known - centre) / scale)
    looks = Looks(
        centre,
        scale,
        means=mixture.means_,
        factors=mixture.precisions_cholesky_,
        log_weights=np.log(mixture.weights_),
    )
    densities = [looks.log_density(look) for name in WATCHED for look in looks_of(name)]
    return looks, float(np.quantile(densities, UNFAMILIAR_CELLS))


def write_looks(looks: Looks, folder: Path) -> str:
    """Write the looks beside a model and return the SHA-256 for its card."""
    content = looks.to_bytes()
    (folder / APPEARANCE_FILE).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def away_temperature(settings: Settings, at_home: float) -> float:
    """Return the temperature for cells of a laboratory that the classifier has not seen.

    The geometric mean of the temperatures that suit each training laboratory when a network is
    trained without it (`python -m core train wbc --without NAME`; `fit_temperature` goes up to 5),
    never below the one at home. Where no such network was trained it is the one at home.
    """
    rows = load_comparisons("wbc", settings).sources.values()
    left_out = [row.temperature for row in rows if row.temperature is not None]
    return max(float(gmean(left_out)), at_home) if left_out else at_home
