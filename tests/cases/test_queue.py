from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import event

from core.cases.patients import create_patient
from core.cases.queue import model_agreement, pending_counts, queue, reviewer_agreement
from core.cases.records import PatientDetails, QueueFilter, SampleDetails
from core.cases.reviews import label_cells, move_cell, undo
from core.cases.samples import load_case, save_sample
from core.domain.boxes import Box
from core.domain.taxonomy import NOT_A_WHITE_CELL
from tests.cases.made import REVIEWER, SECOND, new_field, white


def found(database, **wanted):
    return [item.id for item in queue(database, QueueFilter(**wanted)).items]


@pytest.fixture
def other(database, images):
    """A second patient's case with one cell."""
    patient = create_patient(database, REVIEWER, PatientDetails("P-2"))
    fields = [new_field(images[0], white("monocyte", 0.6))]
    return save_sample(database, REVIEWER, patient.id, SampleDetails(date(2026, 1, 2)), fields)


def test_the_least_sure_cells_come_first(database, patient, sample, other):
    page = queue(database)
    assert [(i.cell.type, i.cell.confidence) for i in page.items] == [
        ("monocyte", 0.4),
        ("monocyte", 0.6),
        ("lymphocyte", 0.8),
        ("neutrophil", 0.9),
    ]
    first = page.items[0]
    field = load_case(database, sample.id).fields[0]
    assert (first.patient, first.sample, first.field_id) == (patient, sample, field.id)
    assert first.name == f"3 of {field.analysis.file}"
    assert first.cell == field.analysis.cells[2]


def test_possible_blasts_come_before_less_sure_cells(database, patient, images):
    cells = [
        white("monocyte", 0.4, "uncertain", x=10),
        white("blast", 0.5, "out_of_scope", x=60),
        white("blast", 0.9, x=110),
        white("blast", 0.6, "uncertain", x=160),
    ]
    save_cells(database, patient, images[0], *cells)
    found = [(i.cell.type, i.cell.confidence) for i in queue(database).items]
    assert found == [("blast", 0.6), ("blast", 0.9), ("monocyte", 0.4), ("blast", 0.5)]


def test_pages_cover_the_queue_once(database, sample, other):
    pages = [queue(database, offset=offset, limit=3) for offset in (0, 3)]
    assert [len(page.items) for page in pages] == [3, 1]
    assert {page.total for page in pages} == {4}
    assert len({item.id for page in pages for item in page.items}) == 4


def test_the_queue_is_narrowed(database, sample, other):
    least, sixty, lymphocyte, neutrophil = found(database)
    assert found(database, type="monocyte") == [least, sixty]
    assert found(database, lowest=0.5, highest=0.85) == [sixty, lymphocyte]
    assert found(database, patient_id=other.patient_id) == [sixty]
    assert found(database, sample_id=sample.id) == [least, lymphocyte, neutrophil]
    assert found(database, sample_id=sample.id, patient_id=other.patient_id) == []


def save_cells(database, patient, image, *cells):
    """Save a sample of one field."""
    details = SampleDetails(date(2026, 4, 1))
    return save_sample(database, REVIEWER, patient.id, details, [new_field(image, *cells)])


def test_uncertain_cells_are_told_from_confident_ones(database, patient, images):
    cells = [
        white("neutrophil", 0.3, "out_of_scope"),
        white("monocyte", 0.9, "uncertain"),
        white("lymphocyte", 0.8),
        white("platelet", 0.9, "out_of_scope"),
    ]
    sample = save_cells(database, patient, images[2], *cells)
    within = QueueFilter(sample_id=sample.id)
    neutrophil, lymphocyte, monocyte, platelet = found(database, sample_id=sample.id)
    assert found(database, sample_id=sample.id, uncertain=True) == [neutrophil, monocyte, platelet]
    assert pending_counts(database, within) == (3, 1)
    label_cells(database, REVIEWER, sample, {neutrophil: "basophil", lymphocyte: "lymphocyte"})
    assert found(database, sample_id=sample.id, uncertain=True) == [monocyte, platelet]
    assert pending_counts(database, within) == (2, 0)


def test_reviewed_cells_leave_the_queue_until_undone(database, sample):
    least, lymphocyte, neutrophil = found(database)
    sample, reviews = label_cells(
        database, REVIEWER, sample, {least: "basophil", neutrophil: "neutrophil"}
    )
    assert found(database) == [lymphocyte]
    assert found(database, unreviewed=False) == [least, lymphocyte, neutrophil]
    assert found(database, reviewer=REVIEWER.name) == [least, neutrophil]
    assert found(database, reviewer=SECOND.name) == []
    assert found(database, type="basophil", unreviewed=False) == [least]
    assert found(database, type="monocyte", unreviewed=False) == []
    assert queue(database, QueueFilter(unreviewed=False)).items[0].cell.suggested == "monocyte"
    undo(database, REVIEWER, sample, [reviews[0].id])
    assert found(database) == [least, lymphocyte]


def test_of_ruled_out_cells_the_model_says_that_they_are_no_white_cells(database, patient, images):
    cells = [
        white("neutrophil", 0.3, "out_of_scope"),
        white("monocyte", 0.4, "out_of_scope"),
        white("platelet", 0.9, "out_of_scope"),
        white("lymphocyte", 0.9),
    ]
    sample = save_cells(database, patient, images[2], *cells)
    neutrophil, monocyte, platelet, lymphocyte = found(database, sample_id=sample.id)
    labels = dict.fromkeys((neutrophil, monocyte, lymphocyte), NOT_A_WHITE_CELL)
    label_cells(database, REVIEWER, sample, labels | {platelet: "platelet"})
    assert model_agreement(database, sample.id) == {
        (NOT_A_WHITE_CELL, NOT_A_WHITE_CELL): 2,
        ("platelet", "platelet"): 1,
        ("lymphocyte", NOT_A_WHITE_CELL): 1,
    }


def test_agreement_counts_pairs_of_last_labels(database, sample, other):
    least, lymphocyte, _ = found(database, sample_id=sample.id)
    (sixty,) = found(database, sample_id=other.id)
    sample, _ = label_cells(database, REVIEWER, sample, {least: "basophil"})
    sample, _ = label_cells(
        database, REVIEWER, sample, {least: "monocyte", lymphocyte: "lymphocyte"}
    )
    assert model_agreement(database) == {
        ("monocyte", "monocyte"): 1,
        ("lymphocyte", "lymphocyte"): 1,
    }
    sample, _ = label_cells(database, SECOND, sample, {least: "monocyte", lymphocyte: "blast"})
    label_cells(database, SECOND, other, {sixty: "lymphocyte"})
    assert reviewer_agreement(database, REVIEWER.name, SECOND.name) == {
        ("monocyte", "monocyte"): 1,
        ("lymphocyte", "blast"): 1,
    }
    assert model_agreement(database, other.id) == {("monocyte", "lymphocyte"): 1}
    sample, reviews = label_cells(database, SECOND, sample, {lymphocyte: "basophil"})
    undo(database, SECOND, sample, [reviews[0].id])
    pairs = reviewer_agreement(database, REVIEWER.name, SECOND.name)
    assert pairs["lymphocyte", "blast"] == 1
    # Neither who moves a box has labelled its cell, nor who restores another's label.
    (cell,) = queue(database, QueueFilter(unreviewed=False, sample_id=other.id)).items
    move_cell(database, REVIEWER, cell.sample, cell.id, replace(cell.cell, box=Box(1, 1, 30, 30)))
    assert reviewer_agreement(database, REVIEWER.name, SECOND.name) == pairs


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (QueueFilter(), "ix_cells_waiting"),
        (QueueFilter(lowest=0.2, highest=0.6), "ix_cells_waiting"),
        (QueueFilter(uncertain=True), "ix_cells_waiting"),
        (QueueFilter(type="monocyte"), "ix_cells_waiting_type"),
        (QueueFilter(reviewer="ana@lab"), "ix_cells_reviewed"),
    ],
)
def test_the_queue_is_read_from_an_index(database, sample, wanted, index):
    if database.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL plans by size: it reads small tables whole")
    plans = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def explain(_connection, cursor, statement, parameters, *_rest):
        if "LIMIT" in statement:
            plans.append(cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall())

    queue(database, wanted)
    (plan,) = plans
    assert any(f"INDEX {index} " in line[3] or line[3].endswith(index) for line in plan)
    assert not any(line[3] == "SCAN cells" for line in plan)
