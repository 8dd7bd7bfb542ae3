"""Samples: save them with their fields, load them as they were saved, and record each change.

A save is one transaction, and images are on disk before the rows that refer to them: whatever
stops the program leaves the old state or the new one. At worst an image without a row stays, which
`sweep` removes. Every change of a sample goes through `sample_as_seen` and `record_change`, so that
nobody overwrites what they have not seen.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from core.cases import audit
from core.cases.blob_store import EncodedImage, encode
from core.cases.database import Database, existing
from core.cases.mappers import (
    cell_rows,
    field_row,
    header_scale,
    patient_of,
    record_of,
    sample_field_of,
    sample_of,
    set_values,
    stage_values,
)
from core.cases.orm import (
    IN_FIELD,
    CellRow,
    CommentRow,
    FieldRow,
    PatientRow,
    SampleRow,
    SignatureRow,
)
from core.cases.patients import patient_row
from core.cases.records import (
    Case,
    Comment,
    NewField,
    Sample,
    SampleDetails,
    SampleField,
    Signature,
    User,
)
from core.cases.users import require
from core.domain.results import FieldImage, ImageProperties
from core.errors import (
    InvalidEntryError,
    NotFoundError,
    SignedCaseError,
    StaleCaseError,
    UnnamedCaseError,
)

HIGHEST_WHITE_CELL_COUNT = 2000.0
"""10⁹/L; above all that was ever reported, so likely entered in another unit."""


def save_sample(
    database: Database,
    user: User,
    patient_id: int,
    details: SampleDetails,
    fields: Sequence[NewField] = (),
) -> Sample:
    """Save a new sample of a patient with all its fields.

    Raises NotAllowedError, NotFoundError, InvalidEntryError, PictureNotStoredError; then nothing
    was saved.
    """
    require(user, "reviewer")
    check_details(details)
    images = encode_all(fields)
    with database.writing() as session:
        new = list(zip(fields, images, strict=True))
        return sample_of(insert_sample(database, session, user, patient_id, details, new)[0])


def insert_sample(  # noqa: PLR0913, PLR0917 - what a sample is made of
    database: Database,
    session: Session,
    user: User,
    patient_id: int,
    details: SampleDetails,
    fields: Sequence[tuple[NewField, EncodedImage]],
) -> tuple[SampleRow, list[int]]:
    """Add a checked sample with its fields; return its row, and the ids of the fields."""
    patient_row(session, patient_id)
    changed = {"changed_by": user.name, "changed_at": datetime.now(UTC)}
    row = SampleRow(patient_id=patient_id, **asdict(details), **changed)
    session.add(row)
    session.flush()
    added = insert_fields(database, session, row.id, fields)
    about = {"patient_id": patient_id, "sample_id": row.id}
    audit.record(session, user.name, "create sample", **about, fields=added)
    return row, added


def add_fields(database: Database, user: User, seen: Sample, fields: Sequence[NewField]) -> Sample:
    """Add fields to a sample that the user saw as `seen`.

    A field that is there already only gets the ALL class it lacked; its cells stay as they are.
    Raises NotAllowedError, NotFoundError, StaleCaseError, SignedCaseError, InvalidEntryError,
    PictureNotStoredError.
    """
    require(user, "reviewer")
    images = encode_all(fields)
    with database.writing() as session:
        row = sample_to_edit(session, seen)
        graded = add_stages(session, row.id, fields)
        rest = [
            (new, image)
            for new, image in zip(fields, images, strict=True)
            if new.analysis.identity not in graded
        ]
        added = insert_fields(database, session, row.id, rest)
        return record_edit(
            session, user, row, "add fields", fields=added, graded=list(graded.values())
        )


def update_sample(database: Database, user: User, seen: Sample, details: SampleDetails) -> Sample:
    """Correct what was entered about a sample. Raises as `add_fields`."""
    require(user, "reviewer")
    check_details(details)
    with database.writing() as session:
        row = sample_to_edit(session, seen)
        changed = set_values(row, asdict(details))
        return record_edit(session, user, row, "update sample", changed=changed)


def load_sample(database: Database, sample_id: int, draft_id: int | None = None) -> Sample:
    """Return a sample as it is now, without its fields. Raises as `load_case`."""
    with database.reading() as session:
        return sample_of(_sample_and_patient(session, sample_id, draft_id)[0])


def sample_with_count(database: Database, slide: str, version: str) -> Sample | None:
    """Return the last sample that holds the count of a slide; None without one.

    `slide` and `version` are those of the slide's file.
    """
    with database.reading() as session:
        row = count_holder(session, slide, version)
        return None if row is None else sample_of(row)


def count_holder(session: Session, slide: str, version: str) -> SampleRow | None:
    """Return the row of the last sample that holds the count of a slide; None without one."""
    return session.scalars(
        select(SampleRow)
        .where(SampleRow.slide == slide, SampleRow.slide_version == version)
        .order_by(SampleRow.id.desc())
    ).first()


def load_case(database: Database, sample_id: int, draft_id: int | None = None) -> Case:
    """Return a sample with everything in it.

    That of a draft is there for those who opened the draft (`draft_id`), and no other sample is.
    Raises NotFoundError.
    """
    with database.reading() as session:
        sample, patient = _sample_and_patient(session, sample_id, draft_id)
        comments = session.scalars(
            select(CommentRow).where(CommentRow.sample_id == sample_id).order_by(CommentRow.id)
        )
        return Case(
            patient=patient_of(patient),
            sample=sample_of(sample),
            fields=load_fields(session, sample_id),
            signatures=tuple(record_of(Signature, row) for row in signatures(session, sample_id)),
            comments=tuple(record_of(Comment, row) for row in comments),
        )


def _sample_and_patient(
    session: Session, sample_id: int, draft_id: int | None
) -> tuple[SampleRow, PatientRow]:
    found = session.execute(
        select(SampleRow, PatientRow)
        .join(PatientRow, PatientRow.id == SampleRow.patient_id)
        .where(SampleRow.id == sample_id, PatientRow.draft_id.is_not_distinct_from(draft_id))
    ).one_or_none()
    if found is None:
        raise NotFoundError("case")
    return found[0], found[1]


def load_image(database: Database, field_id: int) -> FieldImage:
    """Return the image of a stored field. Raises NotFoundError, PictureMissingError."""
    with database.reading() as session:
        row = existing(session, FieldRow, field_id, "field")
    return FieldImage(
        name=row.file,
        pixels=database.images.read(row.image),
        sha256=row.sha256,
        properties=ImageProperties(**row.properties),
        micrometres_per_pixel=header_scale(row),
        page=row.page,
    )


def sweep(database: Database) -> int:
    """Remove images and parts of images that no row refers to; return how many files.

    Safe at any time: no other program saves meanwhile. A database without any field sweeps
    nothing: the folder may be that of another one, whose address was changed by mistake.
    """
    with database.writing() as session:
        used = set(session.scalars(select(FieldRow.image).distinct()))
        return database.images.remove_all_but(used) if used else 0


def sample_row(session: Session, sample_id: int) -> SampleRow:
    """Return the row of a sample. Raises NotFoundError."""
    return existing(session, SampleRow, sample_id, "case")


def named_sample_row(session: Session, sample_id: int) -> SampleRow:
    """Return the row of a sample. Raises NotFoundError, and UnnamedCaseError for that of a draft.

    What leaves the draft or closes the case needs a patient: links, comments and signatures.
    """
    row = sample_row(session, sample_id)
    if session.get_one(PatientRow, row.patient_id).draft_id is not None:
        raise UnnamedCaseError
    return row


def sample_as_seen(session: Session, seen: Sample) -> SampleRow:
    """Return the row of a sample. Raises NotFoundError, and StaleCaseError if it changed since."""
    row = sample_row(session, seen.id)
    if row.version != seen.version:
        raise StaleCaseError(row.changed_by, row.changed_at)
    return row


def sample_to_edit(session: Session, seen: Sample) -> SampleRow:
    """Return the row of a sample that may be edited. Raises SignedCaseError too."""
    row = sample_as_seen(session, seen)
    if row.state == "signed":
        raise SignedCaseError(" and ".join(s.reviewer for s in signatures(session, row.id)))
    return row


def record_edit(
    session: Session, user: User, row: SampleRow, action: str, **details: Any
) -> Sample:
    """Finish an edit: what was reviewed or half signed before it is a draft again."""
    row.state = "draft"
    void_signatures(session, row.id)
    return record_change(session, user, row, action, **details)


def record_change(
    session: Session, user: User, row: SampleRow, action: str, **details: Any
) -> Sample:
    """Give the sample its next version and write the audit entry."""
    row.version += 1
    row.changed_by = user.name
    row.changed_at = audit.record(
        session, user.name, action, patient_id=row.patient_id, sample_id=row.id, **details
    )
    return sample_of(row)


def signatures(session: Session, sample_id: int) -> list[SignatureRow]:
    """Return the signatures that hold, in their order."""
    return list(
        session.scalars(
            select(SignatureRow)
            .where(SignatureRow.sample_id == sample_id, SignatureRow.void.is_(False))
            .order_by(SignatureRow.id)
        )
    )


def void_signatures(session: Session, sample_id: int) -> None:
    """Make the signatures of a sample void; they stay on record."""
    session.execute(
        update(SignatureRow)
        .where(SignatureRow.sample_id == sample_id, SignatureRow.void.is_(False))
        .values(void=True)
    )


def check_details(details: SampleDetails) -> None:
    """Raise InvalidEntryError for entries that cannot be right."""
    white_cell_count = details.white_cell_count
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    if details.taken > tomorrow:  # east of UTC it is tomorrow already
        raise InvalidEntryError("The sample cannot have been taken in the future.")
    if white_cell_count is not None and not 0 < white_cell_count <= HIGHEST_WHITE_CELL_COUNT:
        raise InvalidEntryError(
            f"The white cell count lies between 0 and {HIGHEST_WHITE_CELL_COUNT:,.0f} × 10⁹/L."
        )


def encode_all(fields: Sequence[NewField]) -> list[EncodedImage]:
    """Encode the images before taking the write lock, which others wait for."""
    for new in fields:
        if new.image.identity != new.analysis.identity:
            raise ValueError(f"{new.analysis.title}: the analysis is of another image")
        if any(cell.reviewer is not None for cell in new.analysis.cells):
            raise ValueError(f"{new.analysis.title}: reviews are stored with label_cells")
    return [encode(new.image.pixels) for new in fields]


def add_stages(
    session: Session, sample_id: int, fields: Sequence[NewField]
) -> dict[tuple[str, int], int]:
    """Give stored fields without an ALL class the one they have now; return ids by identity."""
    ungraded = {
        (row.sha256, row.page): row
        for row in session.scalars(
            select(FieldRow).where(FieldRow.sample_id == sample_id, FieldRow.stage.is_(None))
        )
    }
    graded = {}
    for new in fields:
        row = ungraded.pop(new.analysis.identity, None)
        if row is not None and new.stage is not None:
            row.stage = stage_values(new.stage)
            row.models = row.models | {"all_stage": new.models["all_stage"]}
            graded[new.analysis.identity] = row.id
    return graded


def insert_fields(
    database: Database,
    session: Session,
    sample_id: int,
    fields: Sequence[tuple[NewField, EncodedImage]],
) -> list[int]:
    """Add the rows of fields and of their white cells; return the ids of the fields.

    The audit trail names fields by these: it outlives them, and a file's hash would say for ever
    that its image was here.
    """
    stored = session.execute(
        select(FieldRow.sha256, FieldRow.page, FieldRow.pixels).where(
            FieldRow.sample_id == sample_id
        )
    ).all()
    known: set[object] = {(sha256, page) for sha256, page, _ in stored}
    known |= {pixels for *_, pixels in stored} - {None}
    cells, added = [], []
    for new, image in fields:
        found = new.analysis
        keys = {found.identity} | (
            {found.fingerprint.pixels_sha256} if found.fingerprint else set()
        )
        if not known.isdisjoint(keys):
            raise InvalidEntryError(
                f"{found.title} is in this case already; its cells would count twice."
            )
        known |= keys
        database.images.write(image)
        row = field_row(sample_id, new, image.sha256)
        session.add(row)
        session.flush()
        added.append(row.id)
        cells += cell_rows(row.id, new)
    if cells:
        session.execute(insert(CellRow), cells)
    return added


def load_fields(session: Session, sample_id: int) -> tuple[SampleField, ...]:
    """Return the fields of a sample in the order they were added."""
    rows = session.scalars(
        select(FieldRow).where(FieldRow.sample_id == sample_id).order_by(FieldRow.id)
    ).all()
    white: defaultdict[int, list[CellRow]] = defaultdict(list)
    for cell in session.scalars(
        select(CellRow)
        .join(FieldRow, FieldRow.id == CellRow.field_id)
        .where(FieldRow.sample_id == sample_id, IN_FIELD)
    ):
        white[cell.field_id].append(cell)
    return tuple(sample_field_of(row, white[row.id]) for row in rows)
