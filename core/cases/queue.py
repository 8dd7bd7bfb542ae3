"""The review queue, possible blasts and the least confident cells first, and how labels agree."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from sqlalchemy import ColumnElement, Row, and_, case, func, select
from sqlalchemy.orm import aliased

from core.cases.database import Database, count
from core.cases.mappers import LABELLED, labelled_values, patient_of, sample_of
from core.cases.orm import (
    DRAFT_FIELDS,
    IN_FIELD,
    PENDING,
    REVIEWED,
    CellRow,
    FieldRow,
    PatientRow,
    ReviewRow,
    SampleRow,
)
from core.cases.records import Page, QueuedCell, QueueFilter
from core.domain.agreement import NAMED_OUT_OF_SCOPE
from core.domain.taxonomy import NOT_A_WHITE_CELL

PAGE = 25
Pairs = Mapping[tuple[str, str], int]
"""Number of cells by pair of labels."""


def queue(
    database: Database, wanted: QueueFilter | None = None, *, offset: int = 0, limit: int = PAGE
) -> Page[QueuedCell]:
    """Return a page of white cells: possible blasts, then others, the least confident first."""
    is_blast = and_(CellRow.type == "blast", CellRow.status != "out_of_scope")
    order = case((is_blast, 0), else_=1), CellRow.confidence, CellRow.id
    found = select(CellRow.id).where(*_conditions(wanted or QueueFilter()))
    page = found.order_by(*order).offset(offset).limit(limit).subquery()
    with database.reading() as session:
        total = count(session, found)
        rows = session.execute(
            select(*LABELLED, SampleRow, PatientRow)
            .join(page, page.c.id == CellRow.id)
            .join(FieldRow, FieldRow.id == CellRow.field_id)
            .join(SampleRow, SampleRow.id == FieldRow.sample_id)
            .join(PatientRow, PatientRow.id == SampleRow.patient_id)
            .order_by(*order)
        )
        items = tuple(
            QueuedCell(
                **labelled_values(cell, file, number, scale),
                sample=sample_of(sample),
                patient=patient_of(patient),
            )
            for cell, file, number, scale, sample, patient in rows
        )
    return Page(items, total)


def pending_counts(database: Database, within: QueueFilter) -> tuple[int, int]:
    """Count the cells pending review: uncertain or out of scope, and classified."""
    counted = (
        select(CellRow.status, func.count())
        .where(*_conditions(replace(within, unreviewed=True, uncertain=False)))
        .group_by(CellRow.status)
    )
    with database.reading() as session:
        numbers = dict(session.execute(counted).all())
    classified = numbers.pop("classified", 0)
    return sum(numbers.values()), classified


def model_agreement(database: Database, sample_id: int | None = None) -> Pairs:
    """Count (model's label, last reviewer's label) over reviewed cells that the model found.

    The model's label is its type, or `NOT_A_WHITE_CELL` for cells that it ruled out.
    """
    ruled_out = and_(CellRow.status == "out_of_scope", CellRow.type.not_in(NAMED_OUT_OF_SCOPE))
    said = case((ruled_out, NOT_A_WHITE_CELL), else_=CellRow.type).label("said")
    counted = (
        select(said, CellRow.label, func.count())
        .where(REVIEWED, CellRow.origin == "model")
        .group_by("said", CellRow.label)
    )
    if sample_id is None:
        counted = counted.where(CellRow.field_id.not_in(DRAFT_FIELDS))
    else:
        counted = counted.join(FieldRow, FieldRow.id == CellRow.field_id).where(
            FieldRow.sample_id == sample_id
        )
    with database.reading() as session:
        return _pairs(session.execute(counted))


def reviewer_agreement(database: Database, first: str, second: str) -> Pairs:
    """Count (first's label, second's label) over cells that both have labelled, by their last.

    Only labels count that were not undone; who moves a box does not label its cell.
    """
    undone = select(ReviewRow.undoes).where(ReviewRow.undoes.is_not(None))
    labelling = ReviewRow.action.in_(("label", "add")), ReviewRow.id.not_in(undone)
    last_of = {
        reviewer: select(func.max(ReviewRow.id))
        .where(ReviewRow.reviewer == reviewer, *labelling)
        .group_by(ReviewRow.cell_id)
        for reviewer in (first, second)
    }
    one, other = aliased(ReviewRow), aliased(ReviewRow)
    counted = (
        select(one.label, other.label, func.count())
        .join(other, other.cell_id == one.cell_id)
        .join(CellRow, CellRow.id == one.cell_id)
        .where(
            one.id.in_(last_of[first]),
            other.id.in_(last_of[second]),
            CellRow.field_id.not_in(DRAFT_FIELDS),
            IN_FIELD,
        )
        .group_by(one.label, other.label)
    )
    with database.reading() as session:
        return _pairs(session.execute(counted))


def _pairs(rows: Iterable[Row[str | None, str | None, int]]) -> Pairs:
    pairs: Counter[tuple[str, str]] = Counter()
    for one, other, number in rows:
        if one and other:
            pairs[one, other] += number
    return pairs


def _conditions(wanted: QueueFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [IN_FIELD]
    type_: ColumnElement[str | None] = func.coalesce(CellRow.label, CellRow.type)
    if wanted.reviewer is not None:
        conditions += [REVIEWED, CellRow.reviewer == wanted.reviewer]
    elif wanted.unreviewed:
        conditions += [PENDING, CellRow.duplicate.is_(False)]
        type_ = CellRow.type.expression
    if wanted.uncertain:
        conditions.append(CellRow.status != "classified")
    if wanted.type is not None:
        conditions.append(type_ == wanted.type)
    if wanted.lowest > 0:
        conditions.append(CellRow.confidence >= wanted.lowest)
    if wanted.highest < 1:
        conditions.append(CellRow.confidence <= wanted.highest)
    if wanted.draft_id is None:
        conditions.append(CellRow.field_id.not_in(DRAFT_FIELDS))
    else:
        of_draft = (
            select(FieldRow.id)
            .join(SampleRow, SampleRow.id == FieldRow.sample_id)
            .join(PatientRow, PatientRow.id == SampleRow.patient_id)
        )
        conditions.append(
            CellRow.field_id.in_(of_draft.where(PatientRow.draft_id == wanted.draft_id))
        )
    within = ((SampleRow.id, wanted.sample_id), (SampleRow.patient_id, wanted.patient_id))
    if named := [column == value for column, value in within if value is not None]:
        fields = select(FieldRow.id).join(SampleRow, SampleRow.id == FieldRow.sample_id)
        conditions.append(CellRow.field_id.in_(fields.where(*named)))
    return conditions
