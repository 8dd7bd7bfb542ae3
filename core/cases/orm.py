"""The schema of the case database, one for SQLite and PostgreSQL.

White cells have a row each: they are reviewed one by one. Red cells and platelets are many and
never looked up alone, so each field keeps them in one JSON column: a field of three hundred cells
is read as one value, and the tables stay a tenth of the size. Images lie in a folder
(`core.cases.blob_store`); only their SHA-256 is here.

Foreign keys do not cascade: nothing goes with its parent unnoticed.
"""

from datetime import UTC, date, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    and_,
    false,
    select,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    composite,
    mapped_column,
    synonym,
)
from sqlalchemy.types import TypeDecorator

from core.cases.records import CaseState, Origin, ReviewAction, Role, TextKind
from core.domain.boxes import Box
from core.domain.taxonomy import FORMER_LABELS, Material, Sex, Status


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time, kept without its offset because SQLite knows none."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Give the time as the database keeps it."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Give the time back with its zone."""
        return None if value is None else value.replace(tzinfo=UTC)


class ReviewLabel(TypeDecorator[str]):
    """A label in a review, which is never changed: that of an earlier version is translated."""

    impl = String(32)
    cache_ok = True

    def process_result_value(self, value: str | None, _dialect: Dialect) -> str | None:
        """Return the label as it is called now."""
        return value and FORMER_LABELS.get(value, value)


_AUTOINCREMENT = {"sqlite_autoincrement": True}
"""Ids are never given twice: the audit trail refers to what was deleted."""


class Base(DeclarativeBase):
    """All tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcDateTime, dict[str, Any]: JSON}


class UserRow(Base):
    """Somebody who uses the app."""

    __tablename__ = "people"
    __table_args__ = (
        CheckConstraint("role IN ('viewer', 'reviewer', 'admin')", name="role"),
        Index(None, "issuer", "subject", unique=True),
    )

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    role: Mapped[Role] = mapped_column(String(16))
    since: Mapped[datetime]
    issuer: Mapped[str | None] = mapped_column(String(255))
    """With `subject`, whom the sign-in provider names; None until the first sign-in."""
    subject: Mapped[str | None] = mapped_column(String(255))


class EndedSessionRow(Base):
    """A sign-in that was ended before its time."""

    __tablename__ = "ended_sessions"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    """`core.cases.users.Identity.session`."""
    at: Mapped[datetime]


class PatientRow(Base):
    """A patient; everything here was typed in by a user."""

    __tablename__ = "patients"
    __table_args__ = _AUTOINCREMENT

    id: Mapped[int] = mapped_column(primary_key=True)
    identifier: Mapped[str] = mapped_column(String(100), unique=True)
    name: Mapped[str | None] = mapped_column(String(200))
    sex: Mapped[Sex | None] = mapped_column(String(16))
    birth_year: Mapped[int | None]
    search: Mapped[str] = mapped_column(Text)
    """Identifier and name, case-folded: databases fold letters beyond ASCII each in its way."""
    changed_by: Mapped[str] = mapped_column(String(200))
    changed_at: Mapped[datetime]
    draft_id: Mapped[int | None] = mapped_column(ForeignKey("drafts.id"), index=True)
    """The draft whose images this stands for, until they are saved to a patient."""


class DraftRow(Base):
    """What was uploaded and not saved to a patient yet. `core.cases.drafts` says who may open it.

    It has a `PatientRow` with one sample for each patient that the upload names.
    """

    __tablename__ = "drafts"
    __table_args__ = _AUTOINCREMENT

    id: Mapped[int] = mapped_column(primary_key=True)
    secret_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    """SHA-256 of the secret that opens it; None where the owner does."""
    owner: Mapped[str | None] = mapped_column(String(200))
    """The user who signed in; None without single sign-on."""
    made: Mapped[datetime]
    used: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)
    """Grows with every change of the draft, but not with those of its samples."""
    notes: Mapped[dict[str, Any]]
    """`core.cases.drafts.DraftNotes`."""


class SampleRow(Base):
    """One smear: the unit that is reviewed and signed."""

    __tablename__ = "samples"
    __table_args__ = (
        CheckConstraint("state IN ('draft', 'reviewed', 'signed')", name="state"),
        Index(None, "patient_id", "taken", "id"),
        Index(None, "slide", "slide_version"),
        _AUTOINCREMENT,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patients.id"))
    taken: Mapped[date]
    material: Mapped[Material] = mapped_column(String(32))
    white_cell_count: Mapped[float | None]
    slide: Mapped[str | None] = mapped_column(String(64))
    """Id of the slide whose count was saved as this sample; None of uploaded fields, and of samples
    stored before this was kept."""
    slide_version: Mapped[str | None] = mapped_column(String(64))
    """Of the slide's file, as `SlideCountRow.version`."""
    state: Mapped[CaseState] = mapped_column(String(16), default="draft")
    version: Mapped[int] = mapped_column(default=1)
    changed_by: Mapped[str] = mapped_column(String(200))
    changed_at: Mapped[datetime]


class FieldRow(Base):
    """One analysed image."""

    __tablename__ = "fields"
    __table_args__ = (UniqueConstraint("sample_id", "sha256", "page"), _AUTOINCREMENT)

    id: Mapped[int] = mapped_column(primary_key=True)
    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"))
    image: Mapped[str] = mapped_column("picture", String(64), index=True)
    """SHA-256 of the stored image, which is its name in the folder."""
    sha256: Mapped[str] = mapped_column(String(64))
    """Of the file as uploaded."""
    page: Mapped[int] = mapped_column(default=1, server_default="1")
    """Number of the image in that file, from 1."""
    file: Mapped[str] = mapped_column(Text)
    width: Mapped[int]
    height: Mapped[int]
    properties: Mapped[dict[str, Any]]
    micrometres_per_pixel: Mapped[float | None]
    scale_source: Mapped[str | None] = mapped_column(String(32))
    reject_reason: Mapped[str | None] = mapped_column("refused", Text)
    qc_override: Mapped[str | None] = mapped_column("overruled", Text)
    warnings: Mapped[list[Any]] = mapped_column(JSON, server_default="[]")
    """Sentences, as `FieldAnalysis.warnings`."""
    seconds: Mapped[float]
    models: Mapped[dict[str, Any]]
    stage: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    other_cells: Mapped[list[Any]] = mapped_column(JSON)
    """Red cells and platelets in their order: kind, x, y, width, height, confidence, status,
    detection score, and true where another field shows the cell too."""
    pixels: Mapped[str | None] = mapped_column(String(64), index=True)
    """`Fingerprint.pixels_sha256`; None in fields stored before this was kept."""
    fingerprint: Mapped[dict[str, Any] | None] = mapped_column(
        JSON(none_as_null=True), deferred=True
    )
    """What of a `Fingerprint` does not follow from the cells."""
    header_scale: Mapped[float | None]
    """Micrometres per pixel by the file's header, whatever the cells say; None in fields stored
    before this was kept."""


class CellRow(Base):
    """One white cell: the model's prediction, and the label that counts now."""

    __tablename__ = "cells"
    __table_args__ = (
        UniqueConstraint("field_id", "number"),
        CheckConstraint("origin IN ('model', 'person')", name="origin"),
        _AUTOINCREMENT,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    field_id: Mapped[int] = mapped_column(ForeignKey("fields.id"))
    number: Mapped[int]
    """Place in `FieldAnalysis.cells`, from 1; cells added by users follow the model's. Negative
    once the decision that added the cell was undone: see `IN_FIELD`."""
    origin: Mapped[Origin] = mapped_column(String(16))
    x: Mapped[float]
    y: Mapped[float]
    width: Mapped[float]
    height: Mapped[float]
    box: Mapped[Box] = composite("x", "y", "width", "height")
    type: Mapped[str | None] = mapped_column(String(32))
    subtype: Mapped[str | None] = mapped_column(String(32))
    probabilities: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    status: Mapped[Status] = mapped_column(String(16))
    confidence: Mapped[float]
    detection_score: Mapped[float]
    attributes: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    in_distribution: Mapped[bool | None] = mapped_column("familiar")
    """As `Cell.in_distribution`."""
    duplicate: Mapped[bool] = mapped_column(default=False, server_default=false())
    """As `Cell.duplicate`."""
    poor_area: Mapped[str | None] = mapped_column(String(64))
    """As `Cell.poor_area`."""
    typed_by: Mapped[str | None] = mapped_column(String(64))
    """As `Cell.typed_by`."""
    label: Mapped[str | None] = mapped_column(String(32))
    """Of the last review; None while the model's type stands."""
    reviewer: Mapped[str | None] = mapped_column(String(200))
    closed: Mapped[bool] = mapped_column(default=False)
    """The sample is signed. Kept here so that the queue need not pass all signed cells."""


PENDING = and_(CellRow.label.is_(None), CellRow.closed.is_(False))
"""Cells that a reviewer may still want to see. Queries say it this way, so that indexes apply."""
REVIEWED = CellRow.label.is_not(None)
IN_FIELD = CellRow.number > 0
"""A cell whose adding was undone stays for its reviews, as no white cell, and is never shown."""

for _name, _condition, _columns in (
    ("ix_cells_waiting", PENDING, (CellRow.confidence, CellRow.id)),
    ("ix_cells_waiting_type", PENDING, (CellRow.type, CellRow.confidence, CellRow.id)),
    ("ix_cells_reviewed", REVIEWED, (CellRow.reviewer, CellRow.confidence, CellRow.id)),
):
    Index(_name, *_columns, sqlite_where=_condition, postgresql_where=_condition)


DRAFT_SAMPLES = (
    select(SampleRow.id)
    .join(PatientRow, PatientRow.id == SampleRow.patient_id)
    .where(PatientRow.draft_id.is_not(None))
)
DRAFT_FIELDS = select(FieldRow.id).where(FieldRow.sample_id.in_(DRAFT_SAMPLES))
"""Of all drafts: lists, counts and queues leave these out."""


class ReviewRow(Base):
    """One decision on one cell. A trigger forbids changing it, and deleting it but for erasure."""

    __tablename__ = "reviews"
    __table_args__ = (
        Index(None, "cell_id", "id"),
        Index(None, "reviewer", "cell_id"),
        _AUTOINCREMENT,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    cell_id: Mapped[int] = mapped_column(ForeignKey("cells.id"))
    reviewer: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime]
    label: Mapped[str | None] = mapped_column(ReviewLabel)
    comment: Mapped[str] = mapped_column(Text)
    action: Mapped[ReviewAction] = mapped_column(String(16), server_default="label")
    undoes: Mapped[int | None]
    """Id of the review that this one takes back."""
    changed: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """Attributes of the cell that changed, each with its value before and after; None in reviews
    stored before this was kept."""

    @property
    def box_before(self) -> Box | None:
        """The cell's box before; None where it stayed, and for a new cell."""
        return self._box(0)

    @property
    def box(self) -> Box | None:
        """The cell's box after; None where it stayed."""
        return self._box(1)

    def _box(self, side: int) -> Box | None:
        values = (self.changed or {}).get("box", (None, None))[side]
        return None if values is None else Box(*values)


class SignatureRow(Base):
    """A signature; it is void once the sample was changed or opened again."""

    __tablename__ = "signatures"
    __table_args__ = (Index(None, "sample_id", "id"), _AUTOINCREMENT)

    id: Mapped[int] = mapped_column(primary_key=True)
    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"))
    reviewer: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime]
    void: Mapped[bool] = mapped_column(default=False)
    conclusion: Mapped[str] = mapped_column(Text, server_default="")
    """The text that was signed; empty when there was none."""


class CommentRow(Base):
    """A remark on a case."""

    __tablename__ = "comments"
    __table_args__ = (Index(None, "sample_id", "id"), _AUTOINCREMENT)

    id: Mapped[int] = mapped_column(primary_key=True)
    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"))
    author: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime]
    text: Mapped[str] = mapped_column(Text)
    slide: Mapped[str | None] = mapped_column(String(64), index=True)
    """Id of the slide that `place` is in."""
    place: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """As `Comment.place`."""


class UnfinishedTextRow(Base):
    """A text that a user is still writing on a case; see `core.cases.unfinished`."""

    __tablename__ = "unfinished_texts"
    __table_args__ = (
        CheckConstraint("kind IN ('conclusion', 'comment')", name="kind"),
        UniqueConstraint("sample_id", "author", "kind"),
        _AUTOINCREMENT,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"))
    author: Mapped[str | None] = mapped_column(String(200))
    """None once the user was removed: another user may get the name."""
    kind: Mapped[TextKind] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(Text)
    version: Mapped[int]
    """Grows with every text that is kept; the first has 1."""
    at: Mapped[datetime]


class LinkRow(Base):
    """A link that opens one case. The token itself is nowhere, only its SHA-256."""

    __tablename__ = "links"
    __table_args__ = (Index(None, "sample_id", "id"), _AUTOINCREMENT)

    id: Mapped[int] = mapped_column(primary_key=True)
    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    author: Mapped[str] = mapped_column(String(200))
    made: Mapped[datetime]
    expires: Mapped[datetime]
    revoked: Mapped[datetime | None]


class TokenRow(Base):
    """A token for the API. The token itself is nowhere, only its SHA-256."""

    __tablename__ = "tokens"
    __table_args__ = (
        CheckConstraint("role IN ('viewer', 'reviewer', 'admin')", name="role"),
        _AUTOINCREMENT,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    user: Mapped[str] = mapped_column("person", ForeignKey("people.name"))
    label: Mapped[str] = mapped_column(String(100))
    role: Mapped[Role] = mapped_column(String(16))
    """What it may do at most; less when the user's role is lower."""
    made: Mapped[datetime]
    expires: Mapped[datetime]
    last_used: Mapped[datetime | None]
    revoked: Mapped[datetime | None]


class AuditRow(Base):
    """One entry of the audit trail. Triggers forbid changing and deleting it.

    It refers to patients and samples by bare id, without foreign key: it outlives them.
    """

    __tablename__ = "audit"
    __table_args__ = (Index(None, "patient_id", "id"), Index(None, "sample_id", "id"))

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = synonym("id")
    at: Mapped[datetime]
    user: Mapped[str] = mapped_column("person", String(200))
    action: Mapped[str] = mapped_column(String(64))
    patient_id: Mapped[int | None]
    sample_id: Mapped[int | None]
    details: Mapped[dict[str, Any]]
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


class RangesRow(Base):
    """A version of the laboratory's table of reference ranges. The last one counts."""

    __tablename__ = "reference_ranges"
    __table_args__ = _AUTOINCREMENT

    id: Mapped[int] = mapped_column(primary_key=True)
    user: Mapped[str] = mapped_column("person", String(200))
    at: Mapped[datetime]
    lines: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    """Columns of `core.domain.reference_ranges.ReferenceRange`; None: the file counts again."""


class ClassTestRow(Base):
    """A test that a teacher made. The token of its link is nowhere, only its SHA-256."""

    __tablename__ = "class_tests"
    __table_args__ = _AUTOINCREMENT

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    title: Mapped[str] = mapped_column(String(100))
    author: Mapped[str] = mapped_column(String(200), index=True)
    rules: Mapped[dict[str, Any]]
    questions: Mapped[list[Any]] = mapped_column(JSON)
    """As `core.teaching.quiz.Question`, the same for all learners."""
    made: Mapped[datetime]
    expires: Mapped[datetime]
    closed: Mapped[datetime | None]


class LearnerRow(Base):
    """Somebody who takes quizzes: a user, or a name with a secret that only they know."""

    __tablename__ = "learners"
    __table_args__ = _AUTOINCREMENT

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    user: Mapped[str | None] = mapped_column("person", ForeignKey("people.name"), unique=True)
    secret_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    """SHA-256; None for a user, who signs in."""
    test_id: Mapped[int | None] = mapped_column(ForeignKey("class_tests.id"), index=True)
    """The test whose link they came by."""
    made: Mapped[datetime] = mapped_column(index=True)


class AttemptRow(Base):
    """A quiz that a learner began."""

    __tablename__ = "attempts"
    __table_args__ = _AUTOINCREMENT

    id: Mapped[int] = mapped_column(primary_key=True)
    learner_id: Mapped[int] = mapped_column(ForeignKey("learners.id"), index=True)
    test_id: Mapped[int | None] = mapped_column(ForeignKey("class_tests.id"), index=True)
    rules: Mapped[dict[str, Any]]
    questions: Mapped[list[Any]] = mapped_column(JSON)
    started: Mapped[datetime]
    asked: Mapped[datetime | None]
    """When the question that is open was first shown."""
    finished: Mapped[datetime | None]


class AnswerRow(Base):
    """An answer, kept as it is given."""

    __tablename__ = "answers"
    __table_args__ = (UniqueConstraint("attempt_id", "number"), _AUTOINCREMENT)

    id: Mapped[int] = mapped_column(primary_key=True)
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempts.id"))
    number: Mapped[int]
    """In the attempt, from 1."""
    question: Mapped[int]
    """Place of the question, from 0."""
    given: Mapped[str | None] = mapped_column(String(32))
    """None: of a single cell that time ran out, of a field that it was counted."""
    seconds: Mapped[float]
    at: Mapped[datetime]


class RepetitionRow(Base):
    """A cell that a learner missed, and when it comes back."""

    __tablename__ = "repetitions"
    __table_args__ = (UniqueConstraint("learner_id", "item"), _AUTOINCREMENT)

    id: Mapped[int] = mapped_column(primary_key=True)
    learner_id: Mapped[int] = mapped_column(ForeignKey("learners.id"))
    item: Mapped[str] = mapped_column(String(200))
    question: Mapped[dict[str, Any]]
    due: Mapped[datetime]
    card: Mapped[dict[str, Any]]
    """Of the scheduler FSRS."""


class SlideCountRow(Base):
    """A count in a slide of the server's folders. `core.slides.count_store` reads and writes it."""

    __tablename__ = "slide_counts"
    __table_args__ = (UniqueConstraint("slide", "version"), _AUTOINCREMENT)

    id: Mapped[int] = mapped_column(primary_key=True)
    slide: Mapped[str] = mapped_column(String(64))
    version: Mapped[str] = mapped_column(String(64))
    """Of the file: a slide that changed has another count."""
    models: Mapped[dict[str, Any]]
    """Versions of the models that analysed the tiles, by name."""
    used: Mapped[datetime]


class SlideTilesRow(Base):
    """What was found in some tiles of a slide."""

    __tablename__ = "slide_tiles"
    __table_args__ = _AUTOINCREMENT

    id: Mapped[int] = mapped_column(primary_key=True)
    count_id: Mapped[int] = mapped_column(ForeignKey("slide_counts.id"), index=True)
    results: Mapped[str] = mapped_column(Text)
    """JSON of `core.slides.analysis.TileResult`, compressed by zlib, in base64."""


class SlideLabelRow(Base):
    """How a reviewer named a cell of a count that is not saved to a patient yet."""

    __tablename__ = "slide_labels"
    __table_args__ = _AUTOINCREMENT

    id: Mapped[int] = mapped_column(primary_key=True)
    count_id: Mapped[int] = mapped_column(ForeignKey("slide_counts.id"), index=True)
    cell: Mapped[dict[str, Any]]
    """As the model has it."""
    label: Mapped[str] = mapped_column(String(32))
    reviewer: Mapped[str] = mapped_column(String(200))
    role: Mapped[Role] = mapped_column(String(16))
    at: Mapped[datetime]
