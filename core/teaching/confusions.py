"""Which types the shipped model takes for one another, from the predictions beside it."""

from collections import Counter
from dataclasses import dataclass

from core.evaluation.report import load_report
from core.settings import Settings

_SETS = ("cellavision", "lisc", "deepapl_fold", "pbc_test")
"""Sets of single cells that share no cell. `deepapl_fold` holds patients who were left out."""


@dataclass(frozen=True, slots=True)
class Confusions:
    """What the model called the cells of one type."""

    cells: int
    others: tuple[tuple[str, int], ...]
    """Type and number of the cells that it was given to, most frequent first."""


def model_confusions(settings: Settings | None = None) -> dict[str, Confusions]:
    """Return the confusions of the cell classifier by true type. Raises ModelError."""
    report = load_report("wbc", settings)
    pairs: Counter[tuple[str, str]] = Counter()
    for key in _SETS:
        if key in report.metrics.sets:
            scored = report.scored(key)
            pairs.update(zip(scored["truth"], scored["prediction"], strict=True))
    totals: Counter[str] = Counter()
    for (truth, _), cells in pairs.items():
        totals[truth] += cells
    return {
        truth: Confusions(
            cells,
            tuple((p, n) for (t, p), n in pairs.most_common() if t == truth and p != truth),
        )
        for truth, cells in totals.items()
    }
