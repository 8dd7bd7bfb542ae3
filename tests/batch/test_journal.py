"""Nothing that was answered is lost, nothing is answered twice, wherever a batch is cut off."""

import os
import resource
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.batch.journal import Journal
from core.domain.boxes import Box
from core.domain.results import Cell, FailedFile
from core.domain.taxonomy import CELL_TYPES
from core.errors import BatchError
from core.imaging.wsi import tile_grid
from core.slides.analysis import TileResult

MODELS = {"wbc": "1"}
PATHS = [Path(f"field {number} ä\udcff.png") for number in range(4)]


def answer(path):
    return {"file": str(path), "cells": ["µ", 1.5]}


def run(at, paths=PATHS, *, resume=True, models=MODELS):
    """Answer what is pending, the last file first, and return it with the result."""
    with Journal(at, models, resume=resume) as journal:
        pending = list(journal.pending(paths))
        for index, path in reversed(pending):
            failed = path.name.startswith("bad")
            journal.add(index, FailedFile(str(path), "Bad.") if failed else [answer(path)])
        assert journal.finished == len(paths)
        result = list(journal.images()), list(journal.errors())
    return [path for _, path in pending], result


def test_answers_come_in_the_order_of_the_files(tmp_path):
    done, result = run(tmp_path / "journal")
    assert done == PATHS
    assert result == ([answer(path) for path in PATHS], [])
    assert run(tmp_path / "journal") == ([], result)


@given(st.data())
def test_a_journal_whose_process_was_killed_anywhere_is_resumed(data):
    with tempfile.TemporaryDirectory() as temporary:
        at, cut = Path(temporary, "journal"), Path(temporary, "cut")
        lengths = []
        with Journal(at, MODELS, resume=True) as journal:
            for index, path in list(journal.pending(PATHS)):
                journal.add(index, [answer(path)])
                lengths.append(log_of(at).stat().st_size)
            whole = list(journal.images()), []
            # A killed process leaves the beginning of what it would have written.
            shutil.copy(at, cut)
            content = log_of(at).read_bytes()
        length = data.draw(st.integers(0, len(content)))
        log_of(cut).write_bytes(content[:length])
        done, result = run(cut)
        assert done == PATHS[sum(end <= length for end in lengths) :]
        assert result == whole
        assert run(cut) == ([], whole)


def log_of(journal):
    """Return SQLite's write-ahead log of a journal."""
    return journal.with_name(f"{journal.name}-wal")


@pytest.mark.parametrize(
    "content",
    [
        b'{"models": {"wbc": "1"}}\n{"path": "a.png", "size": 1, "modified": 2, "images": []}\n',
        b"SQLite format 3\0" + bytes(4080),
    ],
)
def test_a_journal_of_an_earlier_version_or_a_damaged_one_is_named(tmp_path, content):
    at = tmp_path / "journal"
    at.write_bytes(content)
    with pytest.raises(BatchError, match="another version of Leukoscope, or is damaged"):
        run(at)
    assert at.read_bytes() == content
    assert run(at, resume=False)[0] == PATHS


def test_a_journal_of_a_later_version_is_named(tmp_path):
    at = tmp_path / "journal"
    run(at)
    with closing(sqlite3.connect(at)) as database:
        database.execute("PRAGMA user_version = 3")
    with pytest.raises(BatchError, match="another version"):
        run(at)
    assert run(at, resume=False)[0] == PATHS


def test_tiles_of_a_slide_are_kept_and_those_of_another_version_left_out(tmp_path):
    at = tmp_path / "journal"
    tiles = list(tile_grid(900, 300, 420, 60))
    even = dict.fromkeys(CELL_TYPES, 1 / len(CELL_TYPES))
    white = Cell("wbc", Box(1 / 3, 2, 90, 80), 0.1, "uncertain", "basophil", even, attributes={})
    found = [
        TileResult(tiles[0], (white, Cell("rbc", Box(1, 2, 30, 0.1), 0.7))),
        TileResult(tiles[1], reject_reason="Out of focus."),
        TileResult(tiles[2], is_glass=True),
    ]
    with Journal(at, MODELS, resume=False) as journal:
        list(journal.pending(PATHS))
        for result in found:
            journal.add_tiles(1, (result,))
    with closing(sqlite3.connect(at)) as database, database:
        database.execute("UPDATE tiles SET results = '[{}]' WHERE rowid = 3")
    with Journal(at, MODELS, resume=True) as journal:
        assert [path for _, path in journal.pending(PATHS)] == PATHS
        assert list(journal.tiles(1)) == found[:2]
        assert list(journal.tiles(0)) == []


def test_failed_and_changed_files_are_tried_again(tmp_path):
    paths = [tmp_path / name for name in ("bad.png", "good.png", "new.png")]
    paths[1].write_bytes(b"1")
    run(tmp_path / "journal", paths[:2])
    assert run(tmp_path / "journal", paths)[0] == [paths[0], paths[2]]
    os.utime(paths[1], ns=(5, 5))
    done, (images, errors) = run(tmp_path / "journal", paths)
    assert done == paths[:2]
    assert [image["file"] for image in images] == [str(path) for path in paths[1:]]
    assert errors == [{"file": str(paths[0]), "error": "Bad."}]


def test_a_file_named_twice_is_answered_twice(tmp_path):
    twice = [PATHS[0], PATHS[1], PATHS[0]]
    _, (images, _) = run(tmp_path / "journal", twice)
    assert images == [answer(path) for path in twice]


def test_without_resume_it_starts_over(tmp_path):
    run(tmp_path / "journal")
    assert run(tmp_path / "journal", resume=False)[0] == PATHS


def test_other_models_are_refused(tmp_path):
    run(tmp_path / "journal")
    with pytest.raises(BatchError, match="other models"):
        run(tmp_path / "journal", models={"wbc": "2"})
    run(tmp_path / "journal")


def test_two_batches_do_not_share_a_journal(tmp_path):
    with (
        Journal(tmp_path / "journal", MODELS, resume=False),
        pytest.raises(BatchError, match="Another batch"),
    ):
        Journal(tmp_path / "journal", MODELS, resume=False)


def test_a_journal_without_answers_goes(tmp_path):
    with Journal(tmp_path / "journal", MODELS, resume=True) as journal:
        next(journal.pending(PATHS))
    assert not (tmp_path / "journal").exists()


def test_a_full_disk_is_said_and_costs_one_answer(tmp_path):
    at = tmp_path / "journal"
    run(at, PATHS[:2])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    long = [answer(PATHS[2]) | {"note": 100_000 * "x"}]
    with Journal(at, MODELS, resume=True) as journal:
        list(journal.pending(PATHS))
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
        try:
            with pytest.raises(BatchError, match="Make room"):
                journal.add(2, long)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    done, (images, _) = run(at)
    assert (done, len(images)) == (PATHS[2:], 4)


def test_every_answer_is_on_disk_before_the_next(tmp_path):
    at, copy = tmp_path / "journal", tmp_path / "copy"
    with Journal(at, MODELS, resume=False) as journal:
        for number, (index, path) in enumerate(journal.pending(PATHS), 1):
            journal.add(index, [answer(path)])
            shutil.copy(at, copy)
            shutil.copy(log_of(at), log_of(copy))
            with closing(sqlite3.connect(copy)) as database:
                (found,) = database.execute("SELECT count(images) FROM files").fetchone()
            assert found == number
