"""The labels of cells: each decision is a new review, and the last one of a cell counts.

A false cell gets the label `NOT_A_WHITE_CELL`. Undoing appends a review with the label from before;
None there restores the model's type.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.cases.database import Database, count, existing
from core.cases.mappers import LABELLED, labelled_values, record_of, sample_of
from core.cases.names import checked_comment
from core.cases.orm import (
    DRAFT_FIELDS,
    REVIEWED,
    CellRow,
    FieldRow,
    PatientRow,
    ReviewRow,
    SampleRow,
)
from core.cases.records import (
    LabelledCell,
    MissedCell,
    NewField,
    NewLabel,
    Review,
    Sample,
    SampleDetails,
    User,
)
from core.cases.samples import (
    check_details,
    encode_all,
    insert_sample,
    record_edit,
    sample_to_edit,
)
from core.cases.users import require
from core.domain.taxonomy import CELL_TYPES, NOT_A_WHITE_CELL
from core.errors import InvalidEntryError, NotFoundError

Done = tuple[Sample, tuple[Review, ...]]
"""The sample in its next version, and the reviews that were appended."""


def label_cells(
    database: Database,
    user: User,
    seen: Sample,
    labels: Mapping[int, str],
    comment: str = "",
) -> Done:
    """Label cells of one sample: cell id to one of `CELL_TYPES` or `NOT_A_WHITE_CELL`.

    `seen` is the sample as the user saw it. All cells get their labels, or none does. Raises
    NotAllowedError, NotFoundError, StaleCaseError, SignedCaseError, and ValueError for another
    label.
    """
    require(user, "reviewer")
    for label in labels.values():
        _check(label)
    comment = checked_comment(comment)
    with database.writing() as session:
        row = sample_to_edit(session, seen)
        cells = _cells(session, row.id, labels)
        named = [(cell, labels[cell.id]) for cell in cells]
        reviews, details = _append(session, user, named, comment)
        return record_edit(session, user, row, "label cells", **details), reviews


def save_labelled_sample(  # noqa: PLR0913, PLR0917 - a sample and its labels
    database: Database,
    user: User,
    patient_id: int,
    details: SampleDetails,
    fields: Sequence[NewField],
    labels: Sequence[NewLabel],
) -> Sample:
    """Save a new sample with the labels that reviewers gave before, in their order, or neither.

    Each label becomes a review by its reviewer. Raises as `save_sample`, NotFoundError for a label
    of no white cell, and ValueError for no label.
    """
    require(user, "reviewer")
    check_details(details)
    for new in labels:
        require(new.user, "reviewer")
        _check(new.label)
    images = list(zip(fields, encode_all(fields), strict=True))
    with database.writing() as session:
        row, ids = insert_sample(database, session, user, patient_id, details, images)
        cells = {
            (cell.field_id, cell.number): cell
            for cell in session.scalars(select(CellRow).where(CellRow.field_id.in_(ids)))
        }
        for reviewer, given in groupby(labels, key=lambda new: new.user):
            named = [(cells.get((ids[new.field], new.number)), new.label) for new in given]
            found = [(cell, label) for cell, label in named if cell is not None]
            if len(found) != len(named):
                raise NotFoundError("cell")
            _, audited = _append(session, reviewer, found, "")
            record_edit(session, reviewer, row, "label cells", **audited)
        return sample_of(row)


def undo(database: Database, user: User, seen: Sample, reviews: Iterable[int]) -> Done:
    """Take reviews back: their cells get the labels that they had before.

    A cell that a user added had none before: it is removed again. Raises as `label_cells`.
    """
    require(user, "reviewer")
    wanted = tuple(reviews)
    with database.writing() as session:
        row = sample_to_edit(session, seen)
        undone = session.scalars(
            select(ReviewRow).where(ReviewRow.id.in_(wanted)).order_by(ReviewRow.id)
        ).all()
        if len(undone) != len(wanted):
            raise NotFoundError("review")
        before = _labels_before(session, undone)
        named = [(cell, before[cell.id]) for cell in _cells(session, row.id, before)]
        appended, details = _append(session, user, named, "")
        return record_edit(session, user, row, "undo reviews", undone=wanted, **details), appended


def add_cell(database: Database, user: User, seen: Sample, missed: MissedCell) -> Done:
    """Add a white cell that the model missed, with the user's label.

    Raises as `label_cells`, and InvalidEntryError for a box outside the image.
    """
    require(user, "reviewer")
    _check(missed.label)
    with database.writing() as session:
        row = sample_to_edit(session, seen)
        field = existing(session, FieldRow, missed.field_id, "field")
        if field.sample_id != row.id:
            raise NotFoundError("field")
        x, y = missed.box.centre
        if not (0 <= x <= field.width and 0 <= y <= field.height):
            raise InvalidEntryError("The cell lies outside the image. Draw its box on the field.")
        white = count(session, select(CellRow.id).where(CellRow.field_id == field.id))
        cell = CellRow(
            field_id=field.id,
            number=len(field.other_cells) + white + 1,
            origin="person",
            box=missed.box,
            status="uncertain",
            confidence=1.0,
            detection_score=1.0,
        )
        session.add(cell)
        session.flush()
        reviews, details = _append(session, user, [(cell, missed.label)], "")
        return record_edit(session, user, row, "add cell", **details), reviews


def reviews_of(database: Database, cell_id: int, draft_id: int | None = None) -> tuple[Review, ...]:
    """Return all reviews of a cell, the oldest first; of a draft's cell with its `draft_id`."""
    with database.reading() as session:
        rows = session.scalars(
            select(ReviewRow)
            .join(CellRow, CellRow.id == ReviewRow.cell_id)
            .join(FieldRow, FieldRow.id == CellRow.field_id)
            .join(SampleRow, SampleRow.id == FieldRow.sample_id)
            .join(PatientRow, PatientRow.id == SampleRow.patient_id)
            .where(ReviewRow.cell_id == cell_id, PatientRow.draft_id.is_not_distinct_from(draft_id))
            .order_by(ReviewRow.id)
        )
        return tuple(map(_review, rows))


def labelled_cells(
    database: Database, label: str, limit: int, *, apart_from: int | None = None
) -> tuple[LabelledCell, ...]:
    """Return cells that reviewers gave a label, the last stored first.

    `apart_from` is the id of a cell to leave out.
    """
    labelled = (
        select(*LABELLED)
        .join(FieldRow, FieldRow.id == CellRow.field_id)
        .where(REVIEWED, CellRow.label == label, CellRow.field_id.not_in(DRAFT_FIELDS))
        .order_by(CellRow.id.desc())
        .limit(limit)
    )
    if apart_from is not None:
        labelled = labelled.where(CellRow.id != apart_from)
    with database.reading() as session:
        return tuple(LabelledCell(**labelled_values(*row)) for row in session.execute(labelled))


def label_counts(database: Database) -> Mapping[str, int]:
    """Return how many cells have each label that reviewers gave."""
    counted = (
        select(CellRow.label, func.count())
        .where(REVIEWED, CellRow.field_id.not_in(DRAFT_FIELDS))
        .group_by(CellRow.label)
    )
    with database.reading() as session:
        return {label: number for label, number in session.execute(counted) if label is not None}


def _check(label: str) -> None:
    if label != NOT_A_WHITE_CELL and label not in CELL_TYPES:
        raise ValueError(f"{label!r} is no cell type")


def _cells(session: Session, sample_id: int, wanted: Mapping[int, str | None]) -> list[CellRow]:
    """Return cells by id, in this order. Raises NotFoundError unless all are of the sample."""
    cells = session.scalars(
        select(CellRow)
        .join(FieldRow, FieldRow.id == CellRow.field_id)
        .where(CellRow.id.in_(wanted), FieldRow.sample_id == sample_id)
    )
    found = {cell.id: cell for cell in cells}
    if len(found) != len(wanted):
        raise NotFoundError("cell")
    return [found[cell_id] for cell_id in wanted]


def _labels_before(session: Session, undone: Iterable[ReviewRow]) -> dict[int, str | None]:
    """Return the labels that stood before each cell's first review of these, which are in order."""
    first: dict[int, int] = {}
    for review in undone:
        first.setdefault(review.cell_id, review.id)
    reviews = session.scalars(
        select(ReviewRow).where(ReviewRow.cell_id.in_(first)).order_by(ReviewRow.id)
    )
    before = {
        review.cell_id: review.label for review in reviews if review.id < first[review.cell_id]
    }
    return {cell_id: before.get(cell_id) for cell_id in first}


def _append(
    session: Session,
    user: User,
    named: Iterable[tuple[CellRow, str | None]],
    comment: str,
) -> tuple[tuple[Review, ...], dict[str, Any]]:
    """Append a review for each cell and make its label the one that counts.

    Returns the reviews, and what the audit trail keeps of them: their ids, cells and labels, and in
    `before` what the cells were called until now, by a reviewer or by the model.
    """
    at = datetime.now(UTC)
    rows, before = [], []
    for cell, wanted in named:
        before.append(cell.label or cell.type)
        label = NOT_A_WHITE_CELL if wanted is None and cell.origin == "person" else wanted
        cell.label = label
        cell.reviewer = None if label is None else user.name
        rows.append(
            ReviewRow(cell_id=cell.id, reviewer=user.name, at=at, label=label, comment=comment)
        )
    session.add_all(rows)
    session.flush()
    kept = [(row.id, row.cell_id, row.label) for row in rows]
    return tuple(map(_review, rows)), {"reviews": kept, "before": before}


_review = partial(record_of, Review)
