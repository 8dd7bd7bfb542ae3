"""Drafts: uploads on the server from the first file on, until they are saved to a patient.

A draft has a placeholder patient with one sample for each patient that the upload names, so that a
draft is reviewed like any case. Lists, counts, the queue and the API leave drafts out. Who signed
in opens their own drafts by number, and nobody else does; without single sign-on a draft opens by
the secret in its address. Nobody's role matters: what is in a draft was uploaded by its owner.

Drafts that were not opened for `Settings.draft_days` are deleted with their images.
"""

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from core.cases import audit
from core.cases.database import Database, existing
from core.cases.mappers import (
    cell_rows,
    field_row,
    field_values,
    other_cells,
    record_of,
    set_values,
    stage_values,
)
from core.cases.orm import CellRow, DraftRow, FieldRow, PatientRow, ReviewRow, SampleRow
from core.cases.patients import (
    checked_details,
    enter,
    erase,
    patient_row,
    remove_unused,
    search_text,
)
from core.cases.records import (
    NewField,
    Patient,
    PatientDetails,
    Sample,
    SampleDetails,
    SampleField,
    User,
)
from core.cases.repeats import compared, fingerprints_of
from core.cases.samples import (
    check_details,
    encode_all,
    insert_fields,
    load_fields,
    record_edit,
    sample_to_edit,
)
from core.cases.users import require
from core.domain.results import FailedFile, FieldAnalysis, StageResult
from core.errors import CaseError, DraftError, InvalidEntryError, NotFoundError
from core.imaging.duplicates import Finder
from core.settings import Settings, get_settings

_SECRET_BYTES = 32
_TOUCHED_AFTER = timedelta(hours=1)
"""Opening a draft again within this time does not write."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft that was opened."""

    id: int
    owner: str | None
    """None without single sign-on."""
    used: datetime
    """UTC."""

    @property
    def expires(self) -> datetime:
        """When it is deleted unless it is opened before (UTC)."""
        return self.used + timedelta(days=get_settings().draft_days)


@dataclass(frozen=True, slots=True)
class DraftNotes:
    """What a page says of an upload beside its images."""

    expected: tuple[str, ...] = ()
    """Files of the upload that is going on, by name."""
    failed: tuple[FailedFile, ...] = ()
    skipped: tuple[str, ...] = ()
    repeated: tuple[tuple[str, str], ...] = ()
    keep_duplicates: bool = False
    saved: tuple[int, ...] = ()
    """Samples that images of this draft were saved to."""


@dataclass(frozen=True, slots=True, eq=False)
class DraftField:
    """A stored image of a draft, rejected ones too."""

    patient: str
    """As the upload names the patient."""
    sample_id: int
    stored: SampleField
    pixels_sha256: str | None
    """None of rejected images."""
    is_reviewed: bool
    """Whether somebody labelled or corrected a cell of it, undone or not."""


@dataclass(frozen=True, slots=True)
class ListedDraft:
    """A draft in the list of its owner."""

    draft: Draft
    fields: int
    patients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the images of a draft are saved to."""

    patient: Patient | PatientDetails
    """A stored patient, or what was entered about a new one."""
    sample: Sample | SampleDetails
    """A stored sample of that patient, or what was entered about a new one."""


Stamp = tuple[int, tuple[tuple[int, int], ...]]
"""Changes with every change of a draft or of one of its samples."""


def create_draft(
    database: Database, user: User, owner: str | None, settings: Settings | None = None
) -> tuple[Draft, str]:
    """Make an empty draft; return it with the key that opens it, and delete expired ones.

    The key of an owner's draft is its number; other keys are secret, and nowhere in the store.
    """
    with suppress(CaseError, OSError):  # an upload must not fail for what others left
        expire_drafts(database, settings)
    secret = None if owner is not None else secrets.token_urlsafe(_SECRET_BYTES)
    now = datetime.now(UTC)
    with database.writing() as session:
        row = DraftRow(
            secret_hash=None if secret is None else _hash(secret),
            owner=owner,
            made=now,
            used=now,
            version=1,
            notes=asdict(DraftNotes()),
        )
        session.add(row)
        session.flush()
        audit.record(session, user.name, "create draft", draft=row.id)
        return record_of(Draft, row), secret or str(row.id)


def open_draft(
    database: Database, key: str, owner: str | None, settings: Settings | None = None
) -> Draft:
    """Return the draft that a key opens for a visitor (`owner` is who signed in).

    Raises DraftError for a wrong key, another user's draft, and one that has expired.
    """
    oldest = _oldest(settings)
    with database.reading() as session:
        wanted = select(DraftRow).where(DraftRow.used > oldest)
        if owner is None:
            wanted = wanted.where(DraftRow.owner.is_(None), DraftRow.secret_hash == _hash(key))
        elif key.isascii() and key.isdecimal() and len(key) < 10:
            wanted = wanted.where(DraftRow.owner == owner, DraftRow.id == int(key))
        else:
            raise DraftError
        row = session.scalar(wanted)
        if row is None:
            raise DraftError
        draft = record_of(Draft, row)
    now = datetime.now(UTC)
    if now - draft.used > _TOUCHED_AFTER:
        with suppress(CaseError), database.writing() as session:
            _row(session, draft).used = now
            draft = replace(draft, used=now)
    return draft


def drafts_of(
    database: Database, owner: str, settings: Settings | None = None
) -> tuple[ListedDraft, ...]:
    """Return the drafts of a user that hold images, the last opened first."""
    with database.reading() as session:
        rows = session.execute(
            select(DraftRow, PatientRow.name, func.count(FieldRow.id))
            .join(PatientRow, PatientRow.draft_id == DraftRow.id)
            .join(SampleRow, SampleRow.patient_id == PatientRow.id)
            .join(FieldRow, FieldRow.sample_id == SampleRow.id)
            .where(DraftRow.owner == owner, DraftRow.used > _oldest(settings))
            .group_by(DraftRow.id, PatientRow.id)
            .order_by(DraftRow.used.desc(), DraftRow.id.desc(), PatientRow.id)
        )
        found: dict[int, ListedDraft] = {}
        for row, name, fields in rows:
            before = found.get(row.id) or ListedDraft(record_of(Draft, row), 0, ())
            patients = (*before.patients, name or "")
            found[row.id] = replace(before, fields=before.fields + fields, patients=patients)
    return tuple(found.values())


def stamp(database: Database, draft: Draft) -> Stamp:
    """Return what changes when anything in a draft does. Raises DraftError when it is gone."""
    with database.reading() as session:
        return _stamp(session, draft)


def load_draft(
    database: Database, draft: Draft
) -> tuple[Stamp, DraftNotes, tuple[DraftField, ...]]:
    """Return a draft as it is now: its images as they were added. Raises DraftError."""
    with database.reading() as session:
        notes = _notes(_row(session, draft))
        fields = []
        for patient, sample in _samples(session, draft):
            stored = load_fields(session, sample.id)
            of_sample = select(FieldRow.id, FieldRow.pixels).where(FieldRow.sample_id == sample.id)
            pixels = dict(session.execute(of_sample).all())
            reviewed = _reviewed(session, pixels)
            fields += [
                DraftField(patient, sample.id, one, pixels[one.id], one.id in reviewed)
                for one in stored
            ]
        fields.sort(key=lambda field: field.stored.id)
        return _stamp(session, draft), notes, tuple(fields)


def load_fingerprints(database: Database, ids: Iterable[int]) -> dict[int, Mapping[str, str]]:
    """Return the stored fingerprints of fields by their ids."""
    with database.reading() as session:
        return fingerprints_of(session, ids)


def add_notes(database: Database, draft: Draft, new: DraftNotes, read: Iterable[str] = ()) -> None:
    """Add to what the page says of the uploads: several may go on at once, in several browsers.

    `read` are names of expected files that were read. Whether duplicates count stays as it is.
    Raises DraftError.
    """
    done = set(read)
    with database.writing() as session:
        row = _row(session, draft)
        notes = _notes(row)
        expected = dict.fromkeys((*notes.expected, *new.expected))
        added = DraftNotes(
            tuple(name for name in expected if name not in done),
            notes.failed + new.failed,
            notes.skipped + new.skipped,
            notes.repeated + new.repeated,
            notes.keep_duplicates,
            notes.saved + new.saved,
        )
        _keep_notes(row, added)


def set_keep_duplicates(database: Database, draft: Draft, keep: bool) -> None:
    """Count cells in every field that shows them, or once. Raises DraftError."""
    with database.writing() as session:
        row = _row(session, draft)
        _keep_notes(row, replace(_notes(row), keep_duplicates=keep))


def add_draft_field(
    database: Database, user: User, draft: Draft, patient: str, new: NewField
) -> int:
    """Add an image to a draft, also one that was rejected; return the id of its field.

    Reviews of the other cells go on meanwhile: the version of the sample stays. Raises DraftError,
    InvalidEntryError for an image that is there already, PictureNotStoredError.
    """
    (image,) = encode_all([new])
    with database.writing() as session:
        row = _row(session, draft)
        sample = _sample(session, row, patient, user)
        (added,) = insert_fields(database, session, sample.id, [(new, image)])
        row.version += 1
        about = {"patient_id": sample.patient_id, "sample_id": sample.id}
        audit.record(session, user.name, "add fields", **about, fields=[added])
        return added


def replace_analysis(
    database: Database, user: User, draft: Draft, field_id: int, new: NewField
) -> None:
    """Put another analysis of the same image in the place of one whose cells nobody reviewed.

    Raises DraftError, NotFoundError, and InvalidEntryError once a cell was reviewed.
    """
    with database.writing() as session:
        row, (old,) = _row(session, draft), _fields(session, draft, [field_id])
        if _reviewed(session, [old.id]):
            raise InvalidEntryError(
                f"Cells of {old.file} were reviewed, so it is not analysed again."
            )
        for cell in session.scalars(select(CellRow).where(CellRow.field_id == old.id)).all():
            session.delete(cell)
        session.flush()
        set_values(old, field_values(field_row(old.sample_id, new, old.image)))
        session.add_all(CellRow(**values) for values in cell_rows(old.id, new))
        row.version += 1
        _record_edit(session, user, "analyse again", [old])


def set_stages(
    database: Database, draft: Draft, stages: Mapping[int, StageResult], version: str
) -> None:
    """Keep the ALL classes of fields by their ids; `version` is the model's."""
    with database.writing() as session:
        row = _row(session, draft)
        for field in _fields(session, draft, stages):
            field.stage = stage_values(stages[field.id])
            field.models = field.models | {"all_stage": version}
        row.version += 1


def mark_fields(database: Database, draft: Draft, analyses: Mapping[int, FieldAnalysis]) -> None:
    """Keep which cells earlier fields show too, and the warnings about it, by ids of fields."""
    with database.writing() as session:
        row = _row(session, draft)
        for field in _fields(session, draft, analyses):
            _mark(session, field, analyses[field.id])
        row.version += 1


def move_fields(database: Database, user: User, draft: Draft, patients: Mapping[int, str]) -> None:
    """Move fields, by their ids, to other patients of the draft, with all reviews."""
    with database.writing() as session:
        row = _row(session, draft)
        fields = _fields(session, draft, patients)
        for field in fields:
            field.sample_id = _sample(session, row, patients[field.id], user).id
        session.flush()
        _record_edit(session, user, "move fields", fields)
        emptied = select(PatientRow).where(
            PatientRow.draft_id == draft.id,
            PatientRow.id.not_in(
                select(SampleRow.patient_id).join(FieldRow, FieldRow.sample_id == SampleRow.id)
            ),
        )
        for patient in session.scalars(emptied).all():
            erase(session, user.name, patient)
        row.version += 1


def remove_fields(database: Database, user: User, draft: Draft, fields: Iterable[int]) -> None:
    """Erase fields of a draft with their images and reviews."""
    with database.writing() as session:
        row = _row(session, draft)
        images = _erase_fields(session, user, row, _fields(session, draft, list(fields)))
        row.version += 1
    remove_unused(database, images)


def save_draft(
    database: Database,
    user: User,
    draft: Draft,
    patient: str,
    to: Destination,
) -> Sample:
    """Save the images of one patient of a draft, with all reviews, to a patient and sample.

    `patient` is the name in the draft. A new patient or sample is what the draft has, by another
    name; for a stored sample the fields move to it. A field that is in it already only gives it the
    ALL class that it lacked. Rejected images are dropped. Duplicates are marked anew: other images
    of the draft may never be saved. Raises NotAllowedError, DraftError, NotFoundError,
    InvalidEntryError, StaleCaseError, SignedCaseError.
    """
    require(user, "reviewer")
    sample = to.sample
    if isinstance(sample, SampleDetails):
        check_details(sample)
    found = _compared(database, draft, patient, to)
    with database.writing() as session:
        row = _row(session, draft)
        owner, source = _placeholder(session, row, patient)
        fields = session.scalars(
            select(FieldRow).where(FieldRow.sample_id == source.id).order_by(FieldRow.id)
        ).all()
        dropped = [field for field in fields if field.reject_reason is not None]
        fields = [field for field in fields if field.reject_reason is None]
        if not fields:
            raise InvalidEntryError("There is no image to save: all were rejected or removed.")
        for field in fields:
            if field.id in found:
                _mark(session, field, found[field.id])
        target = _target(session, user, owner, to)
        kept = source
        if isinstance(sample, SampleDetails):
            set_values(source, asdict(sample))
            source.patient_id = target.id
        else:
            kept = sample_to_edit(session, sample)
            if kept.patient_id != target.id:
                raise NotFoundError("case")
            known, fields = _known(session, kept, fields)
            dropped += known
            for field in fields:
                field.sample_id = kept.id
        session.flush()
        images = _erase_fields(session, user, row, dropped)
        for emptied, stays in ((source, kept), (owner, target)):
            if emptied is not stays:
                session.delete(emptied)
                session.flush()
        notes = _notes(row)
        saved = tuple(dict.fromkeys((*notes.saved, kept.id)))
        _keep_notes(row, replace(notes, failed=(), skipped=(), repeated=(), saved=saved))
        ids = [field.id for field in fields]
        stored = record_edit(session, user, kept, "save draft", draft=row.id, fields=ids)
    remove_unused(database, images)
    return stored


def delete_draft(database: Database, user: User, draft: Draft) -> None:
    """Erase a draft with its images and reviews. Raises DraftError."""
    with database.writing() as session:
        images = _erase(session, user.name, _row(session, draft), "delete draft")
    remove_unused(database, images)


def expire_drafts(database: Database, settings: Settings | None = None) -> int:
    """Erase the drafts that nobody used for the set time; return how many."""
    expired = select(DraftRow).where(DraftRow.used <= _oldest(settings))
    with database.reading() as session:
        if session.scalar(expired.limit(1)) is None:
            return 0
    images: set[str] = set()
    with database.writing() as session:
        rows = session.scalars(expired).all()
        for row in rows:
            images |= _erase(session, row.owner or "nobody", row, "expire draft")
    remove_unused(database, images)
    return len(rows)


def _row(session: Session, draft: Draft) -> DraftRow:
    row = session.get(DraftRow, draft.id)
    if row is None or row.owner != draft.owner:
        raise DraftError
    return row


def _stamp(session: Session, draft: Draft) -> Stamp:
    version = _row(session, draft).version
    return version, tuple((sample.id, sample.version) for _, sample in _samples(session, draft))


def _samples(session: Session, draft: Draft) -> Sequence[tuple[str, SampleRow]]:
    """Return the samples of a draft by the patients' names."""
    rows = session.execute(
        select(PatientRow.name, SampleRow)
        .join(SampleRow, SampleRow.patient_id == PatientRow.id)
        .where(PatientRow.draft_id == draft.id)
        .order_by(SampleRow.id)
    )
    return [(name or "", sample) for name, sample in rows]


def _placeholder(session: Session, row: DraftRow, patient: str) -> tuple[PatientRow, SampleRow]:
    """Return patient and sample of a name in a draft. Raises NotFoundError."""
    found = session.execute(
        select(PatientRow, SampleRow)
        .join(SampleRow, SampleRow.patient_id == PatientRow.id)
        .where(PatientRow.draft_id == row.id, PatientRow.name == patient)
    ).one_or_none()
    if found is None:
        raise NotFoundError("upload")
    return found[0], found[1]


def _sample(session: Session, row: DraftRow, patient: str, user: User) -> SampleRow:
    """Return the sample of a patient's name in a draft, made now if there is none."""
    with suppress(NotFoundError):
        return _placeholder(session, row, patient)[1]
    return _new_sample(session, row, user, f"{patient} (draft {row.id})", patient)


def _new_sample(
    session: Session, row: DraftRow, user: User, identifier: str, name: str | None
) -> SampleRow:
    changed = {"changed_by": user.name, "changed_at": datetime.now(UTC)}
    taken = session.scalar(select(PatientRow.id).where(PatientRow.identifier == identifier))
    if taken is not None:  # a patient was given this very identifier
        identifier = f"{identifier} {secrets.token_hex(4)}"
    patient = PatientRow(
        identifier=identifier,
        name=name,
        search=search_text(identifier, name),
        draft_id=row.id,
        **changed,
    )
    session.add(patient)
    session.flush()
    details = SampleDetails(datetime.now(UTC).date())
    sample = SampleRow(patient_id=patient.id, **asdict(details), **changed)
    session.add(sample)
    session.flush()
    return sample


def _target(session: Session, user: User, owner: PatientRow, to: Destination) -> PatientRow:
    """Return the patient to save to: a stored one, or the placeholder under its new name."""
    if isinstance(to.patient, Patient):
        return patient_row(session, to.patient.id)
    enter(session, owner, checked_details(to.patient), user)
    owner.draft_id = None
    audit.record(session, user.name, "create patient", patient_id=owner.id)
    return owner


def _fields(session: Session, draft: Draft, ids: Iterable[int]) -> list[FieldRow]:
    """Return fields by id. Raises NotFoundError unless all are of the draft."""
    wanted = list(ids)
    rows = session.scalars(
        select(FieldRow)
        .join(SampleRow, SampleRow.id == FieldRow.sample_id)
        .join(PatientRow, PatientRow.id == SampleRow.patient_id)
        .where(FieldRow.id.in_(wanted), PatientRow.draft_id == draft.id)
        .order_by(FieldRow.id)
    ).all()
    if len(rows) != len(set(wanted)):
        raise NotFoundError("field")
    return list(rows)


def _mark(session: Session, field: FieldRow, found: FieldAnalysis) -> None:
    """Set which cells of a field earlier fields show, and its warnings."""
    set_values(field, {"warnings": list(found.warnings), "other_cells": other_cells(found)})
    shown = {number for number, cell in found.white_cells() if cell.duplicate}
    for is_shown in (False, True):
        cells = update(CellRow).where(
            CellRow.field_id == field.id,
            CellRow.reviewer.is_(None),
            CellRow.duplicate.is_(not is_shown),
            CellRow.number.in_(shown) if is_shown else CellRow.number.not_in(shown),
        )
        session.execute(
            cells.values(duplicate=is_shown), execution_options={"synchronize_session": False}
        )


def _compared(
    database: Database,
    draft: Draft,
    patient: str,
    to: Destination,
) -> dict[int, FieldAnalysis]:
    """Return the fields to be saved, marked against one another and what their sample has."""
    _, notes, fields = load_draft(database, draft)
    own = [one.stored for one in fields if one.patient == patient]
    found = compared(
        database,
        to.patient.id if isinstance(to.patient, Patient) else None,
        own,
        to.sample.id if isinstance(to.sample, Sample) else None,
        Finder(keep=notes.keep_duplicates),
    )
    return {one.id: analysis for one, analysis in zip(own, found, strict=True)}


def _known(
    session: Session, kept: SampleRow, fields: Sequence[FieldRow]
) -> tuple[list[FieldRow], list[FieldRow]]:
    """Split fields into those that a sample has already, whose ALL class it gets, and the others.

    Raises InvalidEntryError for a field that adds nothing, or that was reviewed in the draft.
    """
    stored = session.scalars(select(FieldRow).where(FieldRow.sample_id == kept.id)).all()
    known, new = [], []
    for field in fields:
        same = next(
            (
                one
                for one in stored
                if (one.sha256, one.page) == (field.sha256, field.page)
                or (one.pixels is not None and one.pixels == field.pixels)
            ),
            None,
        )
        if same is None:
            new.append(field)
            continue
        if field.stage is None or same.stage is not None or _reviewed(session, [field.id]):
            raise InvalidEntryError(
                f"{field.file} is in this case already; its cells would count twice. Remove it "
                "here, or choose another sample."
            )
        same.stage = field.stage
        same.models = same.models | {"all_stage": field.models["all_stage"]}
        known.append(field)
    return known, new


def _reviewed(session: Session, fields: Iterable[int]) -> set[int]:
    """Return those fields, by id, of which a cell was reviewed, also where that was undone."""
    reviewed = select(CellRow.field_id).join(ReviewRow, ReviewRow.cell_id == CellRow.id)
    return set(session.scalars(reviewed.where(CellRow.field_id.in_(list(fields))).distinct()))


def _erase_fields(
    session: Session, user: User, row: DraftRow, fields: Sequence[FieldRow]
) -> set[str]:
    """Erase fields; return the images for `remove_unused`.

    Reviews go only together with a patient, so the fields get one of their own first.
    """
    if not fields:
        return set()
    removed = _new_sample(session, row, user, f"removed {secrets.token_hex(8)}", None)
    for field in fields:
        field.sample_id = removed.id
    session.flush()
    return erase(session, user.name, existing(session, PatientRow, removed.patient_id, "patient"))


def _erase(session: Session, user: str, row: DraftRow, action: str) -> set[str]:
    images: set[str] = set()
    patients = session.scalars(select(PatientRow).where(PatientRow.draft_id == row.id)).all()
    for patient in patients:
        images |= erase(session, user, patient)
    audit.record(session, user, action, draft=row.id)
    session.delete(row)
    session.flush()
    return images


def _record_edit(session: Session, user: User, action: str, fields: Sequence[FieldRow]) -> None:
    """Give the samples of fields their next version, and write the audit entries."""
    by_sample: dict[int, list[int]] = {}
    for field in fields:
        by_sample.setdefault(field.sample_id, []).append(field.id)
    for sample_id, ids in by_sample.items():
        record_edit(
            session, user, existing(session, SampleRow, sample_id, "case"), action, fields=ids
        )


def _notes(row: DraftRow) -> DraftNotes:
    kept: dict[str, Any] = dict(row.notes)
    kept["failed"] = tuple(FailedFile(**one) for one in kept["failed"])
    kept["repeated"] = tuple(map(tuple, kept["repeated"]))
    for name in ("expected", "skipped", "saved"):
        kept[name] = tuple(kept[name])
    return DraftNotes(**kept)


def _keep_notes(row: DraftRow, notes: DraftNotes) -> None:
    row.notes = asdict(notes)
    row.version += 1


def _oldest(settings: Settings | None) -> datetime:
    """Return the time of last use before which a draft has expired."""
    return datetime.now(UTC) - timedelta(days=(settings or get_settings()).draft_days)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()
