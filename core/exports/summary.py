"""Everything that PDF, workbook, JSON and FHIR report of a case, computed once."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import pandas as pd

from core.cases.counting import count_sample, ranges_of
from core.cases.records import Case
from core.domain.agreement import ReviewTally, review_tally
from core.domain.blood_counts import needs_correction, platelet_estimate, smear_estimate
from core.domain.differential import Differential, Share, differential, subtypes_text
from core.domain.flags import Flag, by_severity, flags, ratio_text
from core.domain.intervals import Estimate
from core.domain.reference_ranges import (
    NLR,
    WHITE_CELLS,
    ReferenceRange,
    ReferenceRanges,
    Verdict,
    judge,
)
from core.domain.results import FieldAnalysis
from core.domain.taxonomy import (
    CELL_TYPES,
    NOT_A_WHITE_CELL,
    RESEARCH_NOTICE,
    STAGES,
    Material,
    label_name,
)
from core.errors import ModelError, NoEstimateError
from core.evaluation.model_error import CallAccuracy, accuracy_of, smear_error
from core.exports.tables import PERCENT_COLUMNS, cells_table, estimate_columns, files_table
from core.imaging.red_cells import SmearFindings, smear_findings
from core.model_card import load_card
from core.settings import Settings, get_settings

MATERIAL_NAMES: Mapping[Material, str] = {
    "peripheral_blood": "Peripheral blood",
    "bone_marrow": "Bone marrow",
    "other": "Other material",
}


_WARNED_FIELDS = 3
"""Fields whose warnings are flagged one by one; a PDF has one page."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A number beside its reference range."""

    estimate: Estimate | None
    limits: ReferenceRange | None = None
    verdict: Verdict | None = None
    """As `core.domain.reference_ranges.judge`; None without a range or with too few cells."""

    @classmethod
    def of(
        cls, estimate: Estimate | None, limits: ReferenceRange | None, counted: int | None
    ) -> "Judged":
        """Judge a number that `counted` cells were counted for."""
        if estimate is None or limits is None:
            return cls(estimate, limits)
        return cls(estimate, limits, judge(estimate, limits, counted))

    @property
    def range_text(self) -> str:
        """The range as text; empty without one."""
        return self.limits.text if self.limits else ""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the differential, or one of the cells that are counted beside it."""

    key: str
    name: str
    share: Share
    """In percent of the leukocytes; of erythroblasts and smudge cells, per 100 of them."""
    percent: Judged
    """The share."""
    absolute: Judged
    """In 10⁹/L; no estimate where no white cell count is known."""


@dataclass(frozen=True, slots=True, eq=False)
class CaseSummary:
    """A case with its differential, ranges and flags."""

    case: Case
    counted: Differential
    rows: tuple[Row, ...]
    """The types of the differential."""
    beside: tuple[Row, ...]
    """Erythroblasts and smudge cells."""
    white_cell_count: float | None
    """The count that was entered, in 10⁹/L, corrected for erythroblasts."""
    white_cells: Judged
    """The same count."""
    estimate: Estimate | None
    """White cells in 10⁹/L estimated from the smear; None for what is not blood, without a
    calibrated factor or where the fields do not allow it. Nothing else is computed from it."""
    smear: SmearFindings | None
    """Red cells and platelets of blood; None for what is not."""
    smear_error: str
    """How far those were off where they were measured; empty where it is not known."""
    platelet_count: Estimate | None
    """In 10⁹/L, estimated as `estimate` is."""
    nlr: Judged
    """Neutrophil-lymphocyte ratio; no estimate where there is none, and for what is not
    blood."""
    flags: tuple[Flag, ...]
    laboratory: str
    """Whose reference ranges were used, as `ReferenceRanges.title` says it; empty when none hold
    for the material."""
    models: tuple[str, ...]
    """Names, versions and thresholds of the models that analysed the fields."""
    review: ReviewTally
    """What reviewers looked at and changed."""
    accuracy: tuple[CallAccuracy, ...]
    """The cell classifier's own error, at home first; empty when it is not known of the version
    that analysed the fields."""

    @property
    def is_blood(self) -> bool:
        """Whether counts per volume and codes of blood apply."""
        return self.case.sample.material == "peripheral_blood"


def summarise(case: Case, ranges: ReferenceRanges, settings: Settings | None = None) -> CaseSummary:
    """Count a case and judge it by reference ranges.

    Material other than peripheral blood has no ranges, no ratio and no cells per volume.
    """
    settings = settings or get_settings()
    patient, sample = case.patient, case.sample
    counts = count_sample(sample, len(case.fields), differential(case.analyses))
    counted, white_cells = counts.counted, counts.white_cell_count
    in_percent, per_litre, ratios = (
        ranges_of(patient, sample, unit, ranges) for unit in ("%", "10^9/L", "ratio")
    )
    is_blood = sample.material == "peripheral_blood"
    used = _models(case)
    exact = None if white_cells is None else Estimate.exact(white_cells)

    def row(key: str, share: Share) -> Row:
        return Row(
            key=key,
            name=CELL_TYPES[key].plural,
            share=share,
            percent=Judged.of(share, in_percent.get(key), counted.total),
            absolute=Judged.of(counts.absolute.get(key), per_litre.get(key), counted.total),
        )

    return CaseSummary(
        case=case,
        counted=counted,
        rows=tuple(row(key, share) for key, share in counted.shares.items()),
        beside=(
            row("erythroblast", counted.erythroblasts),
            row("smudge_cell", counted.smudge_cells),
        ),
        white_cell_count=white_cells,
        white_cells=Judged.of(
            exact, per_litre.get(WHITE_CELLS), counted.total if needs_correction(counted) else None
        ),
        estimate=_estimate(smear_estimate, case, settings.white_cell_factor),
        smear=smear_findings(case.analyses) if is_blood else None,
        smear_error=smear_error(_version(case, "detector"), settings),
        platelet_count=_estimate(platelet_estimate, case, settings.platelet_factor),
        nlr=Judged.of(counts.nlr, ratios.get(NLR), counted.total),
        flags=by_severity(
            (
                *flags(
                    counted,
                    percent_ranges=in_percent,
                    absolute_ranges=per_litre,
                    white_cell_count=white_cells,
                    material=sample.material,
                ),
                *_field_flags(case),
            )
        ),
        laboratory=ranges.title if is_blood else "",
        review=review_tally(case.analyses),
        models=tuple(_model(name, version, settings) for name, version in sorted(used)),
        accuracy=_accuracy(case, settings),
    )


def _field_flags(case: Case) -> Iterator[Flag]:
    """Yield the warnings of the first fields that have any, and how many more fields have some."""
    warned = [
        (stored.analysis.title, sentences)
        for stored in case.fields
        if (
            sentences := dict.fromkeys(
                (*stored.analysis.warnings, *(stored.stage.warnings if stored.stage else ()))
            )
        )
    ]
    for file, sentences in warned[:_WARNED_FIELDS]:
        yield Flag("field_warning", "warning", f"{file}: {' '.join(sentences)}")
    if (more := len(warned) - _WARNED_FIELDS) > 0:
        which = "1 more field has" if more == 1 else f"{more} more fields have"
        yield Flag("field_warning", "warning", f"{which} warnings. See the table of fields.")


def _estimate(
    estimate: Callable[[Sequence[FieldAnalysis], float | None], Estimate],
    case: Case,
    factor: float | None,
) -> Estimate | None:
    if case.sample.material == "peripheral_blood":
        with suppress(NoEstimateError):
            return estimate(case.analyses, factor)
    return None


def _accuracy(case: Case, settings: Settings) -> tuple[CallAccuracy, ...]:
    # Nothing was measured of a classifier that a site profile changed.
    has_profile = any("profile" in stored.models for stored in case.fields)
    version = None if has_profile else _version(case, "wbc")
    return accuracy_of(version, settings) if version else ()


def _version(case: Case, model: str) -> str | None:
    """Return the version that analysed all fields, or None."""
    if not all(model in stored.models for stored in case.fields):
        return None
    versions = {version for name, version in _models(case) if name == model}
    return versions.pop() if len(versions) == 1 else None


def _models(case: Case) -> set[tuple[str, str]]:
    """Return names and versions of all models that analysed the fields, or typed a cell again."""
    used = {item for stored in case.fields for item in stored.models.items()}
    again = {cell.typed_by for analysis in case.analyses for cell in analysis.cells}
    return used | {("wbc", version) for version in again if version is not None}


def smear_facts(smear: SmearFindings, platelet_count: Estimate | None) -> dict[str, str]:
    """Return red cells and platelets as text by name; what is not known is left out."""
    size, per_thousand = smear.variation, smear.platelets_per_thousand
    known = {
        "Red cells": f"{smear.red_cells:,}, {len(smear.diameters):,} measured",
        "Red cell size variation": size and f"{size.text(' %')}, from boxes; not an analyser's RDW",
        "Mean red cell diameter": smear.mean_diameter and f"{smear.mean_diameter:.2f} µm",
        "Platelets": f"{smear.platelets:,}, {smear.platelets_per_field.text()} per field"
        + (f", {per_thousand.text(digits=0)} per 1,000 red cells" if per_thousand else ""),
        "Platelets, estimated": platelet_count
        and f"{platelet_count.text(' × 10⁹/L', 0)}; method ±30 %",
    }
    return {name: value for name, value in known.items() if value}


def _model(name: str, version: str, settings: Settings) -> str:
    """Name a model with its thresholds, which only the card of the same version has."""
    with suppress(ModelError):
        card = load_card(name, settings)
        if card.version == version:
            values = card.thresholds.by_name().items()
            thresholds = ", ".join(f"{key} {value:.2f}" for key, value in values)
            return f"{name} {version} (thresholds: {thresholds})"
    return f"{name} {version} (thresholds not on record)"


def facts(summary: CaseSummary) -> dict[str, str]:
    """Return what is known of patient and sample as text by name; what is not known is left out."""
    case, counted = summary.case, summary.counted
    patient, sample = case.patient, case.sample
    rejected = sum(analysis.reject_reason is not None for analysis in case.analyses)
    again = sum(analysis.counts.duplicates["wbc"] for analysis in case.analyses)
    overruled = sum(analysis.qc_override is not None for analysis in case.analyses)
    entered, corrected = sample.white_cell_count, summary.white_cell_count
    guess = summary.estimate
    known = {
        "Patient": patient.identifier,
        "Name": patient.name,
        "Sex": patient.sex,
        "Year of birth": patient.birth_year and str(patient.birth_year),
        "Sample": str(sample.id),
        "Taken": sample.taken.isoformat(),
        "Material": MATERIAL_NAMES[sample.material],
        "State": sample.state,
        "White cell count": entered and f"{entered:g} × 10⁹/L, as entered",
        "Corrected for erythroblasts": f"{corrected:.2f} × 10⁹/L"
        if corrected is not None and corrected != entered
        else None,
        "Estimated from the smear": guess
        and f"{guess.value:.1f} × 10⁹/L ({guess.low:.1f}-{guess.high:.1f}; method ±20-30 %)",
        "Neutrophil-lymphocyte ratio": summary.nlr.estimate
        and ratio_text(summary.nlr.estimate)
        + ("; the limits include the uncertain cells" if counted.excluded else ""),
        "Fields": f"{len(case.fields)}"
        + (f", {rejected} rejected" if rejected else "")
        + (f", {overruled} analysed despite quality control" if overruled else ""),
        "White cells": f"{counted.total} classified, {counted.uncertain} uncertain"
        + (f", {again} counted in another field" if again else ""),
        **(smear_facts(summary.smear, summary.platelet_count) if summary.smear else {}),
        "Reviewed": _reviewed(summary),
        "Overridden": overridden_text(summary.review),
        "Agreement with the model": agreement_text(summary.review),
        "ALL class, suggested": _stages(case),
    }
    return {name: value for name, value in known.items() if value}


def _reviewed(summary: CaseSummary) -> str:
    cells = [cell for a in summary.case.analyses for _, cell in a.white_cells()]
    reviewers = ", ".join(dict.fromkeys(cell.reviewer for cell in cells if cell.reviewer))
    tally = summary.review
    unseen = sum(tally.unseen.values()) + tally.uncertain
    cell = "white cell" if tally.reviewed == 1 else "white cells"
    seen = f"{tally.reviewed} {cell}, by {reviewers}" if tally.reviewed else "no white cell"
    return f"{seen}; {unseen} seen by nobody"


def agreement_text(tally: ReviewTally) -> str | None:
    """Return how model and reviewers agree, and on which cells; None without any."""
    agreed = tally.agreement
    if not agreed.total:
        return None
    kappa = f", kappa {agreed.kappa.text(digits=2)}" if agreed.kappa else ""
    cells = f"{agreed.total} reviewed, {tally.resolved} of them uncertain"
    return f"{agreed.share.text(' %')}{kappa}; {cells}"


def overridden_text(tally: ReviewTally) -> str | None:
    """Return which of the model's calls reviewers changed; None without any."""
    changes = sorted(tally.overridden.items(), key=lambda item: -item[1])
    return ", ".join(
        f"{label_name(said)} → {label_name(label)} {number}" for (said, label), number in changes
    )


def review_frame(summary: CaseSummary) -> pd.DataFrame:
    """Return a row for each type: what of it nobody looked at, and what reviewers overrode.

    Columns: type, cells, unseen (counted as the model typed them), overridden (given this type by a
    reviewer instead of another of the model), taken away (given another type).
    """
    tally, counted = summary.review, summary.counted
    taken: Counter[str] = Counter()
    for (said, _), number in tally.overridden.items():
        taken[said] += number
    counts = {row.key: row.share.count for row in (*summary.rows, *summary.beside)}
    rows = [
        (key, number, tally.unseen.get(key, 0), tally.counted.get(key, 0), taken[key])
        for key, number in counts.items()
        if number or taken[key]
    ]
    if taken[NOT_A_WHITE_CELL] or tally.counted.get(NOT_A_WHITE_CELL):
        key = NOT_A_WHITE_CELL
        rows.append((key, 0, 0, tally.counted.get(key, 0), taken[key]))
    if counted.uncertain:
        rows.append(("uncertain", counted.uncertain, tally.uncertain, 0, 0))
    return pd.DataFrame(rows, columns=["type", "cells", "unseen", "overridden", "taken_away"])


def _stages(case: Case) -> str | None:
    graded = [stored.stage for stored in case.fields if stored.stage is not None]
    if not graded:
        return None
    counts = Counter(r.stage for r in graded if r.stage and r.status == "classified")
    named = [f"{STAGES[key].name} {counts[key]}" for key in STAGES if counts[key]]
    undecided = len(graded) - counts.total()
    parts = [*named, f"undecided {undecided}"] if undecided else named
    return f"{', '.join(parts)} of {len(graded)} field{'' if len(graded) == 1 else 's'}"


def differential_frame(summary: CaseSummary) -> pd.DataFrame:
    """Return the differential as numbers: a row a type, then the cells counted beside it.

    Columns: type, count, percent, low, high, range_low, range_high, verdict (as
    `core.domain.reference_ranges.judge`), absolute (10⁹/L), absolute_low, absolute_high,
    absolute_range_low, absolute_range_high, absolute_verdict, and right, right_low, right_high: the
    model's right calls of the type at home, in percent. Unknown is empty.
    """
    right = summary.accuracy[0].by_type if summary.accuracy else {}
    rows = [
        {
            "type": row.key,
            "count": row.share.count,
            **estimate_columns(row.share, 2, PERCENT_COLUMNS),
            "range_low": row.percent.limits and row.percent.limits.low,
            "range_high": row.percent.limits and row.percent.limits.high,
            "verdict": row.percent.verdict,
            **estimate_columns(row.absolute.estimate, 3, "absolute"),
            "absolute_range_low": row.absolute.limits and row.absolute.limits.low,
            "absolute_range_high": row.absolute.limits and row.absolute.limits.high,
            "absolute_verdict": row.absolute.verdict,
            **estimate_columns(right.get(row.key), 2, "right"),
        }
        for row in (*summary.rows, *summary.beside)
    ]
    return pd.DataFrame(rows)


def case_cells_table(case: Case) -> pd.DataFrame:
    """Return a row for each cell of a case: `cells_table` with who the cell and label are from.

    Further columns, first: patient, sample, cell_id (of white cells); last: suggested (the model's
    type on reviewed cells) and reviewer.
    """
    frame = cells_table(case.analyses)
    cells = [cell for analysis in case.analyses for cell in analysis.cells]
    ids = [key for stored in case.fields for key in stored.cell_ids]
    frame.insert(0, "cell_id", pd.array(ids, dtype="Int64"))
    frame.insert(0, "sample", case.sample.id)
    frame.insert(0, "patient", case.patient.identifier)
    frame["suggested"] = [cell.suggested for cell in cells]
    frame["reviewer"] = [cell.reviewer for cell in cells]
    return frame


def case_sheets(summary: CaseSummary) -> dict[str, pd.DataFrame]:
    """Return summary, differential, flags, review, cells and so on, by name of their sheet."""
    case = summary.case
    known = facts(summary)
    if summary.laboratory:
        known["Reference ranges"] = summary.laboratory
    if subtypes := subtypes_text(summary.counted):
        known["Subtypes, suggested"] = subtypes
    known |= {f"Model {number}": text for number, text in enumerate(summary.models, 1)}
    known |= {
        f"Signature {number}": f"{signature.reviewer}, {signature.at:%Y-%m-%d %H:%M} UTC"
        for number, signature in enumerate(case.signatures, 1)
    }
    if case.conclusion:
        known["Conclusion"] = case.conclusion
    known["Notice"] = RESEARCH_NOTICE
    return {
        "Summary": pd.DataFrame(known.items(), columns=["what", "value"]),
        "Differential": differential_frame(summary),
        "Flags": pd.DataFrame(
            [(flag.severity, flag.key, flag.sentence) for flag in summary.flags],
            columns=["severity", "key", "sentence"],
        ),
        "Review": review_frame(summary),
        "Cells": case_cells_table(case),
        "Fields": files_table(case.analyses),
        "Comments": pd.DataFrame(
            [(c.at.isoformat(), c.author, c.text) for c in case.comments],
            columns=["at", "author", "text"],
        ),
    }
