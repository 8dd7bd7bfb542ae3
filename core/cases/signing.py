"""From draft to reviewed to signed, and back with a reason.

A signature needs a reviewer's label on every uncertain white cell. A signed case is read-only.
"""

from datetime import UTC, datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.cases.database import Database, count
from core.cases.names import checked_comment
from core.cases.orm import CellRow, CommentRow, FieldRow, SignatureRow
from core.cases.records import Sample, User
from core.cases.samples import (
    record_change,
    sample_as_seen,
    sample_to_edit,
    signatures,
    void_signatures,
)
from core.cases.users import require
from core.errors import InvalidEntryError, SignatureError, UnreviewedCellsError
from core.settings import Settings, get_settings


def mark_reviewed(database: Database, user: User, seen: Sample) -> Sample:
    """Mark a case as reviewed.

    Raises NotAllowedError, NotFoundError, StaleCaseError, SignedCaseError, and
    UnreviewedCellsError while uncertain white cells need review.
    """
    require(user, "reviewer")
    with database.writing() as session:
        row = sample_to_edit(session, seen)
        _refuse_unreviewed(session, row.id)
        row.state = "reviewed"
        return record_change(session, user, row, "mark reviewed")


def sign(database: Database, user: User, seen: Sample, settings: Settings | None = None) -> Sample:
    """Sign a reviewed case; with the last signature that the settings ask for it is closed.

    Raises as `mark_reviewed`, and SignatureError for a draft or a second signature of one user.
    """
    require(user, "reviewer")
    settings = settings or get_settings()
    with database.writing() as session:
        row = sample_to_edit(session, seen)
        if row.state == "draft":
            raise SignatureError("The case is a draft. Mark it as reviewed, then sign it.")
        _refuse_unreviewed(session, row.id)
        signed_by = [signature.reviewer for signature in signatures(session, row.id)]
        if user.name in signed_by:
            raise SignatureError("You have signed this case. The second signature is another's.")
        session.add(SignatureRow(sample_id=row.id, reviewer=user.name, at=datetime.now(UTC)))
        if len(signed_by) + 1 >= settings.signatures:
            row.state = "signed"
            _close_cells(session, row.id, closed=True)
        return record_change(session, user, row, "sign", state=row.state)


def reopen(database: Database, user: User, seen: Sample, reason: str) -> Sample:
    """Make a reviewed or signed case a draft again; the reason is kept as a comment.

    Raises NotAllowedError, NotFoundError, StaleCaseError, InvalidEntryError without a reason, and
    SignatureError when it is a draft.
    """
    require(user, "reviewer")
    reason = checked_comment(reason)
    if not reason:
        raise InvalidEntryError("Reopening needs a reason. Say what is to be corrected.")
    with database.writing() as session:
        row = sample_as_seen(session, seen)
        if row.state == "draft":
            raise SignatureError("The case is a draft: it is open already.")
        comment = CommentRow(
            sample_id=row.id,
            author=user.name,
            at=datetime.now(UTC),
            text=f"Reopened: {reason}",
        )
        session.add(comment)
        session.flush()
        row.state = "draft"
        void_signatures(session, row.id)
        _close_cells(session, row.id, closed=False)
        return record_change(session, user, row, "reopen", comment=comment.id)


def _refuse_unreviewed(session: Session, sample_id: int) -> None:
    of_sample = select(CellRow.id).join(FieldRow, FieldRow.id == CellRow.field_id)
    is_pending = (
        FieldRow.sample_id == sample_id,
        CellRow.status == "uncertain",
        CellRow.duplicate.is_(False),
        CellRow.label.is_(None),
    )
    if pending := count(session, of_sample.where(*is_pending)):
        raise UnreviewedCellsError(pending)


def _close_cells(session: Session, sample_id: int, *, closed: bool) -> None:
    """Take the cells out of the review queue, or put them back."""
    fields = select(FieldRow.id).where(FieldRow.sample_id == sample_id)
    session.execute(update(CellRow).where(CellRow.field_id.in_(fields)).values(closed=closed))
