"""Labels and boxes of cells: each decision is a new review, and the last one of a cell counts.

A false cell gets the label `NOT_A_WHITE_CELL`. A review keeps what it changed of its cell, so that
undoing, which appends a review too, restores exactly that. Nobody takes back a decision on which
a later one was made.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.cases.database import Database, count, existing
from core.cases.mappers import (
    LABELLED,
    labelled_values,
    prediction_values,
    record_of,
    sample_of,
)
from core.cases.names import checked_comment
from core.cases.orm import (
    DRAFT_FIELDS,
    IN_FIELD,
    REVIEWED,
    CellRow,
    FieldRow,
    PatientRow,
    ReviewRow,
    SampleRow,
)
from core.cases.records import (
    CountOrigin,
    LabelledCell,
    MissedCell,
    NewField,
    NewLabel,
    Review,
    ReviewAction,
    Sample,
    SampleDetails,
    User,
)
from core.cases.samples import (
    check_details,
    count_holder,
    encode_all,
    insert_sample,
    record_edit,
    sample_to_edit,
)
from core.cases.users import require
from core.domain.boxes import Box, image_box
from core.domain.results import Cell
from core.domain.taxonomy import CELL_TYPES, NOT_A_WHITE_CELL
from core.errors import CountSavedError, InvalidEntryError, NotFoundError

Done = tuple[Sample, tuple[Review, ...]]
"""The sample in its next version, and the reviews that were appended."""
LEAST_SIDE = 8
"""Pixels a side of the smallest box that a user may draw."""


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
        done = [_label(cell, user, labels[cell.id], comment) for cell in cells]
        reviews, details = _append(session, done)
        return record_edit(session, user, row, "label cells", **details), reviews


def save_slide_count(  # noqa: PLR0913, PLR0917 - a sample and its labels
    database: Database,
    user: User,
    patient_id: int,
    details: SampleDetails,
    fields: Sequence[NewField],
    labels: Sequence[NewLabel],
    origin: CountOrigin,
) -> Sample:
    """Save the count of a slide as a sample with the labels that reviewers gave, or neither.

    Each label becomes a review by its reviewer, in their order. Raises as `save_sample`,
    CountSavedError when another sample than the known one holds the count, NotFoundError for a
    label of no white cell, and ValueError for no label.
    """
    require(user, "reviewer")
    check_details(details)
    for new in labels:
        require(new.user, "reviewer")
        _check(new.label)
    images = list(zip(fields, encode_all(fields), strict=True))
    with database.writing() as session:
        holder = count_holder(session, origin.slide, origin.version)
        if holder is not None and holder.id != origin.known:
            raise CountSavedError(holder.id)
        row, ids = insert_sample(database, session, user, patient_id, details, images)
        row.slide, row.slide_version = origin.slide, origin.version
        cells = {
            (cell.field_id, cell.number): cell
            for cell in session.scalars(select(CellRow).where(CellRow.field_id.in_(ids)))
        }
        for reviewer, given in groupby(labels, key=lambda new: new.user):
            named = [(cells.get((ids[new.field], new.number)), new.label) for new in given]
            found = [(cell, label) for cell, label in named if cell is not None]
            if len(found) != len(named):
                raise NotFoundError("cell")
            done = [_label(cell, reviewer, label) for cell, label in found]
            _, audited = _append(session, done)
            record_edit(session, reviewer, row, "label cells", **audited)
        return sample_of(row)


def undo(database: Database, user: User, seen: Sample, reviews: Iterable[int]) -> Done:
    """Take reviews back: their cells become what they were before.

    A cell that they added is gone again. Raises as `label_cells`, and InvalidEntryError when one of
    the cells was changed since: that decision is not undone unseen.
    """
    require(user, "reviewer")
    wanted = tuple(reviews)
    with database.writing() as session:
        row = sample_to_edit(session, seen)
        undone = session.scalars(
            select(ReviewRow).where(ReviewRow.id.in_(wanted)).order_by(ReviewRow.id.desc())
        ).all()
        if len(undone) != len(wanted):
            raise NotFoundError("review")
        _check_last(session, user, undone)
        cells = {c.id: c for c in _cells(session, row.id, {one.cell_id for one in undone})}
        done = [_restore(session, user, one, cells[one.cell_id]) for one in undone]
        appended, details = _append(session, done)
        return record_edit(session, user, row, "undo reviews", undone=wanted, **details), appended


def add_cell(database: Database, user: User, seen: Sample, missed: MissedCell) -> Done:
    """Add a white cell that the model missed, with the user's label.

    A box that reaches over the edge of the image ends there. Raises as `label_cells`, and as
    `checked_box`.
    """
    require(user, "reviewer")
    _check(missed.label)
    with database.writing() as session:
        row = sample_to_edit(session, seen)
        field = existing(session, FieldRow, missed.field_id, "field")
        if field.sample_id != row.id:
            raise NotFoundError("field")
        box = missed.box.within(image_box(field.width, field.height))
        if box is None:
            raise InvalidEntryError("The cell lies outside the image. Draw its box on the field.")
        cell = CellRow(
            origin="person",
            box=checked_box(box, field.width, field.height),
            status="uncertain",
            confidence=1.0,
            detection_score=1.0,
            label=missed.label,
            reviewer=user.name,
        )
        reviews, details = _append(session, [_add(session, user, field, cell, "add")])
        return record_edit(session, user, row, "add cell", **details), reviews


def move_cell(database: Database, user: User, seen: Sample, cell_id: int, moved: Cell) -> Done:
    """Move a cell's box, or resize it: `moved` is the cell as the model types it in its new box.

    A reviewer's label stays, with the prediction that it was given beside. Raises as `label_cells`,
    and as `checked_box`.
    """
    require(user, "reviewer")
    with database.writing() as session:
        row = sample_to_edit(session, seen)
        (cell,) = _cells(session, row.id, [cell_id])
        field = existing(session, FieldRow, cell.field_id, "field")
        box = checked_box(moved.box, field.width, field.height)
        values = prediction_values(moved) if cell.label is None else {}
        done = _change(cell, user, "move", {"box": list(box.xywh), **values})
        reviews, details = _append(session, [done])
        return record_edit(session, user, row, "move cell", **details), reviews


def split_cell(
    database: Database, user: User, seen: Sample, cell_id: int, parts: tuple[Cell, Cell]
) -> Done:
    """Make two cells of one whose box holds both: `parts` as the model types each in its own box.

    A label that the cell had named both at once, so it is withdrawn. Raises as `move_cell`.
    """
    require(user, "reviewer")
    with database.writing() as session:
        row = sample_to_edit(session, seen)
        (cell,) = _cells(session, row.id, [cell_id])
        field = existing(session, FieldRow, cell.field_id, "field")
        first, second = (
            {"box": checked_box(part.box, field.width, field.height), **prediction_values(part)}
            for part in parts
        )
        unlabelled = {"box": list(first["box"].xywh), "label": None, "reviewer": None}
        done = _change(cell, user, "split", first | unlabelled)
        same = {"detection_score": cell.detection_score, "duplicate": cell.duplicate}
        other = CellRow(origin="person", **second, **same)
        reviews, details = _append(session, [done, _add(session, user, field, other, "split")])
        return record_edit(session, user, row, "split cell", **details), reviews


def checked_box(box: Box, width: int, height: int) -> Box:
    """Return a box that a user drew on an image of some pixels, to a tenth of a pixel.

    Raises InvalidEntryError when it is too small for a cell or not inside the image.
    """
    if min(box.width, box.height) < LEAST_SIDE:
        raise InvalidEntryError(
            f"A box of {box.width:.0f} × {box.height:.0f} pixels is too small for a cell. "
            f"Draw each side at least {LEAST_SIDE} pixels long."
        )
    left, top, right, bottom = (round(side, 1) for side in box.xyxy)
    if left < 0 or top < 0 or right > width or bottom > height:
        raise InvalidEntryError(
            f"The box reaches outside the image of {width} × {height} pixels. Draw it inside."
        )
    return Box(left, top, round(right - left, 1), round(bottom - top, 1))


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
        .where(REVIEWED, IN_FIELD, CellRow.label == label, CellRow.field_id.not_in(DRAFT_FIELDS))
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
        .where(REVIEWED, IN_FIELD, CellRow.field_id.not_in(DRAFT_FIELDS))
        .group_by(CellRow.label)
    )
    with database.reading() as session:
        return {label: number for label, number in session.execute(counted) if label is not None}


def _check(label: str) -> None:
    if label != NOT_A_WHITE_CELL and label not in CELL_TYPES:
        raise ValueError(f"{label!r} is no cell type")


def _cells(session: Session, sample_id: int, wanted: Collection[int]) -> list[CellRow]:
    """Return cells by id, in this order. Raises NotFoundError unless all are of the sample."""
    cells = session.scalars(
        select(CellRow)
        .join(FieldRow, FieldRow.id == CellRow.field_id)
        .where(CellRow.id.in_(wanted), FieldRow.sample_id == sample_id, IN_FIELD)
    )
    found = {cell.id: cell for cell in cells}
    if len(found) != len(wanted):
        raise NotFoundError("cell")
    return [found[cell_id] for cell_id in wanted]


def _check_last(session: Session, user: User, undone: Sequence[ReviewRow]) -> None:
    """Raise InvalidEntryError unless these reviews are the last of their cells not undone yet."""
    first: dict[int, int] = {}
    for review in undone:
        first[review.cell_id] = min(review.id, first.get(review.cell_id, review.id))
    later = session.scalars(
        select(ReviewRow).where(ReviewRow.cell_id.in_(first)).order_by(ReviewRow.id.desc())
    ).all()
    taken_back = {review.undoes for review in later}
    gone = taken_back | {review.id for review in undone}
    for review in later:
        if review.id > first[review.cell_id] and review.undoes is None and review.id not in gone:
            who = "You" if review.reviewer == user.name else review.reviewer
            raise InvalidEntryError(
                f"{who} changed the cell after this decision, so it is not undone. Look at the "
                "cell and correct it."
            )
    if any(r.id in taken_back or r.undoes is not None or r.changed is None for r in undone):
        raise InvalidEntryError("This decision cannot be undone. Look at the cell and correct it.")


@dataclass(frozen=True, slots=True)
class _Decision:
    """A review to be appended, and what its cell was called before; the cell has changed."""

    review: ReviewRow
    cell: CellRow
    before: str | None


def _change(
    cell: CellRow, user: User, action: ReviewAction, values: Mapping[str, Any], comment: str = ""
) -> _Decision:
    """Set attributes of a cell (its box as x, y, width, height) and keep those that changed."""
    before, changed = cell.label or cell.type, {}
    for name, value in values.items():
        was = list(cell.box.xywh) if name == "box" else getattr(cell, name)
        if was != value:
            changed[name] = [was, value]
            setattr(cell, name, Box(*value) if name == "box" else value)
    review = ReviewRow(
        cell_id=cell.id,
        reviewer=user.name,
        at=datetime.now(UTC),
        label=cell.label,
        comment=comment,
        action=action,
        changed=changed,
    )
    return _Decision(review, cell, before)


def _label(cell: CellRow, user: User, label: str, comment: str = "") -> _Decision:
    return _change(cell, user, "label", {"label": label, "reviewer": user.name}, comment)


def _add(
    session: Session, user: User, field: FieldRow, cell: CellRow, action: ReviewAction
) -> _Decision:
    """Give a new cell the next number of its field."""
    white = count(session, select(CellRow.id).where(CellRow.field_id == field.id, IN_FIELD))
    cell.field_id, cell.number = field.id, len(field.other_cells) + white + 1
    session.add(cell)
    session.flush()
    added = _change(cell, user, action, {})
    added.review.changed = {"number": [None, cell.number], "box": [None, list(cell.box.xywh)]}
    return replace(added, before=None)


def _restore(session: Session, user: User, undone: ReviewRow, cell: CellRow) -> _Decision:
    """Give a cell back what a review changed; one that it added leaves its field."""
    earlier = {name: before for name, (before, _) in (undone.changed or {}).items()}
    if "number" not in earlier:
        taken = _change(cell, user, "undo", earlier)
    else:
        number, box = cell.number, list(cell.box.xywh)
        # Counts leave out what is no white cell.
        taken = _change(
            cell,
            user,
            "undo",
            {"label": NOT_A_WHITE_CELL, "reviewer": user.name, "number": -cell.id},
        )
        taken.review.changed = {"number": [number, None], "box": [box, None]}
        session.flush()
        later = select(CellRow).where(CellRow.field_id == cell.field_id, CellRow.number > number)
        for follower in session.scalars(later.order_by(CellRow.number)):
            follower.number -= 1
            session.flush()
    taken.review.undoes = undone.id
    return taken


def _append(
    session: Session, decisions: Sequence[_Decision]
) -> tuple[tuple[Review, ...], dict[str, Any]]:
    """Append the reviews of decisions.

    Returns them, and what the audit trail keeps of them: their ids, cells and labels, and in
    `before` what the cells were called until now, by a reviewer or by the model. Where boxes
    changed, `after` has what the cells are called now, and `boxes` each box before and after;
    `typed_by` is `Cell.typed_by` where that changed.
    """
    rows = [one.review for one in decisions]
    session.add_all(rows)
    session.flush()
    details: dict[str, Any] = {
        "reviews": [(row.id, row.cell_id, row.label) for row in rows],
        "before": [one.before for one in decisions],
    }
    boxes = [(row.changed or {}).get("box") for row in rows]
    if any(boxes):
        details["boxes"] = boxes
        details["after"] = [one.cell.label or one.cell.type for one in decisions]
    if any("typed_by" in (row.changed or {}) for row in rows):
        details["typed_by"] = [one.cell.typed_by for one in decisions]
    return tuple(map(_review, rows)), details


_review = partial(record_of, Review)
