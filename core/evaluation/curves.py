"""Curves over a classifier's answers as `core.evaluation.metrics.score` gives them.

Limits are 95 %; values are fractions of 1.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

from core.domain.intervals import Estimate, wilson
from core.evaluation.metrics import proportion


def risk_coverage(scored: pd.DataFrame) -> pd.DataFrame:
    """Return what is left to the model, and how wrong it is, at every confidence threshold.

    One row for each threshold that occurs, highest first; images at or above it are answered.
    Columns: threshold, answered, coverage, risk (share wrong of the answered), low, high (of risk).
    El-Yaniv and Wiener 2010, JMLR 11:1605.
    """
    by_confidence = scored.sort_values("confidence", ascending=False, kind="stable")
    errors = (~by_confidence["correct"]).cumsum().to_numpy()
    confidence = by_confidence["confidence"].to_numpy()
    # Images with the same confidence are answered together.
    last = np.append(np.flatnonzero(np.diff(confidence)), len(confidence) - 1)
    answered = last + 1
    low, high = wilson(errors[last], answered)
    return pd.DataFrame(
        {
            "threshold": confidence[last],
            "answered": answered,
            "coverage": answered / len(confidence),
            "risk": errors[last] / answered,
            "low": low,
            "high": high,
        }
    )


@dataclass(frozen=True, slots=True)
class Answered:
    """What a confidence threshold leaves to the model and to a reviewer."""

    answered: int
    to_reviewer: int
    coverage: float
    """Proportion of images answered."""
    accuracy: Estimate | None
    """Of the answered images."""


def at_threshold(scored: pd.DataFrame, threshold: float) -> Answered:
    """Return what is answered at or above a threshold, and how much of it is right."""
    answered = scored[scored["confidence"] >= threshold]
    return Answered(
        answered=len(answered),
        to_reviewer=len(scored) - len(answered),
        coverage=len(answered) / len(scored),
        accuracy=proportion(int(answered["correct"].sum()), len(answered)),
    )


def roc_points(scored: pd.DataFrame, label: str) -> pd.DataFrame:
    """Return false_positive_rate, true_positive_rate, threshold of `label` against the rest.

    Empty when the set has no image of the label or no other image.
    """
    positive = scored["truth"] == label
    columns = ["false_positive_rate", "true_positive_rate", "threshold"]
    if not positive.any() or positive.all():
        return pd.DataFrame(columns=columns)
    values = roc_curve(positive, scored[f"p_{label}"])
    return pd.DataFrame(dict(zip(columns, values, strict=True)))


def precision_recall_points(scored: pd.DataFrame, label: str) -> pd.DataFrame:
    """Return recall, precision, threshold of `label` against the rest, by falling threshold.

    The first row is recall 0, precision 1 by convention. Empty when no image has the label.
    """
    positive = scored["truth"] == label
    if not positive.any():
        return pd.DataFrame(columns=["recall", "precision", "threshold"])
    precision, recall, thresholds = precision_recall_curve(
        positive, scored[f"p_{label}"], drop_intermediate=True
    )
    limits = np.append(thresholds, np.inf)
    points = pd.DataFrame({"recall": recall, "precision": precision, "threshold": limits})
    return points[::-1].reset_index(drop=True)
