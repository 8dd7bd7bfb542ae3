from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from threading import Barrier

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

from core.cases.audit import history, verify
from core.cases.patients import delete_patient
from core.cases.queue import queue
from core.cases.range_tables import ranges_in_force
from core.cases.records import CountOrigin, MissedCell, NewLabel, QueueFilter, SampleDetails
from core.cases.reviews import (
    add_cell,
    label_cells,
    label_counts,
    labelled_cells,
    move_cell,
    reviews_of,
    save_slide_count,
    split_cell,
    undo,
)
from core.cases.samples import load_case, sample_with_count
from core.domain.boxes import Box, image_box, split_box
from core.domain.taxonomy import NOT_A_WHITE_CELL
from core.errors import (
    CountSavedError,
    InvalidEntryError,
    NotAllowedError,
    NotFoundError,
    StaleCaseError,
)
from core.exports.summary import summarise
from tests.cases.made import ADMIN, REVIEWER, SECOND, VIEWER, new_field, white


def cells_of(database, sample):
    """Return (id, cell) of the white cells of a sample."""
    return [
        (cell_id, cell)
        for field in load_case(database, sample.id).fields
        for cell_id, cell in zip(field.cell_ids, field.analysis.cells, strict=True)
        if cell_id is not None
    ]


def test_labels_are_appended_and_the_last_one_counts(database, sample):
    (first, _), (second, before), _ = cells_of(database, sample)
    sample, _ = label_cells(database, REVIEWER, sample, {second: "lymphocyte"}, " small ")
    sample, _ = label_cells(database, SECOND, sample, {second: "basophil", first: "eosinophil"})
    assert [(r.reviewer, r.label, r.comment) for r in reviews_of(database, second)] == [
        (REVIEWER.name, "lymphocyte", "small"),
        (SECOND.name, "basophil", ""),
    ]
    _, (_, cell), _ = cells_of(database, sample)
    assert cell == before.reviewed("basophil", SECOND.name)
    assert load_case(database, sample.id).sample.version == sample.version == 3


@pytest.fixture
def save(database, sample, images):
    """Give a function that saves the count of a slide with labels."""

    def save_count(*labels, known=None, version="1"):
        fields = [new_field(images[0], white(), white("monocyte", x=60.0))]
        patient, details = sample.patient_id, SampleDetails(date(2026, 3, 1), "peripheral_blood")
        origin = CountOrigin("5f3a", version, known)
        return save_slide_count(database, REVIEWER, patient, details, fields, labels, origin)

    return save_count


def test_a_count_is_saved_twice_only_by_who_knows_of_the_first(database, sample, save):
    assert sample_with_count(database, "5f3a", "1") is None
    first = save()
    assert sample_with_count(database, "5f3a", "1") == first
    with pytest.raises(CountSavedError, match=f"Sample {first.id} holds"):
        save()
    assert sample_with_count(database, "5f3a", "1") == first
    again = save(known=first.id)
    assert sample_with_count(database, "5f3a", "1") == again
    with pytest.raises(CountSavedError, match=f"Sample {again.id} holds"):
        save(known=first.id)
    save(version="2")
    assert sample_with_count(database, "5f3a", "1") == again


def test_a_deleted_sample_holds_no_count(database, sample, save):
    save()
    delete_patient(database, ADMIN, sample.patient_id)
    assert sample_with_count(database, "5f3a", "1") is None


def test_labels_from_before_are_saved_with_the_sample_or_neither(database, save):
    saved = save(
        NewLabel(0, 2, "blast", SECOND),
        NewLabel(0, 1, "basophil", REVIEWER),
        NewLabel(0, 2, NOT_A_WHITE_CELL, REVIEWER),
    )
    (_, one), (second, other) = cells_of(database, saved)
    assert (one.type, one.reviewer, other.status) == ("basophil", REVIEWER.name, "out_of_scope")
    assert [(r.reviewer, r.label) for r in reviews_of(database, second)] == [
        (SECOND.name, "blast"),
        (REVIEWER.name, NOT_A_WHITE_CELL),
    ]
    assert load_case(database, saved.id).sample == saved
    for labels, error in [
        ([NewLabel(0, 3, "blast", REVIEWER)], NotFoundError),
        ([NewLabel(0, 1, "blast", VIEWER)], NotAllowedError),
    ]:
        with pytest.raises(error):
            save(*labels, known=saved.id)
    with pytest.raises(NotFoundError):
        load_case(database, saved.id + 1)


def test_a_comment_has_a_length(database, sample):
    """It is kept with every cell of a request."""
    labels = {cell_id: "lymphocyte" for cell_id, _ in cells_of(database, sample)}
    with pytest.raises(InvalidEntryError, match="longer than 2,000"):
        label_cells(database, REVIEWER, sample, labels, 2001 * "a")
    _, reviews = label_cells(database, REVIEWER, sample, labels, 2000 * "a")
    assert len(reviews) == len(labels)


def test_a_false_cell_leaves_the_counts_and_comes_back(database, sample):
    (cell_id, before), *_ = cells_of(database, sample)
    sample, (review,) = label_cells(database, REVIEWER, sample, {cell_id: NOT_A_WHITE_CELL})
    case = load_case(database, sample.id)
    assert case.analyses[0].counts.types == {}
    sample, _ = undo(database, SECOND, sample, [review.id])
    assert cells_of(database, sample)[0] == (cell_id, before)
    assert [r.label for r in reviews_of(database, cell_id)] == [NOT_A_WHITE_CELL, None]


def test_undo_goes_back_step_by_step(database, sample):
    cell_id = cells_of(database, sample)[1][0]
    done = []
    for label in ("lymphocyte", "basophil"):
        sample, (review,) = label_cells(database, REVIEWER, sample, {cell_id: label})
        done.append(review.id)
    labels = []
    while done:
        sample, _ = undo(database, REVIEWER, sample, [done.pop()])
        labels.append(cells_of(database, sample)[1][1])
    assert [(c.type, c.status, c.reviewer) for c in labels] == [
        ("lymphocyte", "classified", REVIEWER.name),
        ("monocyte", "uncertain", None),
    ]
    assert len(reviews_of(database, cell_id)) == 4


def test_the_audit_trail_says_from_what_to_what(database, sample):
    cell_id = cells_of(database, sample)[1][0]
    for label in ("lymphocyte", "blast"):
        sample, reviews = label_cells(database, REVIEWER, sample, {cell_id: label})
    undo(database, REVIEWER, sample, [review.id for review in reviews])
    changes = [
        (entry.details["before"], [label for *_, label in entry.details["reviews"]])
        for entry in history(database, sample.id)
        if "reviews" in entry.details
    ]
    assert changes == [
        (["monocyte"], ["lymphocyte"]),
        (["lymphocyte"], ["blast"]),
        (["blast"], ["lymphocyte"]),
    ]


def test_a_missed_cell_is_added_last_and_removed_by_undo(database, sample):
    field = load_case(database, sample.id).fields[0]
    missed = MissedCell(field.id, Box(200, 210, 40, 41), "blast")
    sample, (review,) = add_cell(database, REVIEWER, sample, missed)
    sample, _ = add_cell(
        database, REVIEWER, sample, MissedCell(field.id, Box(1, 1, 9, 9), "monocyte")
    )
    first, second = load_case(database, sample.id).fields
    assert len(second.analysis.cells) == 1
    assert first.analysis.cells[:3] == field.analysis.cells
    added = first.analysis.cells[3]
    assert (added.type, added.status, added.reviewer) == (
        "blast",
        "classified",
        REVIEWER.name,
    )
    assert (added.probabilities, added.suggested, added.box) == (None, None, missed.box)
    sample, _ = undo(database, REVIEWER, sample, [review.id])
    stored = load_case(database, sample.id).fields[0]
    assert stored.analysis.cells == (*field.analysis.cells, first.analysis.cells[4])
    assert stored.cell_ids[3] == first.cell_ids[4]
    assert stored.analysis.counts.types == {"neutrophil": 1, "monocyte": 1}
    assert label_counts(database) == {"monocyte": 1}
    assert queue(database, QueueFilter(unreviewed=False)).total == 4


def typed(box, type_="basophil", status="classified"):
    """Return a cell as the model types it in a box."""
    return replace(white(type_, 0.7, status), box=box)


def test_a_moved_cell_is_typed_again_unless_a_reviewer_labelled_it(database, sample):
    (first, before), (second, _), _ = cells_of(database, sample)
    sample, (review,) = move_cell(database, REVIEWER, sample, first, typed(Box(11, 12, 40, 41)))
    assert cells_of(database, sample)[0] == (
        first,
        replace(typed(Box(11, 12, 40, 41)), detection_score=before.detection_score),
    )
    assert (review.action, review.box_before, review.box) == (
        "move",
        before.box,
        Box(11, 12, 40, 41),
    )
    sample, _ = label_cells(database, REVIEWER, sample, {second: "lymphocyte"})
    _, (_, labelled), _ = cells_of(database, sample)
    sample, _ = move_cell(database, SECOND, sample, second, typed(Box(95, 12.04, 40, 41)))
    _, (_, moved), _ = cells_of(database, sample)
    assert moved == replace(labelled, box=Box(95, 12, 40, 41))
    assert moved.reviewer == REVIEWER.name
    entry = history(database, sample.id)[-1]
    assert (entry.action, entry.user) == ("move cell", SECOND.name)
    assert entry.details["boxes"] == [[list(labelled.box.xywh), [95, 12, 40, 41]]]
    assert (entry.details["before"], entry.details["after"]) == (["lymphocyte"], ["lymphocyte"])


def test_a_cell_that_another_version_typed_says_so_until_that_is_undone(database, sample):
    (cell_id, before), *_ = cells_of(database, sample)
    newer = replace(typed(Box(11, 12, 40, 41)), typed_by="3")
    sample, (review,) = move_cell(database, REVIEWER, sample, cell_id, newer)
    assert history(database, sample.id)[-1].details["typed_by"] == ["3"]
    case = load_case(database, sample.id)
    assert case.fields[0].analysis.cells[0].typed_by == "3"
    summary = summarise(case, ranges_in_force(database))
    assert [text.split(" (")[0] for text in summary.models] == ["detector 1", "wbc 2", "wbc 3"]
    undo(database, REVIEWER, sample, [review.id])
    assert cells_of(database, sample)[0] == (cell_id, before)


def test_a_split_cell_becomes_two_that_the_model_types(database, sample):
    cell_id = cells_of(database, sample)[1][0]
    sample, _ = label_cells(database, REVIEWER, sample, {cell_id: "blast"})
    parts = typed(Box(90, 20, 16, 31)), typed(Box(106, 20, 14, 31), "monocyte", "uncertain")
    sample, (one, other) = split_cell(database, REVIEWER, sample, cell_id, parts)
    stored = load_case(database, sample.id).fields[0]
    assert stored.cell_ids[2:] == (cell_id, other.cell_id)
    assert [(c.type, c.status, c.reviewer, c.box) for c in stored.analysis.cells[2:]] == [
        ("basophil", "classified", None, parts[0].box),
        ("monocyte", "uncertain", None, parts[1].box),
    ]
    assert (one.action, one.label, other.box_before) == ("split", None, None)
    assert history(database, sample.id)[-1].details["after"] == ["basophil", "monocyte"]
    assert queue(database, QueueFilter(sample_id=sample.id)).total == 4  # the new one waits too


@pytest.mark.parametrize(
    ("box", "sentence"),
    [
        (Box(10, 10, 7, 40), "7 × 40 pixels is too small for a cell"),
        (Box(-1, 10, 40, 40), "reaches outside the image"),
        (Box(10, 10, 4000, 40), "reaches outside the image"),
    ],
)
def test_impossible_boxes_are_rejected_with_a_sentence(database, sample, box, sentence):
    (cell_id, before), *_ = cells_of(database, sample)
    sound = typed(Box(10, 10, 20, 20))
    for attempt in (
        lambda: move_cell(database, REVIEWER, sample, cell_id, typed(box)),
        lambda: split_cell(database, REVIEWER, sample, cell_id, (sound, typed(box))),
    ):
        with pytest.raises(InvalidEntryError, match=sentence):
            attempt()
    assert cells_of(database, sample)[0] == (cell_id, before)


DECISIONS = st.tuples(
    st.sampled_from(("label", "remove", "add", "move", "split")),
    st.integers(0, 5),
    st.sampled_from((REVIEWER, SECOND)),
)


def decide(database, sample, action, index, user):
    """Take a decision on one of the cells; return the sample and the reviews."""
    cells = cells_of(database, sample)
    cell_id, _ = cells[index % len(cells)]
    if action in {"label", "remove"}:
        label = NOT_A_WHITE_CELL if action == "remove" else "eosinophil"
        return label_cells(database, user, sample, {cell_id: label})
    field = load_case(database, sample.id).fields[index % 2]
    size = field.analysis.width, field.analysis.height
    if action == "add":
        box = Box(size[0] - 20, size[1] - 20 - index, 40, 40)
        return add_cell(database, user, sample, MissedCell(field.id, box, "blast"))
    if action == "move":
        return move_cell(database, user, sample, cell_id, typed(Box(index, 2, 30 + index, 29)))
    halves = split_box(Box(10 + index, 20, 32, 33), (1, 0), 0.5)
    return split_cell(database, user, sample, cell_id, tuple(typed(box) for box in halves))


@settings_of(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(decisions=st.lists(DECISIONS, min_size=1, max_size=6))
def test_undo_restores_exactly_the_state_before(database, sample, decisions):
    sample = load_case(database, sample.id).sample
    stack = []
    for decision in decisions:
        stack.append((cells_of(database, sample), label_counts(database)))
        sample, reviews = decide(database, sample, *decision)
        for field in load_case(database, sample.id).analyses:
            whole = image_box(field.width, field.height)
            assert all(cell.box.margin_within(whole) > -1e-6 for cell in field.cells)
        stack.append([review.id for review in reviews])
    while stack:
        sample, _ = undo(database, SECOND, sample, stack.pop())
        assert (cells_of(database, sample), label_counts(database)) == stack.pop()
    assert verify(database).whole


def test_undo_never_takes_back_what_another_decided_since(database, sample):
    (cell_id, _), *_ = cells_of(database, sample)
    sample, (mine,) = label_cells(database, REVIEWER, sample, {cell_id: "basophil"})
    sample, (other,) = label_cells(database, SECOND, sample, {cell_id: "blast"})
    for user, who in ((REVIEWER, SECOND.name), (SECOND, "You")):
        with pytest.raises(InvalidEntryError, match=f"{who} changed the cell after"):
            undo(database, user, sample, [mine.id])
    assert cells_of(database, sample)[0][1].type == "blast"
    sample, (taken,) = undo(database, SECOND, sample, [other.id])
    (_, cell), *_ = cells_of(database, sample)
    assert (cell.type, cell.reviewer) == ("basophil", REVIEWER.name)
    for review in (other, taken):
        with pytest.raises(InvalidEntryError, match="cannot be undone"):
            undo(database, SECOND, sample, [review.id])
    sample, _ = undo(database, REVIEWER, sample, [mine.id])
    assert cells_of(database, sample)[0][1].reviewer is None


def test_a_cell_lies_in_a_picture_of_its_case(database, sample):
    field = load_case(database, sample.id).fields[0]
    outside = Box(field.analysis.width + 1, 0, 10, 10)
    with pytest.raises(InvalidEntryError, match="outside the image"):
        add_cell(database, REVIEWER, sample, MissedCell(field.id, outside, "monocyte"))
    with pytest.raises(NotFoundError):
        add_cell(database, REVIEWER, sample, MissedCell(999, Box(0, 0, 9, 9), "monocyte"))


def test_all_cells_are_named_or_none(database, sample):
    (cell_id, before), *_ = cells_of(database, sample)
    with pytest.raises(NotFoundError):
        label_cells(database, REVIEWER, sample, {cell_id: "basophil", 999: "basophil"})
    with pytest.raises(NotFoundError):
        undo(database, REVIEWER, sample, [999])
    with pytest.raises(ValueError, match="no cell type"):
        label_cells(database, REVIEWER, sample, {cell_id: "lymphoma"})
    assert cells_of(database, sample)[0] == (cell_id, before)
    assert reviews_of(database, cell_id) == ()


def test_viewers_do_not_review(database, sample):
    cell_id = cells_of(database, sample)[0][0]
    missed = MissedCell(load_case(database, sample.id).fields[0].id, Box(1, 1, 9, 9), "monocyte")
    for attempt in (
        lambda: label_cells(database, VIEWER, sample, {cell_id: "basophil"}),
        lambda: undo(database, VIEWER, sample, []),
        lambda: add_cell(database, VIEWER, sample, missed),
        lambda: move_cell(database, VIEWER, sample, cell_id, typed(Box(1, 1, 9, 9))),
        lambda: split_cell(database, VIEWER, sample, cell_id, 2 * (typed(Box(1, 1, 9, 9)),)),
    ):
        with pytest.raises(NotAllowedError, match="this needs the role reviewer"):
            attempt()


def test_of_two_reviewers_at_once_one_is_told_of_the_other(database, sample):
    cell_id = cells_of(database, sample)[1][0]
    together = Barrier(2)

    def name(user, label):
        together.wait()
        try:
            label_cells(database, user, sample, {cell_id: label})
        except StaleCaseError as error:
            return str(error)
        return user.name

    for _ in range(5):
        sample = load_case(database, sample.id).sample
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(name, (REVIEWER, SECOND), ("lymphocyte", "basophil")))
        (winner,) = (a for a in answers if a in (REVIEWER.name, SECOND.name))
        (refusal,) = (a for a in answers if a != winner)
        assert refusal.startswith(f"{winner} changed this record on 20")
        assert reviews_of(database, cell_id)[-1].reviewer == winner
    assert len(reviews_of(database, cell_id)) == 5


def test_only_labelled_cells_are_found_the_last_stored_first(database, sample):
    case = load_case(database, sample.id)
    first, second, third = (i for f in case.fields for i in f.cell_ids if i is not None)
    assert label_counts(database) == {}
    labels = {first: "basophil", second: "basophil", third: NOT_A_WHITE_CELL}
    seen, reviews = label_cells(database, REVIEWER, sample, labels)
    assert label_counts(database) == {"basophil": 2, NOT_A_WHITE_CELL: 1}
    assert [cell.id for cell in labelled_cells(database, "basophil", 5)] == [second, first]
    assert [cell.id for cell in labelled_cells(database, "basophil", 1)] == [second]
    (other,) = labelled_cells(database, "basophil", 5, apart_from=second)
    assert (other.id, other.field_id, other.cell.type) == (first, case.fields[0].id, "basophil")
    assert other.cell.box == case.fields[0].analysis.cells[0].box
    assert other.micrometres_per_pixel == case.fields[0].analysis.scale.micrometres_per_pixel
    undo(database, REVIEWER, seen, [reviews[0].id])
    assert label_counts(database) == {"basophil": 1, NOT_A_WHITE_CELL: 1}
