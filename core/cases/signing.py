"""From draft to reviewed to signed, and back with a reason.

A signature needs a reviewer's label on every uncertain white cell. A signed case is read-only. A
case with an urgent flag needs the signatures of two people, where there are two.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.cases.database import Database, count
from core.cases.names import checked_comment
from core.cases.orm import CellRow, CommentRow, FieldRow, SignatureRow, UserRow
from core.cases.records import Sample, User
from core.cases.samples import (
    load_fields,
    named_sample_row,
    record_change,
    sample_as_seen,
    sample_to_edit,
    signatures,
    void_signatures,
)
from core.cases.users import LOCAL_USER, require
from core.domain.differential import differential
from core.domain.flags import flags
from core.domain.results import FieldAnalysis
from core.errors import InvalidEntryError, SignatureError, UnreviewedCellsError
from core.settings import Settings, get_settings


def mark_reviewed(database: Database, user: User, seen: Sample) -> Sample:
    """Mark a case as reviewed.

    Raises NotAllowedError, NotFoundError, StaleCaseError, SignedCaseError, and
    UnreviewedCellsError while uncertain white cells need review.
    """
    require(user, "reviewer")
    with database.writing() as session:
        named_sample_row(session, seen.id)
        row = sample_to_edit(session, seen)
        _refuse_unreviewed(session, row.id)
        row.state = "reviewed"
        return record_change(session, user, row, "mark reviewed")


def signatures_needed(
    database: Database,
    user: User,
    analyses: Sequence[FieldAnalysis],
    settings: Settings | None = None,
) -> int:
    """Return how many people must sign a case of these fields, which the user may be one of."""
    with database.reading() as session:
        return _signatures_needed(session, user, analyses, settings or get_settings())


def sign(
    database: Database,
    user: User,
    seen: Sample,
    settings: Settings | None = None,
    *,
    conclusion: str = "",
) -> Sample:
    """Sign a reviewed case with a conclusion; with the last signature it needs it is closed.

    Raises as `mark_reviewed`, SignatureError for a draft or a second signature of one user, and
    InvalidEntryError for a conclusion that is too long.
    """
    require(user, "reviewer")
    settings = settings or get_settings()
    conclusion = checked_comment(conclusion, "conclusion")
    with database.writing() as session:
        row = sample_to_edit(session, seen)
        if row.state == "draft":
            raise SignatureError("The case is a draft. Mark it as reviewed, then sign it.")
        _refuse_unreviewed(session, row.id)
        signed_by = [signature.reviewer for signature in signatures(session, row.id)]
        if user.name in signed_by:
            raise SignatureError("You have signed this case. The second signature is another's.")
        signature = SignatureRow(
            sample_id=row.id, reviewer=user.name, at=datetime.now(UTC), conclusion=conclusion
        )
        session.add(signature)
        analyses = [stored.analysis for stored in load_fields(session, row.id)]
        if len(signed_by) + 1 >= _signatures_needed(session, user, analyses, settings):
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


def _signatures_needed(
    session: Session, user: User, analyses: Sequence[FieldAnalysis], settings: Settings
) -> int:
    wanted = settings.second_signature
    if wanted is None:
        signers = select(UserRow.name).where(UserRow.role.in_(("reviewer", "admin")))
        wanted = user.name != LOCAL_USER and count(session, signers) > 1
    found = flags(differential(analyses), percent_ranges={}, absolute_ranges={})
    is_urgent = any(flag.severity == "urgent" for flag in found)
    # One reviewer alone must not make the blasts go away that the model saw.
    overruled = any(
        cell.suggested == "blast" and cell.suggested_status != "out_of_scope"
        for analysis in analyses
        for cell in analysis.cells
    )
    return 2 if wanted and (is_urgent or overruled) else settings.signatures


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
