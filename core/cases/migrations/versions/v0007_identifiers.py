"""Identifiers and names of patients are normalised; those that fall together are left as they are.

Two entries whose identifiers look alike may be two people: an admin merges them on the page
Settings. The audit trail tells of both.
"""

import hashlib
import json
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from core.cases.names import JOINERS, look, searchable

revision = "0007"
down_revision = "0006"

_PATIENTS = sa.table(
    "patients",
    sa.column("id", sa.Integer()),
    sa.column("identifier", sa.String()),
    sa.column("name", sa.String()),
    sa.column("search", sa.Text()),
)
_AUDIT = sa.table(
    "audit",
    sa.column("id", sa.Integer()),
    sa.column("at", sa.DateTime()),
    sa.column("person", sa.String()),
    sa.column("action", sa.String()),
    sa.column("patient_id", sa.Integer()),
    sa.column("sample_id", sa.Integer()),
    sa.column("details", sa.JSON()),
    sa.column("previous", sa.String()),
    sa.column("hash", sa.String()),
)


def upgrade() -> None:
    """Normalise every patient whose identifier stays alone in its form."""
    rows = op.get_bind().execute(sa.select(_PATIENTS).order_by(_PATIENTS.c.id)).all()
    alike = defaultdict(list)
    for row in rows:
        alike[look(row.identifier)].append(row.id)
    for row in rows:
        seen = look(row.identifier)
        # An identifier of characters that nobody sees is left for a person to correct.
        identifier = seen if seen and len(alike[seen]) == 1 else row.identifier
        name = None if row.name is None else look(row.name, JOINERS) or None
        search = f"{searchable(identifier)}\n{searchable(name or '')}"
        values = {"identifier": identifier, "name": name, "search": search}
        changed = [key for key, value in values.items() if getattr(row, key) != value]
        if changed:
            op.execute(sa.update(_PATIENTS).where(_PATIENTS.c.id == row.id).values(values))
        if changed not in ([], ["search"]):
            _record("normalise patient", row.id, {"changed": changed})
    for ids in alike.values():
        for patient_id in ids if len(ids) > 1 else ():
            _record("patients look alike", patient_id, {"patients": ids})


def _record(action: str, patient_id: int, details: dict[str, Any]) -> None:
    """Append an entry to the audit trail as `core.cases.audit` did at this step."""
    connection = op.get_bind()
    last = connection.execute(sa.select(_AUDIT).order_by(_AUDIT.c.id.desc()).limit(1)).first()
    at = datetime.now(UTC)
    number, previous = (last.id + 1, last.hash) if last else (1, 64 * "0")
    content = (number, at.isoformat(), "migration", action, patient_id, None, details, previous)
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    connection.execute(
        sa.insert(_AUDIT).values(
            id=number,
            at=at.replace(tzinfo=None),
            person="migration",
            action=action,
            patient_id=patient_id,
            sample_id=None,
            details=details,
            previous=previous,
            hash=hashlib.sha256(text.encode()).hexdigest(),
        )
    )
