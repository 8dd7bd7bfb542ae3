"""Decides whether a prediction counts: the one place for certainty, live and in measurements."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from core.domain.taxonomy import Status


@dataclass(frozen=True, slots=True)
class DecisionThresholds:
    """The probabilities that a prediction must reach."""

    confidence: float
    """Of the most probable class: below it the prediction is uncertain."""
    cellness: float = 0.0
    """Of showing one whole cell: below it the crop is out of scope."""
    rivals: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By predicted class: the probability of another class from which on the prediction is
    uncertain. Naming a blast a healthy type is the worst error, so a few percent suffice."""


def decide(
    probabilities: Mapping[str, float],
    thresholds: DecisionThresholds,
    *,
    cellness: float = 1.0,
    excluded: Collection[str] = (),
    doubtful: bool = False,
) -> Status:
    """Return the status of a prediction from its calibrated probabilities by class.

    `cellness` is the probability that the crop shows one whole cell. A prediction of an `excluded`
    class, or without any probability, is out of scope, and so is a certain smudge cell. A
    `doubtful` prediction is never classified, however confident it is.
    """
    best = max(probabilities, key=probabilities.__getitem__, default=None)
    if best is None or best in excluded or cellness < thresholds.cellness:
        return "out_of_scope"
    rivals = thresholds.rivals.get(best, {})
    if (
        doubtful
        or probabilities[best] < thresholds.confidence
        or any(probabilities.get(rival, 0.0) >= limit for rival, limit in rivals.items())
    ):
        return "uncertain"
    return "out_of_scope" if best == "smudge_cell" else "classified"


def without_certainty(status: Status) -> Status:
    """Return the status of a prediction that turned out to be doubtful."""
    return "uncertain" if status == "classified" else status
