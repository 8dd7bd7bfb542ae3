from dataclasses import replace
from datetime import date
from typing import get_args

import numpy as np
import pytest

from core.cases.listing import (
    patient_history,
    patient_stages,
    patients_work,
    samples_holding,
    search_patients,
)
from core.cases.patients import create_patient
from core.cases.queue import queue
from core.cases.records import MissedCell, PatientDetails, SampleDetails
from core.cases.reviews import add_cell, label_cells, undo
from core.cases.samples import load_case, save_sample
from core.domain.boxes import Box
from core.domain.differential import differential, differential_of_counts
from core.domain.results import CellCounts, StageResult
from core.domain.taxonomy import CELL_TYPES, NOT_A_WHITE_CELL, Status
from core.errors import NotFoundError
from tests.cases.made import REVIEWER, SECOND, new_field, red, white


def add_patient(database, number, name=None, days=()):
    patient = create_patient(database, REVIEWER, PatientDetails(f"N-{number:03}", name))
    for day in days:
        save_sample(database, REVIEWER, patient.id, SampleDetails(date(2026, 5, day)))
    return patient


def test_the_list_shows_each_patient_once_the_last_sampled_first(database):
    for number, days in enumerate([(3, 1), (), (9,), (2, 20)]):
        add_patient(database, number, days=days)
    page = search_patients(database)
    assert [
        (line.patient.identifier, line.last and line.last.taken.day) for line in page.items
    ] == [("N-003", 20), ("N-002", 9), ("N-000", 3), ("N-001", None)]
    assert page.total == 4


def test_pages_cover_the_list_once(database):
    for number in range(7):
        add_patient(database, number, days=(1,) if number % 2 else ())
    pages = [search_patients(database, offset=offset, limit=3) for offset in (0, 3, 6)]
    found = [line.patient.identifier for page in pages for line in page.items]
    assert sorted(found) == [f"N-{i:03}" for i in range(7)]
    assert {page.total for page in pages} == {7}


@pytest.mark.parametrize(
    ("text", "found"),
    [("n-00", 3), ("ÖSTER", 1), ("östergård", 1), ("100%", 1), ("_", 0), ("nobody", 0), (" ", 3)],
)
def test_patients_are_found_by_parts_of_identifier_or_name(database, text, found):
    for number, name in enumerate(["Åsa Östergård", "100% Bob", None]):
        add_patient(database, number, name)
    page = search_patients(database, text)
    assert (len(page.items), page.total) == (found, found)


def test_the_list_is_narrowed_to_a_state(database, sample):
    add_patient(database, 1)
    assert [line.last for line in search_patients(database, state="draft").items] == [sample]
    assert search_patients(database, state="signed").total == 0


def test_the_list_says_what_is_to_be_done(database, patient, sample):
    idle = add_patient(database, 1)
    before = patients_work(database, [patient.id, idle.id])
    counts = {key: (w.samples, w.pending, w.possible_blasts) for key, w in before.items()}
    assert counts == {patient.id: (1, 1, 0), idle.id: (0, 0, 0)}
    assert search_patients(database, work="pending").total == 1
    assert search_patients(database, work="possible_blasts").total == 0
    uncertain = next(i.id for i in queue(database).items if i.cell.status == "uncertain")
    label_cells(database, REVIEWER, sample, {uncertain: "blast"})
    after = patients_work(database, [patient.id])[patient.id]
    assert (after.pending, after.possible_blasts) == (0, 1)
    assert after.changed > before[patient.id].changed
    assert search_patients(database, work="pending").total == 0
    (found,) = search_patients(database, work="possible_blasts").items
    assert found.patient.id == patient.id


def test_counts_of_a_sample_are_those_of_its_cells(database, patient, sample, images):
    cells = {item.cell.type: item.id for item in queue(database).items}
    sample, _ = label_cells(database, REVIEWER, sample, {cells["neutrophil"]: NOT_A_WHITE_CELL})
    sample, (review,) = label_cells(database, SECOND, sample, {cells["lymphocyte"]: "monocyte"})
    field = load_case(database, sample.id).fields[0]
    for label in ("blast", "platelet"):
        missed = MissedCell(field.id, Box(1, 1, 9, 9), label)
        sample, _ = add_cell(database, REVIEWER, sample, missed)
    cells = [white(), red(), white("platelet", 0.9, "out_of_scope"), white("basophil", 0.9)]
    other = save_sample(
        database,
        REVIEWER,
        patient.id,
        SampleDetails(date(2025, 1, 1)),
        [new_field(images[0], *cells)],
    )
    found, (earlier, later) = patient_history(database, patient.id)
    assert found == patient
    assert (earlier.sample, later.sample) == (other, sample)
    assert (earlier.fields, later.fields) == (1, 2)
    for summary in (earlier, later):
        analyses = load_case(database, summary.sample.id).analyses
        counted = differential_of_counts(summary.type_counts, summary.uncertain)
        assert counted == differential(analyses)
    assert later.type_counts == {"monocyte": 1, "blast": 1, "platelet": 1}
    assert later.uncertain == 1
    undo(database, REVIEWER, sample, [review.id])
    _, (_, later) = patient_history(database, patient.id)
    assert later.type_counts == {"lymphocyte": 1, "blast": 1, "platelet": 1}


def test_the_database_counts_cells_as_the_domain_does(database, patient, images):
    rng = np.random.default_rng(5)
    cells = [
        replace(
            white(str(rng.choice(list(CELL_TYPES))), 0.5, str(rng.choice(get_args(Status)))),
            duplicate=bool(rng.random() < 0.3),
        )
        for _ in range(300)
    ]
    cells[::9] = [replace(cell, type=None) for cell in cells[::9]]
    fields = [new_field(images[0], *cells[:100]), new_field(images[1], *cells[100:])]
    sample = save_sample(database, REVIEWER, patient.id, SampleDetails(date(2026, 1, 1)), fields)
    labels = [*CELL_TYPES, NOT_A_WHITE_CELL]
    ids = [i for field in load_case(database, sample.id).fields for i in field.cell_ids]
    chosen = {i: str(rng.choice(labels)) for i in ids if rng.random() < 0.4}
    label_cells(database, REVIEWER, sample, chosen)
    counts = CellCounts()
    for analysis in load_case(database, sample.id).analyses:
        counts.add(analysis.cells)
    _, (summary,) = patient_history(database, patient.id)
    assert summary.type_counts == counts.types
    assert summary.uncertain == counts.uncertain > 0


def test_a_patient_without_samples_has_a_page(database):
    patient = add_patient(database, 1)
    assert patient_history(database, patient.id) == (patient, ())
    with pytest.raises(NotFoundError):
        patient_history(database, 999)


@pytest.mark.parametrize(
    ("read", "queries"),
    [
        (lambda database: search_patients(database, "N-"), 2),
        (lambda database: patient_history(database, 1), 3),
        (queue, 2),
        (lambda database: load_case(database, 1), 5),
    ],
)
def test_lists_take_the_same_few_queries_at_every_size(
    database, images, count_queries, read, queries
):
    first = add_patient(database, 0)
    taken = []
    for size in (1, 5):
        others = [add_patient(database, 10 * size + i) for i in range(size)]
        for patient in (first, *others):
            for day in range(1, size + 1):
                fields = [new_field(image, white(), red()) for image in images[:size]]
                details = SampleDetails(date(2026, 6, day))
                save_sample(database, REVIEWER, patient.id, details, fields)
        count_queries.clear()
        read(database)
        taken.append(len(count_queries))
    assert taken == [queries, queries]


def test_classes_are_listed_by_sample_with_what_overruled_the_gate(database, patient, images):
    graded = [
        StageResult("a.png", "Pre", {"Pre": 0.9}, 0.9, "classified"),
        StageResult(
            "b.png", "Pro", {"Pro": 0.4}, 0.4, "uncertain", None, "Too blurred.", warnings=("Few.",)
        ),
    ]
    later, earlier = (
        save_sample(
            database,
            REVIEWER,
            patient.id,
            SampleDetails(date(2026, 5, day)),
            [new_field(images[0], white(), stage=stage), new_field(images[1], white())],
        )
        for day, stage in zip((9, 3), graded, strict=True)
    )
    found = patient_stages(database, patient.id)
    assert list(found) == [earlier.id, later.id]
    for sample, stage in ((later, graded[0]), (earlier, graded[1])):
        (kept,) = found[sample.id]
        assert (kept.stage, kept.status, kept.qc_override, kept.warnings) == (
            stage.stage,
            stage.status,
            stage.qc_override,
            stage.warnings,
        )


def test_samples_that_hold_some_of_the_files_are_told(database, patient, sample, images):
    other = save_sample(
        database, REVIEWER, patient.id, SampleDetails(date(2026, 4, 1)), [new_field(images[1])]
    )
    asked = [image.identity for image in images[:3]]
    assert samples_holding(database, patient.id, asked) == {sample.id: 2, other.id: 1}
    assert samples_holding(database, patient.id, asked[2:]) == {}
    assert samples_holding(database, add_patient(database, 1).id, asked) == {}
