"""A whole case in the JSON contract: the answer of `analyze` over its fields, and the case."""

from core.domain.intervals import Estimate
from core.domain.reference_ranges import ReferenceRange
from core.domain.taxonomy import RESEARCH_NOTICE
from core.exports.schema import (
    CaseAnswer,
    CaseComment,
    CaseDetails,
    CaseField,
    CaseFlag,
    CasePatient,
    CaseSample,
    CaseSignature,
    CaseWhiteCell,
    DifferentialRow,
    EstimateAnswer,
    MeasuredError,
    RangeAnswer,
)
from core.exports.summary import CaseSummary, Row


def case_answer(summary: CaseSummary) -> CaseAnswer:
    """Return `analyze`'s answer with a further key `case`: patient, sample, counts and flags."""
    case = summary.case
    models = {name: version for stored in case.fields for name, version in stored.models.items()}
    return CaseAnswer.of(case.analyses, models=models, case=_details(summary))


def _details(summary: CaseSummary) -> CaseDetails:
    case = summary.case
    patient, sample = case.patient, case.sample
    return CaseDetails(
        notice=RESEARCH_NOTICE,
        patient=CasePatient(
            identifier=patient.identifier,
            name=patient.name,
            sex=patient.sex,
            birth_year=patient.birth_year,
        ),
        sample=CaseSample(
            id=sample.id,
            taken=sample.taken.isoformat(),
            material=sample.material,
            state=sample.state,
            version=sample.version,
            white_cell_count=sample.white_cell_count,
            white_cell_count_corrected=summary.white_cell_count,
            white_cell_count_estimated=_estimate(summary.estimate),
        ),
        differential={row.key: _row(row) for row in (*summary.rows, *summary.beside)},
        total=summary.counted.total,
        uncertain=summary.counted.uncertain,
        neutrophil_lymphocyte_ratio=_estimate(summary.nlr),
        flags=[
            CaseFlag(key=flag.key, severity=flag.severity, sentence=flag.sentence)
            for flag in summary.flags
        ],
        fields=[
            CaseField(
                id=stored.id,
                sha256=stored.analysis.sha256,
                page=stored.analysis.page,
                models=dict(stored.models),
                stage=stored.stage and stored.stage.stage,
                white_cells=[
                    CaseWhiteCell(
                        number=number,
                        id=stored.cell_ids[number - 1],
                        suggested=cell.suggested,
                        reviewer=cell.reviewer,
                        attributes=cell.attributes and dict(cell.attributes),
                        familiar=cell.in_distribution,
                    )
                    for number, cell in stored.analysis.white_cells()
                ],
            )
            for stored in case.fields
        ],
        signatures=[
            CaseSignature(reviewer=signature.reviewer, at=signature.at.isoformat())
            for signature in case.signatures
        ],
        comments=[
            CaseComment(author=comment.author, at=comment.at.isoformat(), text=comment.text)
            for comment in case.comments
        ],
        reference_ranges=summary.laboratory or None,
        models=list(summary.models),
        model_error=[
            MeasuredError(
                set=measured.name,
                calls=measured.calls,
                right_percent=_estimate(measured.overall),
                right_percent_by_type={
                    key: _estimate(estimate) for key, estimate in measured.by_type.items()
                },
            )
            for measured in summary.accuracy
        ],
    )


def _row(row: Row) -> DifferentialRow:
    return DifferentialRow(
        count=row.share.count,
        percent=row.share.percent,
        low=row.share.low,
        high=row.share.high,
        absolute=_estimate(row.absolute),
        percent_range=_range(row.percent_range),
        absolute_range=_range(row.absolute_range),
        percent_verdict=row.percent_verdict,
        absolute_verdict=row.absolute_verdict,
    )


def _estimate(estimate: Estimate | None) -> EstimateAnswer | None:
    if estimate is None:
        return None
    return EstimateAnswer(value=estimate.value, low=estimate.low, high=estimate.high)


def _range(limits: ReferenceRange | None) -> RangeAnswer | None:
    if limits is None:
        return None
    return RangeAnswer(low=limits.low, high=limits.high, source=limits.source)
