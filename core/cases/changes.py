"""What every change of a case goes through: nobody overwrites what they have not seen."""

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.cases import audit
from core.cases.mappers import sample_of
from core.cases.orm import SampleRow, SignatureRow
from core.cases.records import Sample, User
from core.errors import NotFoundError, SignedCaseError, StaleCaseError


def sample_as_seen(session: Session, seen: Sample) -> SampleRow:
    """Return the row of a sample. Raises NotFoundError, and StaleCaseError if it changed since."""
    row = session.get(SampleRow, seen.id)
    if row is None:
        raise NotFoundError("case")
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
