"""Agreement of two readings of the same cells, and what of a sample was reviewed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.domain.intervals import Estimate, proportion
from core.domain.results import Cell, FieldAnalysis
from core.domain.taxonomy import CELL_TYPES, NOT_A_WHITE_CELL

LABELS: tuple[str, ...] = (*CELL_TYPES, NOT_A_WHITE_CELL)
NAMED_OUT_OF_SCOPE = ("platelet", "smudge_cell")
"""Types that the model names although such a cell is out of scope."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two readings of the same cells."""

    labels: tuple[str, ...]
    """Those that occur, in their given order."""
    matrix: tuple[tuple[int, ...], ...]
    """Cells by the first reading (rows) and the second (columns)."""
    total: int
    agreed: int
    share: Estimate
    """Cells with the same label in both readings, in percent."""
    kappa: Estimate | None
    """Cohen's kappa; None where it is undefined: a reading with a single label, or no cell."""


def agreement(pairs: Iterable[tuple[str, str]], known: Sequence[str] = LABELS) -> Agreement:
    """Compare pairs of labels (first reading, second reading), one a cell.

    Kappa is 1 for full agreement and 0 for agreement by chance (Cohen 1960, Educ Psychol Meas
    20:37), with 95 % limits from its large-sample variance (Fleiss, Cohen and Everitt 1969,
    Psychol Bull 72:323). Raises ValueError for a label that is not `known`.
    """
    counts = Counter(pairs)
    found = {label for pair in counts for label in pair}
    if unknown := found.difference(known):
        raise ValueError(f"no labels of cells: {sorted(unknown)}")
    labels = tuple(label for label in known if label in found)
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


@dataclass(frozen=True, slots=True)
class ReviewTally:
    """What reviewers looked at in a sample, each white cell once."""

    unseen: Mapping[str, int]
    """Cells that count as the model typed them and that nobody labelled, by type."""
    uncertain: int
    """Cells without a type that nobody labelled."""
    reviewed: int
    """Cells that a reviewer labelled."""
    resolved: int
    """Of these, cells that the model was uncertain about."""
    added: int
    """Of these, cells that the model missed."""
    overridden: Mapping[tuple[str, str], int]
    """Of these, cells whose label is not the model's, by the model's label and the reviewer's;
    without those that the model was uncertain about."""
    agreement: Agreement
    """Of the model and the reviewers, over all reviewed cells that the model found."""

    @property
    def counted(self) -> Mapping[str, int]:
        """Overridden cells by the type that they count as now."""
        counts: Counter[str] = Counter()
        for (_, label), number in self.overridden.items():
            counts[label] += number
        return counts


def review_tally(analyses: Iterable[FieldAnalysis]) -> ReviewTally:
    """Return what reviewers looked at in the fields of a sample."""
    cells = [cell for a in analyses for _, cell in a.white_cells() if not cell.duplicate]
    reviewed = [cell for cell in cells if cell.reviewer is not None]
    unseen = [cell for cell in cells if cell.reviewer is None]
    found = [(cell, said) for cell in reviewed if (said := _model_label(cell)) is not None]
    pairs = [(said, _label(cell)) for cell, said in found]
    return ReviewTally(
        unseen=Counter(cell.counted_as for cell in unseen if cell.counted_as is not None),
        uncertain=sum(cell.status == "uncertain" for cell in unseen),
        reviewed=len(reviewed),
        resolved=sum(cell.suggested_status == "uncertain" for cell, _ in found),
        added=len(reviewed) - len(found),
        overridden=Counter(
            pair
            for pair, (cell, _) in zip(pairs, found, strict=True)
            if pair[0] != pair[1] and cell.suggested_status != "uncertain"
        ),
        agreement=agreement(pairs),
    )


def _label(cell: Cell) -> str:
    """Return the label of a reviewed cell."""
    return NOT_A_WHITE_CELL if cell.status == "out_of_scope" else str(cell.type)


def _model_label(cell: Cell) -> str | None:
    """Return what the model called a reviewed cell; None for one that it missed."""
    is_ruled_out = cell.suggested_status == "out_of_scope"
    if is_ruled_out and cell.suggested not in NAMED_OUT_OF_SCOPE:
        return NOT_A_WHITE_CELL
    return cell.suggested


def _kappa(matrix: NDArray[np.int64]) -> Estimate | None:
    if min(np.count_nonzero(matrix.sum(axis=side)) for side in (0, 1)) < 2:
        return None
    from statsmodels.stats.inter_rater import cohens_kappa  # a second to import

    with np.errstate(invalid="ignore"):  # The z value can be 0 / 0; it is not used.
        result = cohens_kappa(matrix)
    # The limits are symmetric; kappa is not above 1.
    return Estimate(float(result.kappa), float(result.kappa_low), min(float(result.kappa_upp), 1.0))
