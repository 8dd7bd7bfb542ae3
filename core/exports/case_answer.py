"""A whole case in the JSON contract: the answer of `analyze` over its fields, and the case."""

from core.domain.taxonomy import RESEARCH_NOTICE
from core.exports.schema import Answer, CaseAnswer
from core.exports.summary import CaseSummary


def case_answer(summary: CaseSummary) -> CaseAnswer:
    """Return `analyze`'s answer with a further key `case`: patient, sample, counts and flags."""
    case = summary.case
    models = {name: version for stored in case.fields for name, version in stored.models.items()}
    return CaseAnswer.of(case.analyses, models=models, case=_details(summary))


def _details(summary: CaseSummary) -> Answer:
    """Return the values of `CaseDetails`."""
    case, agreed, smear = summary.case, summary.review.agreement, summary.smear
    return {
        "notice": RESEARCH_NOTICE,
        "patient": case.patient,
        "sample": {
            "id": case.sample.id,
            "taken": case.sample.taken,
            "material": case.sample.material,
            "state": case.sample.state,
            "version": case.sample.version,
            "white_cell_count": case.sample.white_cell_count,
            "white_cell_count_corrected": summary.white_cell_count,
            "white_cell_count_estimated": summary.estimate,
        },
        "differential": {row.key: row for row in (*summary.rows, *summary.beside)},
        "total": summary.counted.total,
        "uncertain": summary.counted.uncertain,
        "neutrophil_lymphocyte_ratio": summary.nlr.estimate,
        "flags": summary.flags,
        "fields": [
            {
                "id": stored.id,
                "sha256": stored.analysis.sha256,
                "page": stored.analysis.page,
                "models": stored.models,
                "stage": stored.stage and stored.stage.stage,
                "white_cells": [
                    {
                        "number": number,
                        "id": stored.cell_ids[number - 1],
                        "suggested": cell.suggested,
                        "reviewer": cell.reviewer,
                        "attributes": cell.attributes,
                        "familiar": cell.in_distribution,
                    }
                    for number, cell in stored.analysis.white_cells()
                ],
            }
            for stored in case.fields
        ],
        "smear": smear
        and {
            "red_cells": smear.red_cells,
            "measured": len(smear.diameters),
            "size_variation_percent": smear.variation,
            "mean_diameter_um": smear.mean_diameter,
            "platelets": smear.platelets,
            "platelets_per_field": smear.platelets_per_field,
            "platelets_per_thousand_red_cells": smear.platelets_per_thousand,
            "platelets_estimated": summary.platelet_count,
        },
        "review": {
            "reviewed": summary.review.reviewed,
            "unseen": summary.review.unseen,
            "overridden": [
                {"suggested": said, "label": label, "cells": number}
                for (said, label), number in summary.review.overridden.items()
            ],
            "agreement_percent": agreed.share if agreed.total else None,
            "kappa": agreed.kappa,
        },
        "conclusion": case.conclusion,
        "signatures": case.signatures,
        "comments": case.comments,
        "reference_ranges": summary.laboratory or None,
        "models": summary.models,
        "model_error": summary.accuracy,
    }
