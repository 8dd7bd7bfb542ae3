"""Texts that users are still writing on a case: a conclusion to be signed, a comment to be added.

They are no part of the case. No report and no export holds them: a conclusion is signed with
`core.cases.signing.sign`, a comment is added with `core.cases.sharing.comment`.

Everyone has a text of their own, so that nobody overwrites another's. Two windows of one user are
told apart by the version that each has seen.
"""

from datetime import UTC, datetime

from sqlalchemy import select

from core.cases.database import Database
from core.cases.mappers import record_of
from core.cases.names import checked_comment
from core.cases.orm import UnfinishedTextRow
from core.cases.records import Role, TextKind, UnfinishedText, User
from core.cases.samples import named_sample_row
from core.cases.users import require

_ROLES: dict[TextKind, Role] = {"conclusion": "reviewer", "comment": "viewer"}
"""Who may write such a text."""


def unfinished_texts(
    database: Database, sample_id: int, kind: TextKind
) -> tuple[UnfinishedText, ...]:
    """Return the unfinished texts of all users on a case, the first begun first."""
    with database.reading() as session:
        rows = session.scalars(
            select(UnfinishedTextRow)
            .where(UnfinishedTextRow.sample_id == sample_id, UnfinishedTextRow.kind == kind)
            .order_by(UnfinishedTextRow.id)
        )
        return tuple(record_of(UnfinishedText, row) for row in rows)


def keep_text(  # noqa: PLR0913, PLR0917 - whose text, and which
    database: Database, user: User, sample_id: int, kind: TextKind, text: str, seen: int
) -> UnfinishedText:
    """Keep a text as its author left it; return what is kept now.

    `seen` is the version that it was written upon, 0 for none. Where another window of the user has
    kept a later one, that one stays and is returned. Raises NotAllowedError, NotFoundError,
    UnnamedCaseError, and InvalidEntryError for a text that is too long.
    """
    require(user, _ROLES[kind])
    checked_comment(text, kind)
    with database.writing() as session:
        named_sample_row(session, sample_id)
        row = session.scalar(
            select(UnfinishedTextRow).where(
                UnfinishedTextRow.sample_id == sample_id,
                UnfinishedTextRow.author == user.name,
                UnfinishedTextRow.kind == kind,
            )
        )
        if row is None:
            row = UnfinishedTextRow(sample_id=sample_id, author=user.name, kind=kind, version=seen)
            session.add(row)
        if row.version == seen:
            row.text, row.at, row.version = text, datetime.now(UTC), seen + 1
            session.flush()
        return record_of(UnfinishedText, row)
