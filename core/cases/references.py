"""Cells that reviewers have named: to compare others with, and to learn a site's look from."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select

from core.cases.database import Database
from core.cases.orm import REVIEWED, CellRow, FieldRow
from core.domain.boxes import Box


@dataclass(frozen=True, slots=True)
class NamedCell:
    """A cell with the label its last reviewer gave it."""

    id: int
    field_id: int
    box: Box
    label: str
    micrometres_per_pixel: float | None


def named_cells(
    database: Database, label: str, limit: int, *, apart_from: int | None = None
) -> tuple[NamedCell, ...]:
    """Return cells that reviewers gave a label, those stored last first.

    `apart_from` is the id of a cell to leave out.
    """
    named = (
        select(CellRow, FieldRow.micrometres_per_pixel)
        .join(FieldRow, FieldRow.id == CellRow.field_id)
        .where(REVIEWED, CellRow.label == label)
        .order_by(CellRow.id.desc())
        .limit(limit)
    )
    if apart_from is not None:
        named = named.where(CellRow.id != apart_from)
    with database.reading() as session:
        return tuple(
            NamedCell(
                id=row.id,
                field_id=row.field_id,
                box=Box(row.x, row.y, row.width, row.height),
                label=label,
                micrometres_per_pixel=scale,
            )
            for row, scale in session.execute(named)
        )


def named_counts(database: Database) -> Mapping[str, int]:
    """Return how many cells stand under each label that reviewers gave."""
    counted = select(CellRow.label, func.count()).where(REVIEWED).group_by(CellRow.label)
    with database.reading() as session:
        return {label: number for label, number in session.execute(counted) if label is not None}
