"""Agreement of two readings of the same cells: the model and a reviewer, or two reviewers."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.inter_rater import cohens_kappa

from core.domain.intervals import Estimate, proportion
from core.domain.taxonomy import CELL_TYPES, NOT_A_WHITE_CELL

LABELS: tuple[str, ...] = (*CELL_TYPES, NOT_A_WHITE_CELL)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two readings of the same cells."""

    labels: tuple[str, ...]
    """Those that occur, in the order of the taxonomy."""
    matrix: tuple[tuple[int, ...], ...]
    """Cells by the first reading (rows) and the second (columns)."""
    total: int
    agreed: int
    share: Estimate
    """Cells with the same label in both readings, in percent."""
    kappa: Estimate | None
    """Cohen's kappa; None where it is undefined: a reading with a single label, or no cell."""


def agreement(pairs: Iterable[tuple[str, str]]) -> Agreement:
    """Compare pairs of labels (first reading, second reading), one a cell.

    Kappa is 1 for full agreement and 0 for agreement by chance (Cohen 1960, Educ Psychol Meas
    20:37), with 95 % limits from its large-sample variance (Fleiss, Cohen and Everitt 1969,
    Psychol Bull 72:323). Raises ValueError for a label that is not in `LABELS`.
    """
    counts = Counter(pairs)
    found = {label for pair in counts for label in pair}
    if unknown := found.difference(LABELS):
        raise ValueError(f"no labels of cells: {sorted(unknown)}")
    labels = tuple(label for label in LABELS if label in found)
    matrix = tuple(tuple(counts[a, b] for b in labels) for a in labels)
    total = counts.total()
    agreed = sum(counts[label, label] for label in labels)
    return Agreement(
        labels=labels,
        matrix=matrix,
        total=total,
        agreed=agreed,
        share=proportion(agreed, total, per=100),
        kappa=_kappa(np.array(matrix)) if labels else None,
    )


def _kappa(matrix: NDArray[np.int64]) -> Estimate | None:
    if min(np.count_nonzero(matrix.sum(axis=side)) for side in (0, 1)) < 2:
        return None
    with np.errstate(invalid="ignore"):  # The z value can be 0 / 0; it is not used.
        result = cohens_kappa(matrix)
    # The limits are symmetric; kappa is not above 1.
    return Estimate(float(result.kappa), float(result.kappa_low), min(float(result.kappa_upp), 1.0))
