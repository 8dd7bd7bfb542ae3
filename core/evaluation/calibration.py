"""From logits to probabilities that can be trusted: temperature and thresholds."""

import numpy as np
from numpy.typing import NDArray

TARGET_ACCURACY = 0.995
"""Share of right predictions among the classified ones, on validation images."""
MAX_REJECTED_CELLS = 0.003
"""Share of validation cells that may be called no white cell."""


def softmax(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """Return calibrated probabilities along the last axis (Guo et al. 2017)."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def fit_temperature(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """Return the temperature that minimises the negative log-likelihood (Guo et al. 2017).

    `logits` is n x labels, `truth` n label indices. The result lies between 0.2 and 5.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        probabilities = softmax(logits, float(np.exp(log_temperature)))
        chosen = probabilities[np.arange(len(truth)), truth]
        return float(-np.log(np.maximum(chosen, 1e-12)).mean())

    result = minimize_scalar(loss, bounds=(np.log(0.2), np.log(5.0)), method="bounded")
    return float(np.exp(result.x))


def uncertainty_threshold(
    probabilities: NDArray[np.float64],
    truth: NDArray[np.int64],
    target: float = TARGET_ACCURACY,
) -> float:
    """Return the lowest confidence at or above which `target` of the predictions are right.

    Never below 0.5, so that a classified prediction always has a majority. 0.99 when no threshold
    reaches the target.
    """
    confidence = probabilities.max(1)
    order = np.argsort(-confidence)
    right = (probabilities.argmax(1) == truth)[order]
    accuracy = np.cumsum(right) / np.arange(1, len(right) + 1)
    enough = np.nonzero(accuracy >= target)[0]
    if len(enough) == 0:
        return 0.99
    return max(0.5, float(confidence[order][enough[-1]]))


def cellness_threshold(
    cellness: NDArray[np.float64], max_rejected: float = MAX_REJECTED_CELLS
) -> float:
    """Return the cellness below which a crop is called no cell, from that of real cells.

    Never above 0.5, so that only a crop that is more likely no cell is rejected.
    """
    return min(0.5, float(np.quantile(cellness, max_rejected)))
