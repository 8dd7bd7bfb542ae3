"""Findings of a differential that a user should check. Flags suggest; they do not diagnose.

Whether a value is outside its range is decided in `core.domain.reference_ranges.judge`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from core.domain.blood_counts import CORRECTION_FROM, absolute_counts, needs_correction
from core.domain.differential import (
    MINIMUM_FOR_PERCENTAGES,
    Differential,
    neutrophil_lymphocyte_ratio,
)
from core.domain.intervals import Estimate
from core.domain.reference_ranges import WHITE_CELLS, ReferenceRange, Unit, judge
from core.domain.results import PossibleBlasts
from core.domain.taxonomy import CELL_TYPES, Material

Severity = Literal["urgent", "warning", "note"]
"""`urgent` makes a second review of the sample mandatory, `warning` is a finding or a weak count,
`note` is information."""

LEFT_SHIFT_PERCENT = 3
"""Immature granulocytes above this share are a left shift here: rare, and specific for sepsis
(Ansari-Lari, Kickler and Borowitz 2003, Am J Clin Pathol 120:795)."""
NLR_LOW, NLR_GREY, NLR_HIGH = 0.7, 2.3, 3.0
"""Neutrophil-lymphocyte ratio: below and above the outer two pathological, a grey zone from the
middle one (Zahorec 2021, Bratisl Lek Listy 122:474)."""

_LOOK_FIRST = "Have a specialist look at these cells first."
_UNITS: Mapping[Unit, str] = {"%": " %", "10^9/L": " × 10⁹/L", "ratio": ""}


@dataclass(frozen=True, slots=True)
class Flag:
    """One finding to check."""

    key: str
    severity: Severity
    sentence: str


def flags(
    counted: Differential,
    *,
    percent_ranges: Mapping[str, ReferenceRange],
    absolute_ranges: Mapping[str, ReferenceRange],
    white_cell_count: float | None = None,
    material: Material = "peripheral_blood",
) -> tuple[Flag, ...]:
    """Return the flags of a sample, the most severe first.

    `white_cell_count` is in 10⁹/L, corrected for erythroblasts. With it a type that has an absolute
    range is judged by its absolute count and not by its percentage, which also depends on the other
    types. Below 50 cells no value is judged. In marrow and other
    material immature cells are normal and no range applies: only the count itself and possible
    blasts are flagged.
    """
    found = [*_of_counting(counted)]
    if material == "peripheral_blood":
        found += _of_blood(counted, percent_ranges, absolute_ranges, white_cell_count)
    return by_severity(found)


def by_severity(found: Iterable[Flag]) -> tuple[Flag, ...]:
    """Return flags in the order urgent, warning, note."""
    order: tuple[Severity, ...] = ("urgent", "warning", "note")
    return tuple(sorted(found, key=lambda flag: order.index(flag.severity)))


def _of_blood(
    counted: Differential,
    percent_ranges: Mapping[str, ReferenceRange],
    absolute_ranges: Mapping[str, ReferenceRange],
    white_cell_count: float | None,
) -> Iterator[Flag]:
    yield from _of_immature(counted)
    yield from _of_erythroblasts(counted)
    absolute: Mapping[str, Estimate] = {}
    if white_cell_count is not None:
        absolute = absolute_counts(counted, white_cell_count)
        if WHITE_CELLS in absolute_ranges:
            exact = Estimate.exact(white_cell_count)
            limits = absolute_ranges[WHITE_CELLS]
            basis = counted.total if needs_correction(counted) else None
            yield from _outside(WHITE_CELLS, "White cells", exact, limits, basis)
    yield from _of_ranges(counted, percent_ranges, absolute_ranges, absolute)
    if counted.total >= MINIMUM_FOR_PERCENTAGES:
        yield from _of_ratio(neutrophil_lymphocyte_ratio(counted))


def _of_counting(counted: Differential) -> Iterator[Flag]:
    if counted.warning:
        few = counted.total < MINIMUM_FOR_PERCENTAGES
        key = "under_50_cells" if few else "under_100_cells"
        yield Flag(key, "warning" if few else "note", counted.warning)
    if counted.excluded_warning:
        yield Flag("uncertain_high", "warning", f"{counted.excluded_warning} Review them first.")
    if blasts := blast_flag(counted.blasts):
        yield blasts


def blast_flag(blasts: PossibleBlasts) -> Flag | None:
    """Return the flag of possible blasts, with their share of the leukocytes.

    An uncertain cell counts as its most probable type: blasts are uncertain more often than others,
    so that their share of the classified cells alone is too low. One that is likeliest to be a
    smudge cell, an erythroblast or a platelet is no leukocyte.
    """
    if not blasts.count:
        return None
    return Flag("possible_blasts", "urgent", f"{blasts_text(blasts)}. {_LOOK_FIRST}")


def blasts_text(blasts: PossibleBlasts) -> str:
    """Return the share of possible blasts, such as `3 possible blasts: 21 % (5-51) of 14 …`."""
    if not blasts.white_cells:
        return "No leukocytes were found"
    cells = _white_cells(blasts.white_cells)
    share = blasts.percent.text(" %", 0)
    return f"{_possible(blasts)}: {share} of {cells}"


def _white_cells(number: int) -> str:
    return f"{number} white cell" if number == 1 else f"{number} white cells"


def _possible(blasts: PossibleBlasts) -> str:
    text = f"{blasts.count or 'No'} possible {CELL_TYPES['blast'].noun(blasts.count)}"
    if not blasts.uncertain:
        return text
    if blasts.uncertain == blasts.count:
        return f"{text}, {'uncertain' if blasts.count == 1 else 'all of them uncertain'}"
    return f"{text}, {blasts.uncertain} of them uncertain"


def _of_erythroblasts(counted: Differential) -> Iterator[Flag]:
    if not needs_correction(counted):
        return
    red, spans = counted.erythroblasts, ""
    if counted.total < MINIMUM_FOR_PERCENTAGES:
        noun = CELL_TYPES["erythroblast"].noun(red.count)
        text = f"{red.count} {noun} beside {_white_cells(counted.total)}"
    else:
        text = f"{red.percent:.1f} erythroblasts per 100 white cells ({red.low:.1f}-{red.high:.1f})"
        spans = " The interval spans 5." if red.low <= CORRECTION_FROM else ""
    sentence = f"{text}: a white cell count that includes them needs correcting.{spans}"
    yield Flag("erythroblasts", "warning", sentence)


def _of_immature(counted: Differential) -> Iterator[Flag]:
    share = counted.shares["immature_granulocyte"]
    if share.count == 0:
        return
    text = f"{share.count} {CELL_TYPES['immature_granulocyte'].noun(share.count)}"
    if counted.total >= MINIMUM_FOR_PERCENTAGES:
        text += f", {share.text(' %')}"
    yield Flag("immature_granulocytes", "note", f"{text}: normally absent from adult blood.")
    if counted.total >= MINIMUM_FOR_PERCENTAGES and share.low > LEFT_SHIFT_PERCENT:
        yield Flag(
            "left_shift",
            "warning",
            f"Left shift suggested: immature granulocytes above {LEFT_SHIFT_PERCENT} %. Bands are "
            "counted with neutrophils and are not part of this.",
        )


def _of_ranges(
    counted: Differential,
    percent_ranges: Mapping[str, ReferenceRange],
    absolute_ranges: Mapping[str, ReferenceRange],
    absolute: Mapping[str, Estimate],
) -> Iterator[Flag]:
    for key, share in counted.shares.items():
        if key in ("immature_granulocyte", "blast"):
            continue  # Flagged by their own rules.
        name = CELL_TYPES[key].plural
        if key in absolute and key in absolute_ranges:
            yield from _outside(key, name, absolute[key], absolute_ranges[key], counted.total)
        elif key in percent_ranges:
            yield from _outside(key, name, share, percent_ranges[key], counted.total)


def _outside(
    key: str, name: str, value: Estimate, limits: ReferenceRange, counted: int | None
) -> Iterator[Flag]:
    verdict = judge(value, limits, counted)
    if verdict in (None, "normal"):
        return
    unit = _UNITS[limits.unit]
    text = f"{name} {value.text(unit, 2 if limits.unit == '10^9/L' else 1)}"
    side = "above" if verdict in ("above", "high") else "below"
    if verdict in ("low", "high"):
        yield Flag(f"{key}_{verdict}", "warning", f"{text}: {side} the range {limits.text}{unit}.")
    else:
        yield Flag(
            f"{key}_spans_limit",
            "note",
            f"{text}: {side} the range {limits.text}{unit}, but the interval spans the limit.",
        )


def _of_ratio(nlr: Estimate | None) -> Iterator[Flag]:
    if nlr is None:
        return
    text = f"Neutrophil-lymphocyte ratio {ratio_text(nlr)}"
    limit = f"above {NLR_HIGH}" if nlr.value > NLR_HIGH else f"below {NLR_LOW}"
    if nlr.low > NLR_HIGH or nlr.high < NLR_LOW:
        yield Flag("nlr", "warning", f"{text}: {limit}.")
    elif not NLR_LOW <= nlr.value <= NLR_HIGH:
        sentence = f"{text}: {limit}, but the interval spans the limit."
        yield Flag("nlr_spans_limit", "note", sentence)
    elif nlr.value >= NLR_GREY:
        yield Flag("nlr_grey", "note", f"{text}: in the grey zone {NLR_GREY}-{NLR_HIGH}.")


def ratio_text(ratio: Estimate) -> str:
    """Write a ratio with its limits; an infinite upper limit is written `no upper limit`."""
    if ratio.value == float("inf"):
        return f"without lymphocytes (at least {ratio.low:.2f})"
    high = "no upper limit" if ratio.high == float("inf") else f"{ratio.high:.2f}"
    return f"{ratio.value:.2f} ({ratio.low:.2f}-{high})"
