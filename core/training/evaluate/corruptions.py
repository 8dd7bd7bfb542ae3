"""Measures a classifier on images under each corruption in turn."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from tqdm.contrib.concurrent import thread_map

from core.domain.results import Pixels
from core.evaluation.corruptions import CORRUPTIONS
from core.evaluation.metrics import proportion, wilson_estimate
from core.evaluation.schema import CorruptedFigures, CorruptionFigures, CorruptionRow


class Prediction(NamedTuple):
    """What a model predicts of a corrupted image."""

    label: str | None
    classified: bool
    """Not uncertain, nor out of scope."""
    in_distribution: bool | None = None
    """None where the model cannot tell."""


def measure_corruptions(
    name: str,
    truth: Sequence[str],
    read: Callable[[int], Pixels],
    predict: Callable[[Pixels, int], Prediction],
) -> CorruptionFigures:
    """Return the figures of a set's images as they are and under every corruption.

    `read` returns the n-th image, `predict` the model's prediction for it.
    """
    total = len(truth)

    def measured(change: Callable[[Pixels], Pixels], corruption: str) -> CorruptedFigures:
        def one(number: int) -> Prediction:
            return predict(change(read(number)), number)

        predictions = thread_map(one, range(total), max_workers=2, desc=corruption)
        right = [own.label == label for own, label in zip(predictions, truth, strict=True)]
        classified = [ok for ok, own in zip(right, predictions, strict=True) if own.classified]
        figures = CorruptedFigures(
            accuracy=wilson_estimate(sum(right), total),
            classified=wilson_estimate(len(classified), total),
            classified_right=proportion(sum(classified), len(classified)),
        )
        known = [own.in_distribution for own in predictions if own.in_distribution is not None]
        if not known:
            return figures
        outside = proportion(known.count(False), total)
        return figures.model_copy(update={"out_of_distribution": outside})

    unchanged = measured(np.asarray, "unchanged")
    rows = []
    for corruption, change in CORRUPTIONS.items():
        own = measured(change, corruption)
        drop = unchanged.accuracy.value - own.accuracy.value
        rows.append(
            CorruptionRow(**own.model_dump(exclude_unset=True), corruption=corruption, drop=drop)
        )
    return CorruptionFigures(set=name, n=total, unchanged=unchanged, rows=rows)
