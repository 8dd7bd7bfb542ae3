"""Measures a classifier on pictures changed by each synthetic shift in turn."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from tqdm.contrib.concurrent import thread_map

from core.domain.results import Pixels
from core.evaluation.corruptions import SHIFTS
from core.evaluation.metrics import proportion


class Said(NamedTuple):
    """What a model says of a changed picture."""

    label: str | None
    classified: bool
    """Not uncertain, nor out of scope."""
    in_distribution: bool | None = None
    """As `Cell.in_distribution`; None where the model does not tell."""


def measure_shifts(
    name: str,
    truth: Sequence[str],
    read: Callable[[int], Pixels],
    answer: Callable[[Pixels, int], Said],
) -> dict[str, Any]:
    """Return the figures of pictures as they are and under every shift of the suite.

    Accuracy, the share that is called classified with how much of it is right, and the share whose
    look is unfamiliar. `name` is the set's, `read` gives the n-th picture, `answer` what the model
    says of it.
    """
    total = len(truth)

    def figures(change: Callable[[Pixels], Pixels], shift: str) -> dict[str, Any]:
        def one(number: int) -> Said:
            return answer(change(read(number)), number)

        said = thread_map(one, range(total), max_workers=2, desc=shift)
        right = [own.label == label for own, label in zip(said, truth, strict=True)]
        sure = [ok for ok, own in zip(right, said, strict=True) if own.classified]
        measured = {
            "accuracy": proportion(sum(right), total),
            "classified": proportion(len(sure), total),
            "classified_right": proportion(sum(sure), len(sure)),
        }
        if any(own.in_distribution is not None for own in said):
            unfamiliar = sum(own.in_distribution is False for own in said)
            measured["unfamiliar"] = proportion(unfamiliar, total)
        return measured

    unchanged = figures(np.asarray, "unchanged")
    rows = [{"shift": shift, **figures(change, shift)} for shift, change in SHIFTS.items()]
    for row in rows:
        row["drop"] = unchanged["accuracy"]["value"] - row["accuracy"]["value"]
    return {"set": name, "n": total, "unchanged": unchanged, "rows": rows}
