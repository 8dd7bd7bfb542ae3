"""A whole case as JSON: the answer of `analyze` over its fields, and the case around it."""

from core.domain.intervals import Estimate
from core.domain.reference_ranges import ReferenceRange
from core.domain.taxonomy import RESEARCH_NOTICE
from core.exports.answers import Answer, analyze_answer
from core.exports.answers import number as rounded
from core.exports.summary import CaseSummary, Row


def case_answer(summary: CaseSummary) -> Answer:
    """Return `analyze`'s answer with a further key `case`: patient, sample, counts and flags.

    White cells of a field are told by their number, which is their place (from 1) in the `cells` of
    its image. Counts per volume are in 10⁹/L. What is not known, or has no finite value, is null.
    """
    case = summary.case
    patient, sample = case.patient, case.sample
    models = {name: version for stored in case.fields for name, version in stored.models.items()}
    return {
        **analyze_answer(case.analyses, models=models),
        "case": {
            "notice": RESEARCH_NOTICE,
            "patient": {
                "identifier": patient.identifier,
                "name": patient.name,
                "sex": patient.sex,
                "birth_year": patient.birth_year,
            },
            "sample": {
                "id": sample.id,
                "taken": sample.taken.isoformat(),
                "material": sample.material,
                "state": sample.state,
                "version": sample.version,
                "white_cell_count": sample.white_cell_count,
                "white_cell_count_corrected": _volume(summary.white_cell_count),
                "white_cell_count_estimated": _estimate(summary.estimate),
            },
            "differential": {row.key: _row(row) for row in (*summary.rows, *summary.beside)},
            "total": summary.counted.total,
            "uncertain": summary.counted.uncertain,
            "neutrophil_lymphocyte_ratio": _estimate(summary.nlr),
            "flags": [
                {"key": flag.key, "severity": flag.severity, "sentence": flag.sentence}
                for flag in summary.flags
            ],
            "fields": [
                {
                    "id": stored.id,
                    "sha256": stored.analysis.sha256,
                    "page": stored.analysis.page,
                    "models": dict(stored.models),
                    "stage": stored.stage and stored.stage.stage,
                    "white_cells": [
                        {
                            "number": number,
                            "id": stored.cell_ids[number - 1],
                            "suggested": cell.suggested,
                            "reviewer": cell.reviewer,
                            "attributes": cell.attributes and dict(cell.attributes),
                            "familiar": cell.in_distribution,
                        }
                        for number, cell in stored.analysis.white_cells()
                    ],
                }
                for stored in case.fields
            ],
            "signatures": [
                {"reviewer": signature.reviewer, "at": signature.at.isoformat()}
                for signature in case.signatures
            ],
            "comments": [
                {"author": comment.author, "at": comment.at.isoformat(), "text": comment.text}
                for comment in case.comments
            ],
            "reference_ranges": summary.laboratory or None,
            "models": list(summary.models),
            "model_error": [
                {
                    "set": measured.name,
                    "calls": measured.calls,
                    "right_percent": _estimate(measured.overall),
                    "right_percent_by_type": {
                        key: _estimate(estimate) for key, estimate in measured.by_type.items()
                    },
                }
                for measured in summary.accuracy
            ],
        },
    }


def _volume(value: float | None) -> float | None:
    return None if value is None else rounded(value, 3)


def _row(row: Row) -> Answer:
    return {
        "count": row.share.count,
        "percent": rounded(row.share.percent, 2),
        "low": rounded(row.share.low, 2),
        "high": rounded(row.share.high, 2),
        "absolute": _estimate(row.absolute),
        "percent_range": _range(row.percent_range),
        "absolute_range": _range(row.absolute_range),
        "percent_verdict": row.percent_verdict,
        "absolute_verdict": row.absolute_verdict,
    }


def _estimate(estimate: Estimate | None) -> Answer | None:
    if estimate is None:
        return None
    return {
        "value": rounded(estimate.value, 3),
        "low": rounded(estimate.low, 3),
        "high": rounded(estimate.high, 3),
    }


def _range(limits: ReferenceRange | None) -> Answer | None:
    if limits is None:
        return None
    return {"low": limits.low, "high": limits.high, "source": limits.source}
