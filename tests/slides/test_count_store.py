"""Counts of slides and their labels are there after a restart, and nothing of other models."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from core.cases.database import open_database
from core.cases.orm import SlideCountRow, SlideLabelRow, SlideTilesRow
from core.cases.patients import create_patient, delete_patient
from core.cases.records import CountOrigin, PatientDetails, SampleDetails
from core.cases.reviews import save_slide_count
from core.errors import StoreReadOnlyError
from core.settings import Settings
from core.slides.count_store import CountStore
from core.slides.counting import SlideCount
from core.slides.tiles import SlideView
from tests.cases.made import ADMIN, REVIEWER, SECOND
from tests.slides.test_counting import drawn, found, here  # noqa: F401 - a fixture

MODELS = {"wbc": "1"}


@pytest.fixture
def database(tmp_path):
    opened = open_database(Settings(_env_file=None, store=tmp_path, database_url=None))
    yield opened
    opened.engine.dispose()


@pytest.fixture
def started(database, drawn):  # noqa: F811
    """Give a function that starts the server again: it opens the count anew."""

    def opened(models=MODELS, slide=drawn[0]):
        view = SlideView(slide.path)
        return SlideCount(slide, view, here(slide), CountStore(database, slide), models)

    return opened


def test_a_count_and_its_labels_survive_a_restart(started, drawn, database):  # noqa: F811
    assert not CountStore(database, drawn[0]).exists()
    count = started()
    count.start(10)
    count.wait()
    assert count.is_kept
    _, first = count.snapshot().model.white_cells()[0]
    count.label(first, "blast", REVIEWER)
    count.label(first, "monocyte", SECOND)
    count.label(first, "basophil", REVIEWER)
    count.undo(REVIEWER)

    again = started()
    assert again.done == count.done
    assert again.snapshot().model == count.snapshot().model
    assert again.snapshot().labels == count.snapshot().labels
    assert again.analysis().counts.types == count.analysis().counts.types
    assert [given.label for _, given in again.snapshot().labels] == ["blast", "monocyte"]
    again.undo(SECOND)
    again.start(None)
    again.wait()
    assert again.done == len(again.path)
    assert [given.label for _, given in started().snapshot().labels] == ["blast"]
    assert started(slide=replace(drawn[0], version="another")).done == 0


def test_what_other_models_found_is_not_mixed_in_but_labels_stay(started, database):
    count = started()
    count.start(10)
    count.wait()
    _, first = count.snapshot().model.white_cells()[0]
    count.label(first, "blast", REVIEWER)
    newer = started({"wbc": "2"})
    assert newer.done == 0
    assert newer.analysis().counts.types["blast"] == 1
    newer.start(10)
    newer.wait()
    assert started().done == 0
    assert started({"wbc": "2"}).done == newer.done


def test_a_label_that_cannot_be_stored_is_not_given(started, database, drawn):  # noqa: F811
    count = started()
    count.start(5)
    count.wait()
    cell = count.snapshot().model.white_cells()[0][1]
    read_only = CountStore(replace(database, read_only=True), drawn[0])
    count = SlideCount(drawn[0], SlideView(drawn[0].path), here(drawn[0]), read_only, MODELS)
    with pytest.raises(StoreReadOnlyError):
        count.label(cell, "blast", REVIEWER)
    assert not count.has_labels
    count.start(None)
    count.wait()
    assert count.done == len(count.path)
    assert not count.is_kept


def test_counts_that_nobody_opens_are_deleted(started, drawn, database):  # noqa: F811
    count = started()
    count.start(5)
    count.wait()
    count.label(count.snapshot().model.white_cells()[0][1], "blast", REVIEWER)
    with database.writing() as session:
        session.execute(update(SlideCountRow).values(used=datetime.now(UTC) - timedelta(days=400)))
    other = started(slide=replace(drawn[0], version="another"))
    other.start(5)
    other.wait()
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(SlideCountRow)) == 1
        assert session.scalars(select(SlideLabelRow)).all() == []
        counts = session.scalars(select(SlideTilesRow.count_id).distinct()).all()
    assert len(counts) == 1


def rows(database):
    """Return how many counts, parts of them and labels are stored."""
    tables = SlideCountRow, SlideTilesRow, SlideLabelRow
    with database.reading() as session:
        return [session.scalar(select(func.count()).select_from(table)) for table in tables]


def test_a_count_is_deleted_unless_a_sample_holds_it(started, drawn, database):  # noqa: F811
    count = started()
    count.start(5)
    count.wait()
    count.label(count.snapshot().model.white_cells()[0][1], "blast", REVIEWER)
    kept = rows(database)
    patient = create_patient(database, REVIEWER, PatientDetails("P-1"))
    details = SampleDetails(date(2026, 3, 1))
    origin = CountOrigin(drawn[0].id, drawn[0].version, None)
    save_slide_count(database, REVIEWER, patient.id, details, [], [], origin)
    store = CountStore(database, drawn[0])
    store.delete_unless_saved()
    assert rows(database) == kept
    delete_patient(database, ADMIN, patient.id)
    count.abandon()
    store.delete_unless_saved()
    assert rows(database) == [0, 0, 0]
    count.start(None)
    count.wait()
    assert count.done == len(count.path)
    assert rows(database) == [0, 0, 0]
