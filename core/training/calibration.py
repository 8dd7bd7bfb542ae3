"""Fits what turns a network's scores into probabilities that can be trusted."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from core.domain.results import Pixels
from core.inference.cell_classifier import softmax
from core.training.augmentation.appearance import Strength, look

WANTED_ACCURACY = 0.995
"""Share of right answers among those called classified, on validation pictures."""

REFUSED_CELLS = 0.003
"""Share of validation cells that may be called no white cell."""

FAR = Strength(stain=1.4, camera=1.4, blur=1.4, noise=1.4)
"""Looks beyond those of training, in the place of laboratories nobody has cells of."""


def fit_temperature(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """Return the temperature that minimises the negative log-likelihood (Guo et al. 2017).

    `logits` is n x labels, `truth` n label indices.
    """

    def loss(log_temperature: float) -> float:
        probabilities = softmax(logits, float(np.exp(log_temperature)))
        chosen = probabilities[np.arange(len(truth)), truth]
        return float(-np.log(np.maximum(chosen, 1e-12)).mean())

    result = minimize_scalar(loss, bounds=(np.log(0.2), np.log(5.0)), method="bounded")
    return float(np.exp(result.x))


def fit_temperature_away(
    answer: Callable[[Pixels], NDArray[np.float32]],
    crops: Sequence[Pixels] | NDArray[np.uint8],
    truth: NDArray[np.int64],
    *,
    seed: int = 0,
) -> float:
    """Return the temperature that suits cells at home and cells that look otherwise alike.

    Fitted on every validation crop twice: as it is, and with a look drawn from `FAR`. `answer`
    gives the logits of a crop, `truth` are the n label indices. Fitted at home alone, a
    temperature is too low under a shift (Ovadia et al. 2019, NeurIPS).
    """
    rng = np.random.default_rng(seed)
    logits = [answer(crop) for crop in crops] + [answer(look(crop, rng, FAR)) for crop in crops]
    return fit_temperature(np.stack(logits), np.concatenate([truth, truth]))


def uncertainty_threshold(
    probabilities: NDArray[np.float64],
    truth: NDArray[np.int64],
    wanted: float = WANTED_ACCURACY,
) -> float:
    """Return the lowest confidence from which on at least `wanted` of the answers are right.

    Never below 0.5, so that a classified answer always has a majority.
    """
    confidence = probabilities.max(1)
    order = np.argsort(-confidence)
    right = (probabilities.argmax(1) == truth)[order]
    accuracy = np.cumsum(right) / np.arange(1, len(right) + 1)
    enough = np.nonzero(accuracy >= wanted)[0]
    if len(enough) == 0:
        return 0.99
    return max(0.5, float(confidence[order][enough[-1]]))


def acceptance_threshold(white: NDArray[np.float64], refused: float = REFUSED_CELLS) -> float:
    """Return the score below which a picture is called no cell, from the scores of real cells.

    Never above 0.5, so that only what is more likely no cell is turned away.
    """
    return min(0.5, float(np.quantile(white, refused)))
