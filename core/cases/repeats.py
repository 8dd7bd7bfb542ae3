"""Compare fields to be saved with stored ones, so that no cell counts twice."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.cases.database import Database
from core.cases.orm import DRAFT_SAMPLES, FieldRow, SampleRow
from core.cases.records import NewField, SampleField
from core.cases.samples import load_fields
from core.domain.results import FieldAnalysis
from core.imaging.duplicates import Finder, from_stored, marked, unmarked


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
        _add_stored(session, finder, sample_id)
        return [
            replace(new, analysis=_compared(session, new.analysis, finder, patient_id, sample_id))
            for new in fields
        ]


def compared(
    database: Database,
    patient_id: int | None,
    fields: Sequence[SampleField],
    sample_id: int | None,
    finder: Finder,
) -> list[FieldAnalysis]:
    """Return stored fields that are to move to a sample as `compared_with_stored` does.

    `patient_id` is None where the patient is new.
    """
    with database.reading() as session:
        _add_stored(session, finder, sample_id)
        kept = fingerprints_of(session, [field.id for field in fields])
        found = []
        for field in fields:
            alone = unmarked(field.analysis)
            if field.id in kept:
                prints = from_stored(kept[field.id], alone.cells, alone.width)
                alone = replace(alone, fingerprint=prints)
            found.append(_compared(session, alone, finder, patient_id, sample_id))
    return found


def fingerprints_of(session: Session, ids: Iterable[int]) -> dict[int, Mapping[str, str]]:
    """Return the stored forms of fingerprints by the ids of their fields, in their order."""
    rows = session.execute(
        select(FieldRow.id, FieldRow.fingerprint)
        .where(FieldRow.id.in_(list(ids)), FieldRow.fingerprint.is_not(None))
        .order_by(FieldRow.id)
    )
    return {field_id: kept for field_id, kept in rows if kept}


def _add_stored(session: Session, finder: Finder, sample_id: int | None) -> None:
    """Have a finder compare with the fields of a sample."""
    if sample_id is None:
        return
    stored = {field.id: field.analysis for field in load_fields(session, sample_id)}
    for field_id, kept in fingerprints_of(session, stored).items():
        field = stored[field_id]
        finder.add(field.title, from_stored(kept, field.cells, field.width))


def _compared(
    session: Session,
    analysis: FieldAnalysis,
    finder: Finder,
    patient_id: int | None,
    sample_id: int | None,
) -> FieldAnalysis:
    found = marked(analysis, finder)
    elsewhere = _elsewhere(session, found, patient_id, sample_id)
    return replace(found, warnings=(*found.warnings, *elsewhere))


def _elsewhere(
    session: Session, analysis: FieldAnalysis, patient_id: int | None, sample_id: int | None
) -> list[str]:
    """Return a sentence for the other samples that hold the same image; drafts are nobody's."""
    if analysis.fingerprint is None:
        return []
    rows = session.execute(
        select(SampleRow.id, SampleRow.patient_id)
        .join(FieldRow, FieldRow.sample_id == SampleRow.id)
        .where(
            FieldRow.pixels == analysis.fingerprint.pixels_sha256,
            SampleRow.id != (sample_id or 0),
            SampleRow.id.not_in(DRAFT_SAMPLES),
        )
        .distinct()
        .order_by(SampleRow.id)
    )
    return [
        f"The same image is in sample {found} of "
        + ("this patient too." if whose == patient_id else "another patient. Check whose it is.")
        for found, whose in rows
    ]
