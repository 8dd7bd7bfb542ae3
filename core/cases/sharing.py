"""Comments on a case, and links that open one case for reading and commenting.

A link's token is random and shown once; the database keeps its SHA-256, so that a copy of the
database opens nothing.
"""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.cases import audit
from core.cases.database import Database, count, existing
from core.cases.mappers import record_of
from core.cases.names import checked_comment, checked_name
from core.cases.orm import DRAFT_SAMPLES, AuditRow, CommentRow, FieldRow, LinkRow, SampleRow
from core.cases.records import Comment, LabelledCell, Link, PlacedComment, User
from core.cases.samples import named_sample_row, sample_row
from core.cases.users import require
from core.domain.taxonomy import CELL_TYPES, NOT_A_WHITE_CELL, label_name
from core.errors import InvalidEntryError, LinkError, NotFoundError

LINK_DAYS = 30
_TOKEN_BYTES = 32
MOST_BY_LINK = 500
"""Comments and opinions on cells that visitors can add by one link."""
_LONGEST_AUTHOR = 100


def comment(
    database: Database,
    user: User,
    sample_id: int,
    text: str,
    place: Mapping[str, Any] | None = None,
) -> Comment:
    """Add a comment to a case, signed or not; `place` as in `Comment`.

    Raises NotFoundError, InvalidEntryError.
    """
    require(user, "viewer")
    with database.writing() as session:
        return _add_comment(session, sample_id, user.name, text, user.name, place)


def comments_on_slide(database: Database, slide: str) -> list[PlacedComment]:
    """Return the comments at places of the slide with this id, in their order."""
    with database.reading() as session:
        rows = session.scalars(
            select(CommentRow).where(CommentRow.slide == slide).order_by(CommentRow.id)
        )
        return [PlacedComment(row.sample_id, record_of(Comment, row)) for row in rows]


def samples_of_files(database: Database, beginning: str) -> list[int]:
    """Return the samples, the last first, with a field whose file name begins so; no drafts."""
    with database.reading() as session:
        found = session.scalars(
            select(FieldRow.sample_id)
            .where(
                FieldRow.file.startswith(beginning, autoescape=True),
                FieldRow.sample_id.not_in(DRAFT_SAMPLES),
            )
            .distinct()
            .order_by(FieldRow.sample_id.desc())
        )
        return list(found)


def share(
    database: Database, user: User, sample_id: int, days: int = LINK_DAYS
) -> tuple[Link, str]:
    """Make a link to a case; return it with its token, which is shown once.

    Raises NotAllowedError, NotFoundError, and InvalidEntryError for less than a day.
    """
    require(user, "reviewer")
    if days < 1:
        raise InvalidEntryError("A link is valid for at least one day.")
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    now = datetime.now(UTC)
    with database.writing() as session:
        sample = named_sample_row(session, sample_id)
        row = LinkRow(
            sample_id=sample_id,
            token_hash=_hash(token),
            author=user.name,
            made=now,
            expires=now + timedelta(days=days),
        )
        session.add(row)
        session.flush()
        _record(session, user.name, "share", sample, link=row.id)
        return record_of(Link, row), token


def revoke(database: Database, user: User, link_id: int) -> None:
    """Revoke a link. Raises NotAllowedError, NotFoundError."""
    require(user, "reviewer")
    with database.writing() as session:
        row = existing(session, LinkRow, link_id, "link")
        row.revoked = row.revoked or datetime.now(UTC)
        _record(session, user.name, "revoke link", sample_row(session, row.sample_id), link=link_id)


def links(database: Database, sample_id: int) -> tuple[Link, ...]:
    """Return all links to a case, expired and revoked ones too."""
    with database.reading() as session:
        rows = session.scalars(
            select(LinkRow).where(LinkRow.sample_id == sample_id).order_by(LinkRow.id)
        )
        return tuple(record_of(Link, row) for row in rows)


def follow(database: Database, token: str) -> int:
    """Return the id of the sample that a token opens. Raises LinkError."""
    with database.reading() as session:
        return _open(session, token).sample_id


def visit(database: Database, token: str) -> int:
    """Return the id of the sample that a token opens, and audit that its link was visited.

    Raises LinkError.
    """
    with database.reading() as session:
        link = _open(session, token)
        sample = sample_row(session, link.sample_id)
    about = {"patient_id": sample.patient_id, "sample_id": sample.id}
    audit.record_access(database, f"link {link.id}", "visit link", **about, link=link.id)
    return sample.id


def comment_by_link(database: Database, token: str, author: str, text: str) -> Comment:
    """Add a comment of a visitor, by the name they give.

    Raises LinkError, and InvalidEntryError also when the link has had its number of comments.
    """
    name = checked_name(author, "name")
    if not 0 < len(name) <= _LONGEST_AUTHOR:
        raise InvalidEntryError(f"Give your name, in up to {_LONGEST_AUTHOR} characters.")
    with database.writing() as session:
        link = _open(session, token)
        _check_room(session, link)
        return _add_comment(session, link.sample_id, f"{name} (by link)", text, f"link {link.id}")


def opinion_by_link(  # noqa: PLR0913 - the last two by name
    database: Database, token: str, author: str, cell: LabelledCell, *, label: str, remark: str = ""
) -> Comment:
    """Add a visitor's opinion on a cell as a comment; no label is changed. Raises as a comment."""
    if label != NOT_A_WHITE_CELL and label not in CELL_TYPES:
        raise ValueError(f"{label!r} is no cell type")
    with database.reading() as session:
        link = _open(session, token)
        field = existing(session, FieldRow, cell.field_id, "field")
        if field.sample_id != link.sample_id:
            raise NotFoundError("cell")
    text = f"Opinion on cell {cell.name}: {label_name(label)}. {remark}"
    return comment_by_link(database, token, author, text)


def _check_room(session: Session, link: LinkRow) -> None:
    by_link = select(AuditRow.id).where(
        AuditRow.sample_id == link.sample_id,
        AuditRow.user == f"link {link.id}",
        AuditRow.action == "comment",
    )
    if count(session, by_link) >= MOST_BY_LINK:
        raise InvalidEntryError(
            f"This link has taken {MOST_BY_LINK} comments, its limit. Ask for a new one."
        )


def _open(session: Session, token: str) -> LinkRow:
    row = session.scalars(select(LinkRow).where(LinkRow.token_hash == _hash(token))).first()
    if row is None or row.revoked is not None or row.expires <= datetime.now(UTC):
        raise LinkError
    return row


def _add_comment(  # noqa: PLR0913, PLR0917 - a comment and who is audited for it
    session: Session,
    sample_id: int,
    author: str,
    text: str,
    who: str,
    place: Mapping[str, Any] | None = None,
) -> Comment:
    text = checked_comment(text)
    if not text:
        raise InvalidEntryError("The comment is empty.")
    sample = named_sample_row(session, sample_id)
    row = CommentRow(
        sample_id=sample_id,
        author=author,
        at=datetime.now(UTC),
        text=text,
        slide=place["slide"] if place else None,
        place=dict(place) if place else None,
    )
    session.add(row)
    session.flush()
    _record(session, who, "comment", sample, comment=row.id)
    return record_of(Comment, row)


def _record(session: Session, who: str, action: str, sample: SampleRow, **details: int) -> None:
    audit.record(session, who, action, patient_id=sample.patient_id, sample_id=sample.id, **details)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
