"""From counted cells to percentages with exact limits.

The denominator is leukocytes (CLSI H20-A2), suspected blasts among them: erythroblasts and smudge
cells are given per 100 white cells and platelets are left out; uncertain cells are never forced
into a type. All limits are 95 % and say how far chance in the counting reaches; the model's own
error is not in them (`core.evaluation.model_error`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scipy.special import betaincinv

from core.domain.results import FieldAnalysis
from core.domain.taxonomy import LEUKOCYTES

MINIMUM_FOR_PERCENTAGES = 50
"""Below this many leukocytes only counts are reported, not a verdict."""
RECOMMENDED_CELLS = 100
"""Below this many leukocytes a warning is shown."""

SUSPECTED_BLAST = "suspected_blast"
"""The one leukocyte that only a reviewer can name. Blasts are counted with the leukocytes and
named apart (Palmer et al. 2015, Int J Lab Hematol 37:287, for the ICSH)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % limits, in the unit that the function giving it names."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Share:
    """A count and its share of the leukocytes in percent with 95 % limits."""

    count: int
    percent: float
    low: float
    high: float

    @property
    def estimate(self) -> Estimate:
        """The percentage with its limits."""
        return Estimate(self.percent, self.low, self.high)


@dataclass(frozen=True, slots=True)
class Differential:
    """Shares of the leukocyte types, and what stands beside them."""

    total: int
    """Leukocytes classified: the denominator."""
    shares: Mapping[str, Share]
    """For every type of `LEUKOCYTES`, and for suspected blasts where a reviewer named any."""
    erythroblasts: Share
    """Per 100 leukocytes."""
    smudge_cells: Share
    """Per 100 leukocytes; named by reviewers only."""
    uncertain: int
    """White cells held out because the model is not sure."""

    @property
    def suspected_blasts(self) -> int:
        """Cells that a reviewer named suspected blasts."""
        return self.shares[SUSPECTED_BLAST].count if SUSPECTED_BLAST in self.shares else 0

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


def ratio_interval(count: int, other: int) -> tuple[float, float]:
    """Return exact limits of the ratio count / other of two random counts.

    Given their sum, `count` is binomial with p = ratio / (1 + ratio), so the Clopper-Pearson
    limits of p give those of the ratio (Przyborowski and Wilenski 1940, Biometrika 31:313).
    With `other` 0 there is no upper limit: infinity.
    """
    low, high = exact_interval(count, count + other)
    return low / (1 - low), high / (1 - high) if high < 1 else float("inf")


def _share(count: int, total: int) -> Share:
    low, high = exact_interval(count, total)
    percent = 100 * count / total if total else 0.0
    return Share(count, percent, 100 * low, 100 * high)


def _per_hundred(count: int, total: int) -> Share:
    if total == 0:
        return Share(count, 0.0, 0.0, float("inf"))
    low, high = ratio_interval(count, total)
    return Share(count, 100 * count / total, 100 * low, 100 * high)


def differential_of_counts(counts: Mapping[str, int], uncertain: int = 0) -> Differential:
    """Make the differential of counts by cell type."""
    keys = LEUKOCYTES if not counts.get(SUSPECTED_BLAST) else (*LEUKOCYTES, SUSPECTED_BLAST)
    total = sum(counts.get(key, 0) for key in keys)
    return Differential(
        total=total,
        shares={key: _share(counts.get(key, 0), total) for key in keys},
        erythroblasts=_per_hundred(counts.get("erythroblast", 0), total),
        smudge_cells=_per_hundred(counts.get("smudge_cell", 0), total),
        uncertain=uncertain,
    )


def differential(analyses: Iterable[FieldAnalysis]) -> Differential:
    """Make the differential over all fields of a sample."""
    counts: Counter[str] = Counter()
    uncertain = 0
    for analysis in analyses:
        counts.update(analysis.type_counts())
        uncertain += analysis.uncertain()
    return differential_of_counts(counts, uncertain)


def neutrophil_lymphocyte_ratio(counted: Differential) -> Estimate | None:
    """Return neutrophils / lymphocytes with exact limits, both counts being random.

    Without lymphocytes the value and the upper limit are infinite; without either type there is
    no ratio: None.
    """
    neutrophils = counted.shares["neutrophil"].count
    lymphocytes = counted.shares["lymphocyte"].count
    if neutrophils + lymphocytes == 0:
        return None
    value = neutrophils / lymphocytes if lymphocytes else float("inf")
    return Estimate(value, *ratio_interval(neutrophils, lymphocytes))


def share_difference(before: Differential, after: Differential, key: str) -> Estimate | None:
    """Return how a type's share changed between two samples, in percentage points.

    Limits: Newcombe's score method 10 (1998, Stat Med 17:873). None when a sample has no cells.
    """
    # A second of import, which only pages that compare samples should pay.
    from statsmodels.stats.proportion import confint_proportions_2indep

    if before.total == 0 or after.total == 0:
        return None
    old, new = (
        counted.shares[key].count if key in counted.shares else 0 for counted in (before, after)
    )
    low, high = confint_proportions_2indep(new, after.total, old, before.total, method="newcomb")
    change = new / after.total - old / before.total
    return Estimate(100 * change, 100 * float(low), 100 * float(high))
