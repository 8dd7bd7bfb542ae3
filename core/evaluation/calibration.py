"""From logits to probabilities that can be trusted: temperature and thresholds."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TARGET_ACCURACY = 0.995
"""Share of right predictions among the classified ones, on validation images."""
MAX_REJECTED_CELLS = 0.003
"""Share of validation cells that may be called no white cell."""


def softmax(
    logits: NDArray[np.float32], temperature: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return calibrated probabilities along the last axis (Guo et al. 2017).

    `temperature` is one for all, or an array that broadcasts over the logits.
    """
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


def rival_limits(  # noqa: PLR0913 - all of it describes the one trade-off
    probabilities: NDArray[np.float64],
    truth: NDArray[np.int64],
    *,
    rival: int,
    hosts: Sequence[int],
    confidence: float,
    max_missed: float,
    largest: float,
) -> dict[int, float]:
    """Return for each host class the probability of a rival from which it is uncertain.

    `probabilities` is n x labels, `truth` n label indices; `rival` and `hosts` are labels. At most
    `max_missed` of the rival's cells may be called a host with certainty, at `confidence`; among
    the limits that keep to it, those that make the fewest cells of the hosts uncertain are taken
    (Lagrange multiplier: one price of a missed rival cell for all hosts). No limit exceeds
    `largest`: a host that no rival cell was mistaken for here may be one elsewhere.
    """
    best, certain = probabilities.argmax(1), probabilities.max(1) >= confidence
    suspected = probabilities[:, rival]
    missed_of, lost_of = (
        {
            host: np.sort(suspected[certain & (best == host) & (truth == label)])
            for host, label in ((h, rival if of_rival else h) for h in hosts)
        }
        for of_rival in (True, False)
    )

    def limits(price: float) -> tuple[dict[int, float], int]:
        found, missed = {}, 0
        for host in hosts:
            # Below a candidate lie as many missed cells as stand before it.
            candidates = np.unique(np.append(missed_of[host], largest))
            candidates = candidates[candidates <= largest]
            below = np.searchsorted(missed_of[host], candidates, side="left")
            lost = len(lost_of[host]) - np.searchsorted(lost_of[host], candidates, side="left")
            chosen = int(np.argmin(lost + price * below))
            found[host] = float(candidates[chosen])
            missed += int(below[chosen])
        return found, missed

    allowed = max_missed * int((truth == rival).sum())
    price = 1e-3
    while (found := limits(price))[1] > allowed and price < 1e6:
        price *= 1.2
    return found[0]


def cellness_threshold(
    cellness: NDArray[np.float64], max_rejected: float = MAX_REJECTED_CELLS
) -> float:
    """Return the cellness below which a crop is called no cell, from that of real cells.

    Never above 0.5, so that only a crop that is more likely no cell is rejected.
    """
    return min(0.5, float(np.quantile(cellness, max_rejected)))
