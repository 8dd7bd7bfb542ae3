"""The audit trail: who did what and when, each entry chained to the one before by its hash.

Entries name patients by id only, so they may stay when a patient is deleted. The chain shows a
changed, removed or slipped-in entry. Entries cut off its end leave a shorter chain that is whole:
note the number and the last hash elsewhere to see that too. `verify` gives both.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.cases.database import Database, get_database
from core.cases.records import Page
from core.cases.tables import AuditRow

PAGE = 50
BEGINNING = 64 * "0"
"""What the first entry has for the hash before it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What somebody did."""

    number: int
    at: datetime
    """UTC."""
    person: str
    action: str
    patient_id: int | None
    sample_id: int | None
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verification:
    """What a walk along the chain found."""

    entries: int
    """Sound entries, counted from the first."""
    last_hash: str
    broken: int | None
    """Number of the first entry that is not what was written; None when all are."""


def record(
    session: Session,
    person: str,
    action: str,
    *,
    patient_id: int | None = None,
    sample_id: int | None = None,
    **details: Any,
) -> datetime:
    """Append an entry in the transaction of the change it tells of, and return its time.

    `details` hold ids, labels and numbers; never a patient's name, nor text that a person wrote.
    """
    last = session.scalars(select(AuditRow).order_by(AuditRow.id.desc()).limit(1)).first()
    entry = AuditRow(
        id=last.id + 1 if last else 1,
        at=datetime.now(UTC),
        person=person,
        action=action,
        patient_id=patient_id,
        sample_id=sample_id,
        details=details,
        previous=last.hash if last else BEGINNING,
    )
    entry.hash = _hash(entry)
    session.add(entry)
    session.flush()
    return entry.at


def history(database: Database, sample_id: int) -> tuple[Entry, ...]:
    """Return what was done with a case, first things first."""
    with database.reading() as session:
        rows = session.scalars(
            select(AuditRow).where(AuditRow.sample_id == sample_id).order_by(AuditRow.id)
        )
        return tuple(map(_entry, rows))


def latest(database: Database, *, offset: int = 0, limit: int = PAGE) -> Page[Entry]:
    """Return a page of the whole trail, last things first."""
    with database.reading() as session:
        total = session.scalar(select(func.count()).select_from(AuditRow)) or 0
        rows = session.scalars(
            select(AuditRow).order_by(AuditRow.id.desc()).offset(offset).limit(limit)
        )
        return Page(tuple(map(_entry, rows)), total)


def verify(database: Database) -> Verification:
    """Walk the whole chain and tell the first entry that does not fit."""
    number, previous = 0, BEGINNING
    with database.reading() as session:
        entries = session.scalars(
            select(AuditRow).order_by(AuditRow.id).execution_options(yield_per=1000)
        )
        for entry in entries:
            fits = entry.id == number + 1 and entry.previous == previous
            if not fits or entry.hash != _hash(entry):
                return Verification(number, previous, broken=number + 1)
            number, previous = entry.id, entry.hash
    return Verification(number, previous, broken=None)


def _entry(row: AuditRow) -> Entry:
    return Entry(
        number=row.id,
        at=row.at,
        person=row.person,
        action=row.action,
        patient_id=row.patient_id,
        sample_id=row.sample_id,
        details=row.details,
    )


def _hash(entry: AuditRow) -> str:
    content = (
        entry.id,
        entry.at.isoformat(),
        entry.person,
        entry.action,
        entry.patient_id,
        entry.sample_id,
        entry.details,
        entry.previous,
    )
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe `python -m core audit`."""
    parser.add_argument("what", choices=("verify",), help="check the chain of entries")


def run(_options: argparse.Namespace) -> int:
    """Check the chain and say what was found; return 0 when it is whole, else 1."""
    found = verify(get_database())
    if found.broken is None:
        text = f"The audit trail is whole: {found.entries:,} entries, last hash {found.last_hash}."
    else:
        text = f"The audit trail is broken at entry {found.broken:,}."
    sys.stdout.write(f"{text}\n")
    return 0 if found.broken is None else 1
