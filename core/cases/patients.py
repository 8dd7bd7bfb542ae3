"""Patients: adding, correcting, merging and erasing them.

Nothing here comes from a file's header; users typed all of it in.
"""

from collections import defaultdict
from dataclasses import asdict, replace
from datetime import UTC, datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.cases import audit
from core.cases.database import Database, existing
from core.cases.mappers import patient_of, set_values
from core.cases.names import checked_identifier, checked_name, look, normalised, searchable
from core.cases.orm import (
    CellRow,
    CommentRow,
    FieldRow,
    LinkRow,
    PatientRow,
    ReviewRow,
    SampleRow,
    SignatureRow,
    UnfinishedTextRow,
)
from core.cases.records import Patient, PatientDetails, User
from core.cases.users import require
from core.errors import InvalidEntryError, NotFoundError, StaleCaseError

LONGEST_IDENTIFIER, LONGEST_NAME = 100, 200
EARLIEST_BIRTH_YEAR = 1880
_DETAILS = {"name": "name", "sex": "sex", "birth_year": "year of birth"}


def create_patient(database: Database, user: User, details: PatientDetails) -> Patient:
    """Add a patient. Raises NotAllowedError, and InvalidEntryError for what cannot be kept."""
    require(user, "reviewer")
    entered = checked_details(details)
    with database.writing() as session:
        row = PatientRow()
        enter(session, row, entered, user)
        session.add(row)
        session.flush()
        audit.record(session, user.name, "create patient", patient_id=row.id)
        return patient_of(row)


def find_patient(database: Database, identifier: str) -> Patient | None:
    """Return the patient with exactly this identifier, in any spelling of it, or None."""
    wanted = PatientRow.identifier == normalised(identifier), PatientRow.draft_id.is_(None)
    with database.reading() as session:
        row = session.scalar(select(PatientRow).where(*wanted))
        return None if row is None else patient_of(row)


def update_patient(
    database: Database, user: User, seen: Patient, details: PatientDetails
) -> Patient:
    """Correct what is kept of a patient whom the user saw as `seen`.

    Raises NotAllowedError, NotFoundError, InvalidEntryError, and StaleCaseError when somebody
    changed the patient since.
    """
    require(user, "reviewer")
    is_same = look(details.identifier) == look(seen.identifier)
    if is_same:
        details = replace(details, identifier=look(seen.identifier))
    entered = checked_details(details)
    with database.writing() as session:
        row = _as_seen(session, seen)
        if is_same and _owner(session, entered.identifier) not in (None, row.id):
            # An entry that looks like another keeps its spelling until both are merged.
            entered = replace(entered, identifier=seen.identifier)
        changed = enter(session, row, entered, user)
        audit.record(session, user.name, "update patient", patient_id=row.id, changed=changed)
        return patient_of(row)


def delete_patient(database: Database, admin: User, patient_id: int) -> None:
    """Erase a patient with all samples, reviews and comments, and images that no other case uses.

    The audit trail keeps its entries, which know the patient by id only. Raises NotAllowedError
    and NotFoundError.
    """
    require(admin, "admin")
    with database.writing() as session:
        images = erase(session, admin.name, patient_row(session, patient_id))
    remove_unused(database, images)


def erase(session: Session, user: str, row: PatientRow) -> set[str]:
    """Erase a patient with all samples; return the images for `remove_unused`."""
    # This entry comes first: without it the database refuses to let the reviews go.
    audit.record(session, user, "delete patient", patient_id=row.id)
    samples = select(SampleRow.id).where(SampleRow.patient_id == row.id)
    fields = select(FieldRow.id).where(FieldRow.sample_id.in_(samples))
    cells = select(CellRow.id).where(CellRow.field_id.in_(fields))
    images = set(session.scalars(select(FieldRow.image).where(FieldRow.sample_id.in_(samples))))
    for condition in (
        ReviewRow.cell_id.in_(cells),
        CellRow.field_id.in_(fields),
        FieldRow.sample_id.in_(samples),
        SignatureRow.sample_id.in_(samples),
        CommentRow.sample_id.in_(samples),
        UnfinishedTextRow.sample_id.in_(samples),
        LinkRow.sample_id.in_(samples),
        SampleRow.patient_id == row.id,
    ):
        table = condition.left.table
        session.execute(
            delete(table).where(condition), execution_options={"synchronize_session": False}
        )
    session.delete(row)
    session.flush()
    return images


def remove_unused(database: Database, images: set[str]) -> None:
    """Remove those images that no field refers to any more, once their rows are surely gone."""
    with database.writing() as session:
        used = session.scalars(select(FieldRow.image).where(FieldRow.image.in_(images)))
        database.images.remove(images.difference(used))
    database.forget()


def patient_row(session: Session, patient_id: int) -> PatientRow:
    """Return the row of a patient; drafts have none that count. Raises NotFoundError."""
    row = existing(session, PatientRow, patient_id, "patient")
    if row.draft_id is not None:
        raise NotFoundError("patient")
    return row


def patients_alike(database: Database) -> tuple[tuple[Patient, ...], ...]:
    """Return groups of patients whose identifiers look the same, the one spelt rightly first.

    Only stores of versions that kept identifiers as typed have any.
    """
    groups: defaultdict[str, list[Patient]] = defaultdict(list)
    with database.reading() as session:
        for row in session.scalars(
            select(PatientRow).where(PatientRow.draft_id.is_(None)).order_by(PatientRow.id)
        ):
            groups[look(row.identifier)].append(patient_of(row))
    return tuple(
        tuple(sorted(group, key=lambda patient: patient.identifier != seen))
        for seen, group in groups.items()
        if len(group) > 1
    )


def merge_patients(database: Database, admin: User, kept: Patient, merged: Patient) -> Patient:
    """Move all samples of a patient to another whose identifier looks the same; return that one.

    The other entry is removed. What is known of one patient only is kept; where the two differ
    they may be two people. Both are as the admin saw them. Raises NotAllowedError, NotFoundError,
    StaleCaseError, and InvalidEntryError for patients that do not look alike or differ.
    """
    require(admin, "admin")
    with database.writing() as session:
        target, source = _as_seen(session, kept), _as_seen(session, merged)
        identifier = look(target.identifier)
        if target is source or identifier != look(source.identifier):
            raise InvalidEntryError("Only two patients whose identifiers look alike can be merged.")
        for field, called in _DETAILS.items():
            one, other = getattr(target, field), getattr(source, field)
            if None not in (one, other) and one != other:
                raise InvalidEntryError(
                    f"The two patients differ in {called}: they may be two people. If they are "
                    "one, correct the wrong entry first; if they are two, change an identifier."
                )
            setattr(target, field, other if one is None else one)
        moved = select(SampleRow).where(SampleRow.patient_id == source.id).order_by(SampleRow.id)
        for sample in session.scalars(moved).all():
            sample.patient_id = target.id
            ids = {"patient_id": target.id, "sample_id": sample.id, "moved_from": source.id}
            audit.record(session, admin.name, "move sample", **ids)
        session.delete(source)
        session.flush()
        if _owner(session, identifier) is None:
            target.identifier = identifier
        target.search = search_text(target.identifier, target.name)
        target.changed_by = admin.name
        target.changed_at = audit.record(
            session, admin.name, "merge patients", patient_id=target.id, merged=source.id
        )
        return patient_of(target)


def _as_seen(session: Session, seen: Patient) -> PatientRow:
    """Return the row of a patient. Raises NotFoundError, and StaleCaseError if it changed since."""
    row = patient_row(session, seen.id)
    if patient_of(row) != seen:
        raise StaleCaseError(row.changed_by, row.changed_at)
    return row


def checked_details(entered: PatientDetails) -> PatientDetails:
    """Return entries as they are kept. Raises InvalidEntryError."""
    identifier = checked_identifier(entered.identifier, "identifier")
    name = checked_name(entered.name or "", "name") or None
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


def enter(session: Session, row: PatientRow, entered: PatientDetails, user: User) -> list[str]:
    """Set what was entered, and return the names of the columns that changed."""
    if _owner(session, entered.identifier) not in (None, row.id):
        raise InvalidEntryError(
            f"There is a patient {entered.identifier} already. Open it, or choose another."
        )
    row.changed_by, row.changed_at = user.name, datetime.now(UTC)
    row.search = search_text(entered.identifier, entered.name)
    return set_values(row, asdict(entered))


def _owner(session: Session, identifier: str) -> int | None:
    """Return the id of the patient with exactly this identifier."""
    return session.scalar(select(PatientRow.id).where(PatientRow.identifier == identifier))


def search_text(identifier: str, name: str | None) -> str:
    """Return what `search_patients` looks through."""
    return f"{searchable(identifier)}\n{searchable(name or '')}"
