"""The differential: percentages of counted white cells with exact confidence intervals.

The denominator is leukocytes (CLSI H20-A2), blasts among them: erythroblasts and smudge
cells are given per 100 white cells and platelets are left out. Uncertain cells count in no type.
Intervals are 95 % and cover sampling error, not the error of the model
(`core.evaluation.model_error`). Where a tenth or more of the white cells is uncertain, the counted
cells are a selection: every interval then spans from the lower limit if none of the uncertain cells
is of the type to the upper limit if all are (the bounds of Manski 1989, J Hum Resour 24:343).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite

from core.domain.intervals import Estimate, proportion, ratio
from core.domain.results import CellCounts, FieldAnalysis, PossibleBlasts
from core.domain.taxonomy import CELL_TYPES, LEUKOCYTES, SUBTYPES

LARGEST_LIMIT = 1000.0
"""Cells per 100 leukocytes: an upper limit beyond it is of no use to a reader."""
MINIMUM_FOR_PERCENTAGES = 50
"""With fewer leukocytes only counts are reported."""
RECOMMENDED_CELLS = 100
"""With fewer leukocytes a warning is shown."""
EXCLUDED_PERCENT = 10
"""From this percentage of uncertain white cells on, intervals include them."""
FULL_COUNT = 200
"""Leukocytes that a manual differential counts (CLSI H20-A2)."""


@dataclass(frozen=True, slots=True)
class Share(Estimate):
    """A type's percentage of the leukocytes with its 95 % interval, and the count behind it."""

    count: int

    @property
    def percent(self) -> float:
        """The percentage itself."""
        return self.value

    @property
    def upper_limit(self) -> float | None:
        """The upper limit as it is shown; None where it is beyond `LARGEST_LIMIT`."""
        return self.high if self.high <= LARGEST_LIMIT else None

    @property
    def limits_text(self) -> str:
        """The limits, such as `0.0-3.6`, `0.0-over 1000` or, beside nothing, `0.0-no limit`."""
        if self.upper_limit is not None:
            high = f"{self.upper_limit:.1f}"
        else:
            high = f"over {LARGEST_LIMIT:.0f}" if isfinite(self.high) else "no limit"
        return f"{self.low:.1f}-{high}"


@dataclass(frozen=True, slots=True)
class Differential:
    """Percentages of the leukocyte types, and the cells that are reported beside them."""

    total: int
    """Leukocytes classified: the denominator."""
    shares: Mapping[str, Share]
    """For every type of `LEUKOCYTES`."""
    erythroblasts: Share
    """Per 100 leukocytes."""
    smudge_cells: Share
    """Per 100 leukocytes."""
    uncertain: int
    """White cells without a type, which need review."""
    blasts: PossibleBlasts
    """The possible blasts, of the leukocytes; uncertain cells by their most probable type."""
    subtypes: Mapping[str, int] = field(default_factory=dict)
    """Counted cells by subtype, where it is known."""

    @property
    def white_cells(self) -> int:
        """Leukocytes classified and uncertain white cells."""
        return self.total + self.uncertain

    @property
    def excluded(self) -> int:
        """The uncertain cells that the intervals include: all where they are many, else none."""
        return _excluded(self.total, self.uncertain)

    @property
    def excluded_warning(self) -> str | None:
        """The sentence on many uncertain cells, which every number carries; None without."""
        if not self.excluded:
            return None
        share = 100 * self.uncertain / self.white_cells
        verb = "is" if self.uncertain == 1 else "are"
        return (
            f"{self.uncertain} of {self.white_cells} white cells {verb} uncertain ({share:.0f} %) "
            "and not in the percentages: all limits reach from none to all of them being of a type."
        )

    @property
    def interval_note(self) -> str:
        """What the intervals cover."""
        if self.excluded:
            return (
                "Clopper-Pearson, from none to all of the "
                f"{self.uncertain} uncertain cells being of the type"
            )
        return "Clopper-Pearson, sampling error only"

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


def _excluded(total: int, uncertain: int) -> int:
    many = 100 * uncertain >= EXCLUDED_PERCENT * (total + uncertain)
    return uncertain if many else 0


def _share(count: int, total: int, excluded: int) -> Share:
    low = proportion(count, total + excluded, per=100).low
    high = proportion(count + excluded, total + excluded, per=100).high
    return Share(100 * count / total if total else 0.0, low, high, count)


def _per_hundred(count: int, total: int, excluded: int) -> Share:
    if total == 0:
        return Share(0.0, 0.0, float("inf"), count)
    return Share(count=count, **asdict(_ratio(count, total, excluded, per=100)))


def _ratio(count: int, other: int, excluded: int, per: float = 1) -> Estimate:
    """Return a ratio whose limits reach from all excluded cells being of the other to all of it."""
    return Estimate(
        ratio(count, other, per=per).value,
        ratio(count, other + excluded, per=per).low,
        ratio(count + excluded, other, per=per).high,
    )


def differential_of_counts(
    counts: Mapping[str, int],
    uncertain: int = 0,
    *,
    blasts: PossibleBlasts | None = None,
    subtypes: Mapping[str, int] | None = None,
) -> Differential:
    """Make the differential of counts by cell type.

    Without `blasts` no uncertain cell counts as a possible blast, and each as a leukocyte.
    """
    total = sum(counts.get(key, 0) for key in LEUKOCYTES)
    excluded = _excluded(total, uncertain)
    return Differential(
        total=total,
        shares={key: _share(counts.get(key, 0), total, excluded) for key in LEUKOCYTES},
        erythroblasts=_per_hundred(counts.get("erythroblast", 0), total, excluded),
        smudge_cells=_per_hundred(counts.get("smudge_cell", 0), total, excluded),
        uncertain=uncertain,
        blasts=blasts or PossibleBlasts(counts.get("blast", 0), 0, total + uncertain),
        subtypes=subtypes or {},
    )


def differential(analyses: Iterable[FieldAnalysis]) -> Differential:
    """Make the differential over all fields of a sample."""
    counts = CellCounts()
    for analysis in analyses:
        counts.add(analysis.cells)
    return differential_of_counts(
        counts.types,
        counts.uncertain,
        blasts=counts.blasts,
        subtypes=counts.subtypes,
    )


def subtypes_text(counted: Differential) -> str:
    """Return the subtypes that the model suggests, such as `of 40 neutrophils, 3 bands`.

    Types are separated by semicolons. Empty without any subtype.
    """
    parts = []
    for key, share in counted.shares.items():
        own = [
            f"{number} {subtype.noun(number)}"
            for subtype in SUBTYPES.values()
            if subtype.type == key and (number := counted.subtypes.get(subtype.key, 0))
        ]
        if own:
            noun = CELL_TYPES[key].noun(share.count)
            parts.append(f"of {share.count} {noun}, {' and '.join(own)}")
    return "; ".join(parts)


def neutrophil_lymphocyte_ratio(counted: Differential) -> Estimate | None:
    """Return neutrophils / lymphocytes with exact limits, both counts being random.

    Without lymphocytes the value and the upper limit are infinite; without either type there is
    no ratio: None.
    """
    neutrophils = counted.shares["neutrophil"].count
    lymphocytes = counted.shares["lymphocyte"].count
    if neutrophils + lymphocytes == 0:
        return None
    return _ratio(neutrophils, lymphocytes, counted.excluded)


def share_difference(before: Differential, after: Differential, key: str) -> Estimate | None:
    """Return how a type's share changed between two samples, in percentage points.

    Limits: Newcombe's score method 10 (1998, Stat Med 17:873), over both extremes of the excluded
    cells. None when a sample has no cells.
    """
    # A second of import, which only pages that compare samples should pay.
    from statsmodels.stats.proportion import confint_proportions_2indep

    if before.total == 0 or after.total == 0:
        return None
    old, new = (
        counted.shares[key].count if key in counted.shares else 0 for counted in (before, after)
    )

    def limits(more_new: int, more_old: int) -> tuple[float, float]:
        low, high = confint_proportions_2indep(
            new + more_new,
            after.total + after.excluded,
            old + more_old,
            before.total + before.excluded,
            method="newcomb",
        )
        return 100 * float(low), 100 * float(high)

    change = 100 * (new / after.total - old / before.total)
    return Estimate(change, limits(0, before.excluded)[0], limits(after.excluded, 0)[1])
