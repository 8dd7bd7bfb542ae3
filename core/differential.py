"""From counted cells to percentages with exact limits.

The denominator is leukocytes (CLSI H20-A2): erythroblasts are given per 100 white cells and
platelets are left out; uncertain cells are never forced into a type.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scipy.special import betaincinv

from core.results import FieldAnalysis
from core.taxonomy import LEUKOCYTES

MINIMUM_FOR_PERCENTAGES = 50
"""Below this many leukocytes only counts are reported, not a verdict."""
RECOMMENDED_CELLS = 100
"""Below this many leukocytes a warning is shown."""

ADULT_PERCENT: Mapping[str, tuple[float, float]] = {
    "neutrophil": (40, 60),
    "lymphocyte": (20, 40),
    "monocyte": (2, 8),
    "eosinophil": (1, 4),
    "basophil": (0.5, 1),
    "immature_granulocyte": (0, 0),
}
"""Adult reference shares in percent: teaching values. A laboratory has its own."""


@dataclass(frozen=True, slots=True)
class Share:
    """A count and its share of the leukocytes in percent with 95 % limits."""

    count: int
    percent: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Differential:
    """Shares of the leukocyte types, and what stands beside them."""

    total: int
    """Leukocytes classified: the denominator."""
    shares: Mapping[str, Share]
    """For every type of `LEUKOCYTES`."""
    erythroblasts: Share
    """Per 100 leukocytes."""
    uncertain: int
    """White cells held out because the model is not sure."""

    @property
    def warning(self) -> str | None:
        """The sentence on too few cells, or None."""
        if self.total == 0:
            return "No classified white cells: there is no differential."
        if self.total < MINIMUM_FOR_PERCENTAGES:
            return (
                f"Only {self.total} white cells classified: read the counts, "
                f"not the percentages ({RECOMMENDED_CELLS} or more are needed)."
            )
        if self.total < RECOMMENDED_CELLS:
            return (
                f"{self.total} white cells classified: fewer than {RECOMMENDED_CELLS}, "
                "so the limits are wide."
            )
        return None


def exact_interval(count: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Clopper-Pearson limits of a share as fractions of 1.

    Rümke's table for the differential count is this interval (Clopper and Pearson 1934,
    Biometrika 26:404). With `total` 0 nothing is known: (0, 1).
    Raises ValueError unless 0 <= count <= total.
    """
    if not 0 <= count <= total:
        raise ValueError(f"count must lie between 0 and total, got {count} of {total}")
    if total == 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else float(betaincinv(count, total - count + 1, tail))
    high = 1.0 if count == total else float(betaincinv(count + 1, total - count, 1 - tail))
    return low, high


def _share(count: int, total: int) -> Share:
    low, high = exact_interval(count, total)
    percent = 100 * count / total if total else 0.0
    return Share(count, percent, 100 * low, 100 * high)


def _per_hundred(count: int, total: int) -> Share:
    """Return count per 100 of total; exact limits of the ratio of two counts.

    Given their sum, the count is binomial with p = ratio / (1 + ratio), so the Clopper-Pearson
    limits of p give those of the ratio.
    """
    if total == 0:
        return Share(count, 0.0, 0.0, float("inf"))
    low, high = exact_interval(count, count + total)
    ratio_high = float("inf") if high >= 1 else high / (1 - high)
    return Share(count, 100 * count / total, 100 * low / (1 - low), 100 * ratio_high)


def differential_of_counts(counts: Mapping[str, int], uncertain: int = 0) -> Differential:
    """Make the differential of counts by cell type."""
    total = sum(counts.get(key, 0) for key in LEUKOCYTES)
    return Differential(
        total=total,
        shares={key: _share(counts.get(key, 0), total) for key in LEUKOCYTES},
        erythroblasts=_per_hundred(counts.get("erythroblast", 0), total),
        uncertain=uncertain,
    )


def differential(analyses: Iterable[FieldAnalysis]) -> Differential:
    """Make the differential over all fields of a sample."""
    counts: dict[str, int] = {}
    uncertain = 0
    for analysis in analyses:
        for key, number in analysis.type_counts().items():
            counts[key] = counts.get(key, 0) + number
        uncertain += sum(c.status == "uncertain" for _, c in analysis.white_cells())
    return differential_of_counts(counts, uncertain)
