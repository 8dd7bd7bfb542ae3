"""The audit trail: who did what and when, each entry chained to the one before by its hash.

Entries name patients by id only, so they may stay when a patient is deleted. The chain shows a
changed, removed or slipped-in entry. Entries cut off its end leave a shorter chain that is whole,
and so does writing all of it anew: `core.cases.heads` keeps what shows that too.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.cases.database import AUDIT_HEAD, Database, count, get_database
from core.cases.heads import HeadsError, read_heads, read_public_key
from core.cases.mappers import record_of
from core.cases.orm import AuditRow
from core.cases.records import Page
from core.errors import StoreReadOnlyError
from core.settings import get_settings

PAGE = 50
VIEW_LASTS = timedelta(minutes=15)
"""Views of the same case by the same user within this time count as one."""
BEGINNING = 64 * "0"
"""What the first entry has for the hash before it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An action of a user."""

    number: int
    at: datetime
    """UTC."""
    user: str
    action: str
    patient_id: int | None
    sample_id: int | None
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of checking the chain."""

    entries: int
    """Sound entries, counted from the first."""
    last_hash: str
    broken: int | None
    """Number of the first entry that is not what was written; None when all are."""
    cut_off: int | None = None
    """Number of the last entry that a head names, when there are fewer entries; else None."""

    @property
    def whole(self) -> bool:
        """All entries are there and as they were written."""
        return self.broken is None and self.cut_off is None


def record(
    session: Session,
    user: str,
    action: str,
    *,
    patient_id: int | None = None,
    sample_id: int | None = None,
    **details: Any,
) -> datetime:
    """Append an entry in the transaction of the change it records, and return its time.

    `details` hold ids, labels and numbers; never a patient's name, nor text that a user wrote.
    """
    last = session.scalars(select(AuditRow).order_by(AuditRow.id.desc()).limit(1)).first()
    entry = AuditRow(
        id=last.id + 1 if last else 1,
        at=datetime.now(UTC),
        user=user,
        action=action,
        patient_id=patient_id,
        sample_id=sample_id,
        details=details,
        previous=last.hash if last else BEGINNING,
    )
    entry.hash = _hash(entry)
    session.add(entry)
    session.flush()
    session.info[AUDIT_HEAD] = entry.id, entry.hash
    return entry.at


def record_view(
    database: Database,
    user: str,
    action: str,
    *,
    patient_id: int | None = None,
    sample_id: int | None = None,
) -> None:
    """Record that a user saw a patient, a case or a list of them, once within `VIEW_LASTS`.

    A store that can only be read keeps no such record. Raises StoreUnavailableError.
    """
    seen = {"patient_id": patient_id, "sample_id": sample_id}
    recent = select(AuditRow.id).where(AuditRow.at > datetime.now(UTC) - VIEW_LASTS)
    with database.reading() as session:
        if session.scalar(recent.filter_by(user=user, action=action, **seen).limit(1)):
            return
    record_access(database, user, action, **seen)


def record_access(database: Database, user: str, action: str, **details: Any) -> None:
    """Record that a user took something out of the database, such as a report.

    `details` as those of `record`, with `patient_id` and `sample_id`. A store that can only be read
    keeps no such record. Raises StoreUnavailableError.
    """
    with suppress(StoreReadOnlyError), database.writing() as session:
        record(session, user, action, **details)


def history(database: Database, sample_id: int) -> tuple[Entry, ...]:
    """Return the entries of a case, the oldest first."""
    with database.reading() as session:
        rows = session.scalars(
            select(AuditRow).where(AuditRow.sample_id == sample_id).order_by(AuditRow.id)
        )
        return tuple(map(_entry, rows))


def latest(database: Database, *, offset: int = 0, limit: int = PAGE) -> Page[Entry]:
    """Return a page of the whole trail, the newest first."""
    with database.reading() as session:
        total = count(session, select(AuditRow.id))
        rows = session.scalars(
            select(AuditRow).order_by(AuditRow.id.desc()).offset(offset).limit(limit)
        )
        return Page(tuple(map(_entry, rows)), total)


def verify(database: Database, heads: Mapping[int, str] | None = None) -> Verification:
    """Check the whole chain, and against `heads`; the result names the first entry that is wrong.

    `heads` are hashes by the numbers of their entries, as `read_heads` returns them.
    """
    with database.reading() as session:
        return verify_in(session, heads or {})


def verify_in(session: Session, heads: Mapping[int, str]) -> Verification:
    """As `verify`, within a session."""
    number, previous = 0, BEGINNING
    entries = session.scalars(
        select(AuditRow).order_by(AuditRow.id).execution_options(yield_per=1000)
    )
    for entry in entries:
        fits = entry.id == number + 1 and entry.previous == previous
        fits = fits and entry.hash == _hash(entry) == heads.get(entry.id, entry.hash)
        if not fits:
            return Verification(number, previous, broken=number + 1)
        number, previous = entry.id, entry.hash
    last = max(heads, default=0)
    return Verification(number, previous, broken=None, cut_off=last if last > number else None)


_entry = partial(record_of, Entry)


def _hash(entry: AuditRow) -> str:
    about = entry.user, entry.action, entry.patient_id, entry.sample_id, entry.details
    content = (entry.id, entry.at.isoformat(), *about, entry.previous)
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe `python -m core audit`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("verify", help="check the chain of entries")
    add = partial(check.add_argument, type=Path)
    add("--heads", metavar="FILE", help="heads to check against (the setting's)")
    add("--key", metavar="PUBLIC.pem", help="public key of the heads' signatures")
    actions.add_parser("head", help="print number and hash of the last entry, signed with the key")


def run(options: argparse.Namespace) -> int:
    """Check the chain and print the result, or print its head.

    Returns 0 when the chain is whole, 1 when it or a head is not.
    """
    database = get_database()
    if options.action == "head":
        found = verify(database)
        if found.whole:
            sys.stdout.write(database.heads.line(found.entries, found.last_hash))
            return 0
        return _report(found)
    file = options.heads or get_settings().audit_heads
    key = read_public_key(options.key) if options.key else database.heads.public_key
    try:
        heads = {} if file is None else read_heads(file, key)
    except HeadsError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    return _report(verify(database, heads))


def _report(found: Verification) -> int:
    if found.broken is not None:
        text = f"The audit trail is broken at entry {found.broken:,}."
    elif found.cut_off is not None:
        text = (
            f"The audit trail ends at entry {found.entries:,}, but its heads name entry "
            f"{found.cut_off:,}: entries were cut off, or an older backup was restored."
        )
    else:
        text = f"The audit trail is whole: {found.entries:,} entries, last hash {found.last_hash}."
    sys.stdout.write(f"{text}\n")
    return 0 if found.whole else 1
