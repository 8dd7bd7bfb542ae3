"""The laboratory's own table of reference ranges, as admins edit it on the page Settings.

Every save is a further version; the last one counts and the others stay on record, because signed
reports name theirs. All processes that share the database share the table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.cases import audit
from core.cases.database import Database
from core.cases.orm import RangesRow
from core.cases.records import User
from core.cases.users import require
from core.domain.reference_ranges import (
    ReferenceRange,
    ReferenceRanges,
    check_lines,
    choose_laboratory,
    read_table,
)
from core.errors import StaleCaseError
from core.settings import Settings, get_settings


@dataclass(frozen=True, slots=True)
class RangesTable:
    """The table in force."""

    version: int
    """Grows with every save; 0 before the first."""
    lines: tuple[ReferenceRange, ...]
    edited: bool
    """False while the file is in force."""


def ranges_table(database: Database, settings: Settings | None = None) -> RangesTable:
    """Return the table in force: what was edited last, else the file that the settings name.

    Raises RangesError, StoreUnavailableError.
    """
    settings = settings or get_settings()
    with database.reading() as session:
        row = _last(session)
    if row is not None and row.lines is not None:
        return RangesTable(row.id, tuple(check_lines(row.lines)), edited=True)
    return RangesTable(row.id if row else 0, tuple(read_table(settings.ranges)), edited=False)


def ranges_in_force(database: Database, settings: Settings | None = None) -> ReferenceRanges:
    """Return the ranges of the laboratory that the settings name. Raises as `ranges_table`."""
    settings = settings or get_settings()
    table = ranges_table(database, settings)
    return choose_laboratory(table.lines, settings, table.version if table.edited else 0)


def save_ranges(
    database: Database,
    admin: User,
    seen: int,
    lines: Sequence[ReferenceRange],
    settings: Settings | None = None,
) -> None:
    """Store a table, as `check_lines` returns it, that the admin edited from version `seen`.

    Raises NotAllowedError, StaleCaseError, and RangesError when the table lacks the laboratory
    that the settings name.
    """
    choose_laboratory(lines, settings or get_settings())
    _write(database, admin, seen, lines)


def restore_ranges(database: Database, admin: User, seen: int) -> None:
    """Use the file again. Raises NotAllowedError, StaleCaseError."""
    _write(database, admin, seen, None)


def _write(
    database: Database, admin: User, seen: int, lines: Sequence[ReferenceRange] | None
) -> None:
    require(admin, "admin")
    with database.writing() as session:
        last = _last(session)
        if last is not None and last.id != seen:
            raise StaleCaseError(last.user, last.at)
        row = RangesRow(
            user=admin.name,
            at=datetime.now(UTC),
            lines=None if lines is None else [line.model_dump() for line in lines],
        )
        session.add(row)
        session.flush()
        action = "restore reference ranges" if lines is None else "set reference ranges"
        audit.record(session, admin.name, action, version=row.id, lines=len(lines or ()))


def _last(session: Session) -> RangesRow | None:
    return session.scalars(select(RangesRow).order_by(RangesRow.id.desc()).limit(1)).first()
