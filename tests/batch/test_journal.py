"""Nothing that was answered is lost, nothing is answered twice, wherever a batch is cut off."""

import json
import os
import resource
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.batch.journal import Journal
from core.batch.tiles import PieceResult, TileResult
from core.domain.boxes import Box
from core.domain.results import Cell, FailedFile
from core.domain.taxonomy import CELL_TYPES
from core.errors import BatchError
from core.imaging.wsi import tile_grid

MODELS = {"wbc": "1"}
PATHS = [Path(f"field {number} ä\udcff.png") for number in range(4)]


def answer(path):
    return {"file": str(path), "cells": ["µ", 1.5]}


def run(at, paths=PATHS, *, resume=True, models=MODELS):
    """Answer what is pending, the last file first, and return it with the result."""
    with Journal(at, models, resume=resume) as journal:
        pending = list(journal.pending(paths))
        for place, path in reversed(pending):
            failed = path.name.startswith("bad")
            journal.add(place, FailedFile(str(path), "Bad.") if failed else [answer(path)])
        assert journal.finished == len(paths)
        result = list(journal.images()), list(journal.errors())
    return [path for _, path in pending], result


def test_answers_come_in_the_order_of_the_files(tmp_path):
    done, result = run(tmp_path / "journal")
    assert done == PATHS
    assert result == ([answer(path) for path in PATHS], [])
    assert run(tmp_path / "journal") == ([], result)


@given(st.data())
def test_a_journal_cut_anywhere_is_gone_on_with(data):
    with tempfile.TemporaryDirectory() as temporary:
        at = Path(temporary, "journal")
        _, whole = run(at)
        content = at.read_bytes()
        cut = data.draw(st.integers(0, len(content)))
        at.write_bytes(content[:cut])
        kept = max(content[:cut].count(b"\n") - 1, 0)
        done, result = run(at)
        assert len(done) == len(PATHS) - kept
        assert result == whole
        assert run(at) == ([], whole)


def test_a_line_that_is_no_json_costs_its_file_only(tmp_path):
    at = tmp_path / "journal"
    _, whole = run(at)
    lines = at.read_bytes().splitlines(keepends=True)
    lines[2] = b"\0" * (len(lines[2]) - 1) + b"\n"
    at.write_bytes(b"".join(lines))
    done, result = run(at)
    assert done == [PATHS[2]]  # the second line after the header: the last file came first
    assert result == whole


def test_pieces_of_a_slide_are_kept_and_those_of_another_version_left_out(tmp_path):
    at = tmp_path / "journal"
    tiles = list(tile_grid(900, 300, 420, 60))
    even = dict.fromkeys(CELL_TYPES, 1 / len(CELL_TYPES))
    white = Cell("wbc", Box(1 / 3, 2, 90, 80), 0.1, "uncertain", "basophil", even, attributes={})
    found = [
        TileResult(tiles[0], (white, Cell("rbc", Box(1, 2, 30, 0.1), 0.7)), None),
        TileResult(tiles[1], (), "Out of focus."),
        TileResult(tiles[2], (), None),
    ]
    with Journal(at, MODELS, resume=False) as journal:
        list(journal.pending(PATHS))
        for result in found:
            journal.add_piece(1, PieceResult((result,)))
    lines = at.read_text().splitlines(keepends=True)
    lines[3] = lines[3].replace('"refused"', '"declined"')
    at.write_text("".join(lines))
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
    resource.setrlimit(resource.RLIMIT_FSIZE, (at.stat().st_size + 20, hard))
    try:
        with pytest.raises(BatchError, match="Make room"):
            run(at)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not at.read_bytes().endswith(b"\n")
    done, (images, _) = run(at)
    assert (done, len(images)) == (PATHS[2:], 4)


def test_every_line_is_on_disk_before_the_next_answer(tmp_path):
    at = tmp_path / "journal"
    with Journal(at, MODELS, resume=False) as journal:
        for number, (place, path) in enumerate(journal.pending(PATHS), 1):
            journal.add(place, [answer(path)])
            lines = at.read_text("utf-8").splitlines()
            assert json.loads(lines[number])["images"] == [answer(path)]
