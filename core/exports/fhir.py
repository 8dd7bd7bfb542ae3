"""A case as an HL7 FHIR bundle: patient, specimen, diagnostic report and observations.

Written and validated as R4B (4.3.0), the oldest release of the R4 line that the library has; the
elements used are the same in R4 (4.0.1). Values and limits are those of the other exports.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from fhir.resources.R4B.bundle import Bundle

from core.domain.intervals import Estimate
from core.domain.reference_ranges import Verdict
from core.domain.taxonomy import RESEARCH_NOTICE
from core.exports.loinc import (
    ABSOLUTE,
    CORRECTED_WHITE_CELLS,
    PANEL,
    PER_HUNDRED,
    WHITE_CELLS,
    Code,
)
from core.exports.schema import number
from core.exports.summary import MATERIAL_NAMES, CaseSummary, Judged

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_UCUM = "http://unitsofmeasure.org"
_PERCENT, _PER_HUNDRED, _PER_LITRE, _RATIO = "%", "/100{WBCs}", "10*9/L", "{ratio}"
_UNIT_NAMES = {
    _PERCENT: "%",
    _PER_HUNDRED: "per 100 white cells",
    _PER_LITRE: "10⁹/L",
    _RATIO: "ratio",
}
_INTERPRETATIONS: dict[Verdict | None, tuple[str, str]] = {
    "low": ("L", "Low"),
    "normal": ("N", "Normal"),
    "high": ("H", "High"),
}
"""Values whose interval spans a limit have no code."""
_METHOD = "Image analysis of a stained smear, verified by a reviewer as the report says"


@dataclass(frozen=True, slots=True)
class _Measure:
    """One observation to be written."""

    key: str
    name: str
    code: Code | None
    unit: str
    judged: Judged
    count: int | None = None


def fhir_bundle(summary: CaseSummary) -> str:
    """Return the case as the JSON of a bundle of type `collection`.

    Signed cases are `final`, others `preliminary`. LOINC codes are for blood: other material has
    names only. Exact limits and counts are components. Raises pydantic's ValidationError, a bug
    here, when the bundle is no valid FHIR.
    """
    base = f"leukoscope/sample/{summary.case.sample.id}"
    measures = list(_measures(summary))
    resources = {
        "patient": _patient(summary),
        "specimen": _specimen(summary),
        "report": _report(summary, base, measures),
        **{m.key: _observation(summary, base, m) for m in measures},
    }
    if summary.case.comments:
        resources["comments"] = _comments(summary, base)
    entries = [
        {"fullUrl": _url(base, key), "resource": resource} for key, resource in resources.items()
    ]
    bundle = Bundle.model_validate(_resource("Bundle", type="collection", entry=entries))
    text: str = bundle.model_dump_json(indent=1)
    return text


def _measures(summary: CaseSummary) -> Iterator[_Measure]:
    for row in (*summary.rows, *summary.beside):
        if row in summary.rows:
            key, name, unit = f"{row.key}-percent", f"{row.name}, share of white cells", _PERCENT
        else:
            key, name, unit = f"{row.key}-ratio", f"{row.name} per 100 white cells", _PER_HUNDRED
        judged = row.percent if summary.counted.total else replace(row.percent, estimate=None)
        yield _Measure(key, name, PER_HUNDRED[row.key], unit, judged, row.share.count)
    for row in summary.rows:
        if row.absolute.estimate is not None:
            name = f"{row.name} per volume"
            yield _Measure(f"{row.key}-absolute", name, ABSOLUTE[row.key], _PER_LITRE, row.absolute)
    entered, corrected = summary.case.sample.white_cell_count, summary.white_cells
    if entered is not None and corrected.estimate is not None:
        is_corrected = entered != corrected.estimate.value
        name = "White cells per volume, as entered"
        judged = Judged(Estimate.exact(entered)) if is_corrected else corrected
        yield _Measure("white-cells", name, WHITE_CELLS, _PER_LITRE, judged)
        if is_corrected:
            name = "White cells per volume, corrected for erythroblasts"
            code = CORRECTED_WHITE_CELLS
            yield _Measure("white-cells-corrected", name, code, _PER_LITRE, corrected)
    if summary.nlr.estimate is not None:
        yield _Measure("nlr", "Neutrophil-lymphocyte ratio", None, _RATIO, summary.nlr)


def _resource(kind: str, **parts: Any) -> dict[str, Any]:
    """Return a resource of a kind without the parts that are not known."""
    return {"resourceType": kind, **{name: part for name, part in parts.items() if part}}


def _observation(summary: CaseSummary, base: str, measure: _Measure) -> dict[str, Any]:
    value, limits = measure.judged.estimate, measure.judged.limits
    quantity = value and _quantity(value.value, measure.unit)
    verdict = _INTERPRETATIONS.get(measure.judged.verdict)
    return _resource(
        "Observation",
        status=_status(summary),
        category=[_concept("observation-category", "laboratory", "Laboratory")],
        code=_coded(measure.code if summary.is_blood else None, measure.name),
        subject={"reference": _url(base, "patient")},
        specimen={"reference": _url(base, "specimen")},
        effectiveDateTime=summary.case.sample.taken.isoformat(),
        method={"text": _METHOD},
        device={"display": _plain("; ".join(["Leukoscope", *summary.models]))},
        component=list(_components(measure)),
        valueQuantity=quantity,
        dataAbsentReason=not quantity and _concept("data-absent-reason", "unknown", "Unknown"),
        referenceRange=limits
        and [
            {
                "low": _quantity(limits.low, measure.unit),
                "high": _quantity(limits.high, measure.unit),
                "text": _plain(f"{limits.laboratory}: {limits.source}"),
            }
        ],
        interpretation=verdict and [_concept("v3-ObservationInterpretation", *verdict)],
    )


def _components(measure: _Measure) -> Iterator[dict[str, Any]]:
    if measure.count is not None:
        counted = {"value": measure.count, "unit": "cells", "system": _UCUM, "code": "{cells}"}
        yield {"code": {"text": "Cells counted"}, "valueQuantity": counted}
    value = measure.judged.estimate
    if value is None or value.is_exact:
        return
    for name, limit in (("Lower", value.low), ("Upper", value.high)):
        if quantity := _quantity(limit, measure.unit):
            yield {"code": {"text": f"{name} 95 % limit"}, "valueQuantity": quantity}


def _patient(summary: CaseSummary) -> dict[str, Any]:
    patient = summary.case.patient
    name = _plain(patient.name or "")
    return _resource(
        "Patient",
        identifier=[{"value": _plain(patient.identifier) or str(patient.id)}],
        name=name and [{"text": name}],
        gender=patient.sex,
        birthDate=patient.birth_year and f"{patient.birth_year:04}",
    )


def _specimen(summary: CaseSummary) -> dict[str, Any]:
    sample = summary.case.sample
    return _resource(
        "Specimen",
        identifier=[{"value": str(sample.id)}],
        type={"text": MATERIAL_NAMES[sample.material]},
        collection={"collectedDateTime": sample.taken.isoformat()},
    )


def _report(summary: CaseSummary, base: str, measures: Sequence[_Measure]) -> dict[str, Any]:
    case = summary.case
    signed = max((signature.at for signature in case.signatures), default=None)
    return _resource(
        "DiagnosticReport",
        status=_status(summary),
        category=[_concept("v2-0074", "HM", "Hematology")],
        code=_coded(PANEL if summary.is_blood else None, "Differential of white cells"),
        subject={"reference": _url(base, "patient")},
        specimen=[{"reference": _url(base, "specimen")}],
        effectiveDateTime=case.sample.taken.isoformat(),
        result=[
            *({"reference": _url(base, m.key), "display": m.name} for m in measures),
            *(
                [{"reference": _url(base, "comments"), "display": "Comments on the case"}]
                if case.comments
                else ()
            ),
        ],
        resultsInterpreter=[{"display": _plain(s.reviewer) or "-"} for s in case.signatures],
        conclusion="\n".join(
            [
                *([_lines(case.conclusion)] if case.conclusion else ()),
                RESEARCH_NOTICE,
                *(flag.sentence for flag in summary.flags),
            ]
        ),
        issued=signed and _instant(signed),
    )


def _comments(summary: CaseSummary, base: str) -> dict[str, Any]:
    """Return the comments as an observation: a report of R4 has no notes."""
    return _resource(
        "Observation",
        status=_status(summary),
        code={"text": "Comments on the case"},
        subject={"reference": _url(base, "patient")},
        specimen={"reference": _url(base, "specimen")},
        effectiveDateTime=summary.case.sample.taken.isoformat(),
        dataAbsentReason=_concept("data-absent-reason", "not-applicable", "Not Applicable"),
        note=[
            {
                "authorString": _plain(said.author) or "-",
                "time": _instant(said.at),
                "text": _lines(said.text),
            }
            for said in summary.case.comments
        ],
    )


def _instant(at: datetime) -> str:
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()


def _lines(text: str) -> str:
    """Return a text of several lines without control characters."""
    return "\n".join(filter(None, map(_plain, text.splitlines()))) or "-"


def _status(summary: CaseSummary) -> str:
    return "final" if summary.case.sample.state == "signed" else "preliminary"


def _url(base: str, key: str) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'{base}/{key}')}"


def _coded(code: Code | None, text: str) -> dict[str, Any]:
    if code is None:
        return {"text": text}
    coding = {"system": "http://loinc.org", "code": code.code, "display": code.display}
    return {"coding": [coding], "text": text}


def _plain(text: str) -> str:
    """Return a text as FHIR's `string` has it: single plain spaces, no control characters."""
    kept = (" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)
    return " ".join("".join(kept).split())


def _concept(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": f"{_TERMINOLOGY}/{system}", "code": code, "display": display}]}


def _quantity(value: float, unit: str) -> dict[str, Any] | None:
    """Return a quantity of UCUM; None for infinity, which FHIR cannot say."""
    rounded = number(value, 3 if unit in (_PER_LITRE, _RATIO) else 2)
    if rounded is None:
        return None
    return {"value": rounded, "unit": _UNIT_NAMES[unit], "system": _UCUM, "code": unit}
