"""A sample counted: reports, exports and the history of a patient take their numbers from here."""

from collections.abc import Mapping
from dataclasses import dataclass

from core.cases.records import Patient, Sample, SampleSummary
from core.domain.blood_counts import absolute_counts, corrected_count
from core.domain.differential import (
    Differential,
    differential_of_counts,
    neutrophil_lymphocyte_ratio,
)
from core.domain.intervals import Estimate
from core.domain.reference_ranges import ReferenceRange, ReferenceRanges, Unit


@dataclass(frozen=True, slots=True, eq=False)
class SampleCounts:
    """A sample counted. Only blood has cells per volume and a ratio."""

    sample: Sample
    fields: int
    counted: Differential
    white_cell_count: float | None
    """As entered, in 10⁹/L, corrected for erythroblasts."""
    absolute: Mapping[str, Estimate]
    """In 10⁹/L; empty without a white cell count."""
    nlr: Estimate | None


def count_sample(sample: Sample, fields: int, counted: Differential) -> SampleCounts:
    """Return the counts of a sample from the differential of its fields."""
    is_blood = sample.material == "peripheral_blood"
    entered = sample.white_cell_count if is_blood else None
    white_cells = None if entered is None else corrected_count(entered, counted)
    return SampleCounts(
        sample=sample,
        fields=fields,
        counted=counted,
        white_cell_count=white_cells,
        absolute={} if white_cells is None else absolute_counts(counted, white_cells),
        nlr=neutrophil_lymphocyte_ratio(counted) if is_blood else None,
    )


def count_summary(summary: SampleSummary) -> SampleCounts:
    """Return the counts of a sample whose cells were counted by the database."""
    counted = differential_of_counts(summary.type_counts, summary.uncertain)
    return count_sample(summary.sample, summary.fields, counted)


def ranges_of(
    patient: Patient, sample: Sample, unit: Unit, ranges: ReferenceRanges
) -> dict[str, ReferenceRange]:
    """Return the ranges for a patient at the time of a sample; only blood has any.

    The age is that of whole years between the birth year and the sample.
    """
    if sample.material != "peripheral_blood":
        return {}
    age = None if patient.birth_year is None else sample.taken.year - patient.birth_year
    return ranges.of(unit, sex=patient.sex, age=age)
