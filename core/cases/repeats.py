"""Compare fields to be saved with stored ones, so that no cell counts twice."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.cases.database import Database
from core.cases.orm import FieldRow, SampleRow
from core.cases.records import NewField
from core.cases.samples import load_fields
from core.domain.results import FieldAnalysis
from core.imaging.duplicates import Finder, from_stored, marked


def compared_with_stored(
    database: Database,
    patient_id: int,
    fields: Sequence[NewField],
    sample_id: int | None = None,
    finder: Finder | None = None,
) -> list[NewField]:
    """Return fields with the cells marked that their sample shows already.

    Cells that a field of the sample or an earlier one of these shows are marked, so that they count
    once; a `finder` that keeps duplicates only names them. The same image in another sample, of
    this patient or another, is a warning.
    """
    finder = finder or Finder()
    with database.reading() as session:
        if sample_id is not None:
            stored = {field.id: field.analysis for field in load_fields(session, sample_id)}
            fingerprints = select(FieldRow.id, FieldRow.fingerprint).order_by(FieldRow.id)
            for field_id, kept in session.execute(
                fingerprints.where(FieldRow.id.in_(stored), FieldRow.fingerprint.is_not(None))
            ):
                field = stored[field_id]
                finder.add(field.title, from_stored(kept, field.cells, field.width))
        compared = []
        for new in fields:
            found = marked(new.analysis, finder)
            elsewhere = _elsewhere(session, found, patient_id, sample_id)
            warnings = (*found.warnings, *elsewhere)
            compared.append(replace(new, analysis=replace(found, warnings=warnings)))
    return compared


def _elsewhere(
    session: Session, analysis: FieldAnalysis, patient_id: int, sample_id: int | None
) -> list[str]:
    """Return a sentence for the other samples that hold the same image."""
    if analysis.fingerprint is None:
        return []
    rows = session.execute(
        select(SampleRow.id, SampleRow.patient_id)
        .join(FieldRow, FieldRow.sample_id == SampleRow.id)
        .where(
            FieldRow.pixels == analysis.fingerprint.pixels_sha256,
            SampleRow.id != (sample_id or 0),
        )
        .distinct()
        .order_by(SampleRow.id)
    )
    return [
        f"The same image is in sample {found} of "
        + ("this patient too." if whose == patient_id else "another patient. Check whose it is.")
        for found, whose in rows
    ]
