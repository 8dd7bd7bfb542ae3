"""Patients: adding, correcting and erasing them.

Nothing here comes from a file's header; all of it was typed in by a person.
"""

from dataclasses import asdict, replace
from datetime import UTC, datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.cases import audit
from core.cases.database import Database
from core.cases.people import require
from core.cases.records import Patient, PatientDetails, Person
from core.cases.rows import patient_of
from core.cases.tables import (
    CellRow,
    CommentRow,
    FieldRow,
    LinkRow,
    PatientRow,
    ReviewRow,
    SampleRow,
    SignatureRow,
)
from core.errors import InvalidEntryError, NotFoundError, StaleCaseError

LONGEST_IDENTIFIER, LONGEST_NAME = 100, 200
EARLIEST_BIRTH_YEAR = 1880


def create_patient(database: Database, person: Person, details: PatientDetails) -> Patient:
    """Add a patient. Raises NotAllowedError, and InvalidEntryError for what cannot be kept."""
    require(person, "reviewer")
    entered = _checked(details)
    with database.writing() as session:
        row = PatientRow()
        _enter(session, row, entered, person)
        session.add(row)
        session.flush()
        audit.record(session, person.name, "create patient", patient_id=row.id)
        return patient_of(row)


def find_patient(database: Database, identifier: str) -> Patient | None:
    """Return the patient with exactly this identifier, or None."""
    with database.reading() as session:
        row = session.scalar(select(PatientRow).where(PatientRow.identifier == identifier.strip()))
        return None if row is None else patient_of(row)


def update_patient(
    database: Database, person: Person, seen: Patient, details: PatientDetails
) -> Patient:
    """Correct what is kept of a patient whom the person saw as `seen`.

    Raises NotAllowedError, NotFoundError, InvalidEntryError, and StaleCaseError when somebody
    changed the patient since.
    """
    require(person, "reviewer")
    entered = _checked(details)
    with database.writing() as session:
        row = session.get(PatientRow, seen.id)
        if row is None:
            raise NotFoundError("patient")
        if patient_of(row) != seen:
            raise StaleCaseError(row.changed_by, row.changed_at)
        changed = [
            field for field, value in asdict(entered).items() if getattr(seen, field) != value
        ]
        _enter(session, row, entered, person)
        audit.record(session, person.name, "update patient", patient_id=row.id, changed=changed)
        return patient_of(row)


def delete_patient(database: Database, admin: Person, patient_id: int) -> None:
    """Erase a patient with all samples, reviews and comments, and pictures nobody else uses.

    The audit trail keeps its entries, which know the patient by id only. Raises NotAllowedError
    and NotFoundError.
    """
    require(admin, "admin")
    with database.writing() as session:
        row = session.get(PatientRow, patient_id)
        if row is None:
            raise NotFoundError("patient")
        # This entry comes first: without it the database refuses to let the reviews go.
        audit.record(session, admin.name, "delete patient", patient_id=patient_id)
        samples = select(SampleRow.id).where(SampleRow.patient_id == patient_id)
        fields = select(FieldRow.id).where(FieldRow.sample_id.in_(samples))
        cells = select(CellRow.id).where(CellRow.field_id.in_(fields))
        pictures = set(
            session.scalars(select(FieldRow.picture).where(FieldRow.sample_id.in_(samples)))
        )
        for condition in (
            ReviewRow.cell_id.in_(cells),
            CellRow.field_id.in_(fields),
            FieldRow.sample_id.in_(samples),
            SignatureRow.sample_id.in_(samples),
            CommentRow.sample_id.in_(samples),
            LinkRow.sample_id.in_(samples),
            SampleRow.patient_id == patient_id,
        ):
            table = condition.left.table
            session.execute(
                delete(table).where(condition), execution_options={"synchronize_session": False}
            )
        session.delete(row)
    with database.writing() as session:  # in a turn of its own: the rows are surely gone now
        used = session.scalars(select(FieldRow.picture).where(FieldRow.picture.in_(pictures)))
        database.pictures.remove(pictures.difference(used))


def _checked(entered: PatientDetails) -> PatientDetails:
    identifier = entered.identifier.strip()
    name = (entered.name or "").strip() or None
    if not identifier:
        raise InvalidEntryError("A patient needs an identifier.")
    if len(identifier) > LONGEST_IDENTIFIER or len(name or "") > LONGEST_NAME:
        raise InvalidEntryError(
            f"Identifiers have up to {LONGEST_IDENTIFIER} characters, names {LONGEST_NAME}."
        )
    this_year = datetime.now(UTC).year
    year = entered.birth_year
    if year is not None and not EARLIEST_BIRTH_YEAR <= year <= this_year:
        raise InvalidEntryError(
            f"The year of birth lies between {EARLIEST_BIRTH_YEAR} and {this_year}."
        )
    return replace(entered, identifier=identifier, name=name)


def _enter(session: Session, row: PatientRow, entered: PatientDetails, person: Person) -> None:
    taken = session.scalar(select(PatientRow.id).where(PatientRow.identifier == entered.identifier))
    if taken not in (None, row.id):
        raise InvalidEntryError(
            f"There is a patient {entered.identifier} already. Open it, or choose another."
        )
    for field, value in asdict(entered).items():
        setattr(row, field, value)
    row.changed_by, row.changed_at = person.name, datetime.now(UTC)
    row.search = f"{entered.identifier}\n{entered.name or ''}".casefold()
