"""A batch from folder to file: killed and resumed, JSON and Parquet."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from pyarrow import parquet

from core.batch.run import Batch, analyze_files, answer_files
from core.errors import BatchError
from core.inference.tasks import STAGE
from core.settings import PROJECT_ROOT
from tests.batch.tasks import marked, runner, write_fields
from tests.images import slide_pixels, stack

MODELS = {"detector": "1", "wbc": "2", "all_stage": "3"}


@pytest.fixture
def folder(tmp_path):
    slides = tmp_path / "slides"
    write_fields(slides, "a.png", "b.png", "c/deadly.png", "d.png", "e.png")
    (slides / "broken.png").write_bytes(b"no picture")
    return slides


def file_name(entry):
    return Path(entry["file"]).name


def test_a_killed_batch_is_resumed_without_repeating_or_losing_a_file(folder, tmp_path):
    out = tmp_path / "answer.json"
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from core.batch.run import Batch, analyze_files\n"
        "from tests.batch.tasks import dies_over_one, runner\n"
        f"batch = Batch([Path({str(folder)!r})], Path({str(out)!r}))\n"
        f"analyze_files(batch, runner(dies_over_one), {MODELS!r})\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT_ROOT, capture_output=True, check=False
    )
    assert killed.returncode == -9
    assert not out.exists()
    journal = out.with_name("answer.json.journal")
    with closing(sqlite3.connect(journal)) as database:
        done = "SELECT path FROM files WHERE images IS NOT NULL OR error IS NOT NULL"
        paths = [Path(os.fsdecode(path)) for (path,) in database.execute(done)]
    assert [path.name for path in paths] == ["a.png", "b.png", "broken.png"]

    assert analyze_files(Batch([folder], out, resume=True), runner(marked), MODELS) == (5, 1)
    assert not journal.exists()
    images = json.loads(out.read_text())["images"]
    assert [(file_name(image), image["height"] == 0) for image in images] == [
        ("a.png", False),
        ("b.png", False),
        ("deadly.png", True),
        ("d.png", True),
        ("e.png", True),
    ]


def test_one_and_several_jobs_write_the_same_bytes(folder, tmp_path):
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    assert analyze_files(Batch([folder], one), runner(), MODELS) == (5, 1)
    assert analyze_files(Batch([folder], two, jobs=2), runner(), MODELS) == (5, 1)
    assert two.read_bytes() == one.read_bytes()
    answer = json.loads(one.read_bytes())
    assert list(answer) == ["models", "images", "errors"]
    assert answer["models"] == MODELS
    files = [image["file"] for image in answer["images"]]
    assert files == sorted(files)
    assert [file_name(entry) for entry in answer["errors"]] == ["broken.png"]


def test_parquet_has_every_cell_field_and_failure(folder, tmp_path):
    out, table = tmp_path / "answer.json", tmp_path / "answer.parquet"
    analyze_files(Batch([folder], out), runner(), MODELS)
    analyze_files(Batch([folder], table), runner(), MODELS)
    answer = json.loads(out.read_bytes())
    found = parquet.read_table(table)
    assert json.loads(found.schema.metadata[b"models"]) == MODELS
    rows = found.to_pylist()
    by_file = {}
    for row in rows:
        by_file.setdefault(row["file"], []).append(row)
    assert list(by_file) == [e["file"] for e in answer["images"] + answer["errors"]]
    for image in answer["images"]:
        rows = by_file[image["file"]]
        assert {(row["image_width"], row["image_height"]) for row in rows} == {
            (image["width"], image["height"])
        }
        assert {row["wbc"] for row in rows} == {image["counts"]["wbc"]}
        cells = [row for row in rows if row["kind"]]
        assert len(rows) == max(len(cells), 1)
        assert [row["number"] for row in cells] == list(range(1, len(image["cells"]) + 1))
        for row, cell in zip(cells, image["cells"], strict=True):
            assert [row[key] for key in ("x", "y", "width", "height")] == cell["box"]
            assert (row["type"], row["status"]) == (cell.get("type"), cell["status"])
            found_probabilities = {k: row[f"p_{k}"] for k in cell.get("probabilities", {})}
            assert found_probabilities == cell.get("probabilities", {})
    assert [by_file[e["file"]][0]["error"] for e in answer["errors"]] == [
        e["error"] for e in answer["errors"]
    ]


def test_every_image_of_a_file_is_answered_with_its_page(tmp_path):
    (tmp_path / "stack.tif").write_bytes(stack(slide_pixels(0), slide_pixels(1)))
    out, table = tmp_path / "answer.json", tmp_path / "answer.parquet"
    assert analyze_files(Batch([tmp_path], out), runner(), MODELS) == (1, 0)
    images = json.loads(out.read_bytes())["images"]
    assert [(file_name(image), image["page"]) for image in images] == [
        ("stack.tif", 1),
        ("stack.tif", 2),
    ]
    analyze_files(Batch([tmp_path / "stack.tif"], table), runner(), MODELS)
    assert {row["page"] for row in parquet.read_table(table).to_pylist()} == {1, 2}
    stages, failures = answer_files(Batch([tmp_path / "stack.tif"]), runner(STAGE.run))
    assert ([stage.page for stage in stages], failures) == ([1, 2], [])


def test_a_result_that_cannot_be_written_leaves_the_journal(folder, tmp_path, monkeypatch):
    out = tmp_path / "answer.json"

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("core.batch.run.write_result", full)
        with pytest.raises(BatchError, match="No space left"):
            analyze_files(Batch([folder], out), runner(), MODELS)
    monkeypatch.setattr("core.batch.jobs.decoded_from", full)
    assert analyze_files(Batch([folder], out, resume=True), runner(), MODELS) == (5, 1)


def test_progress_shows_rate_and_time_left_and_names_failures(folder, tmp_path, capfd):
    analyze_files(Batch([folder], tmp_path / "answer.json"), runner(), MODELS)
    messages = capfd.readouterr().err
    assert "6/6 [00:0" in messages
    assert "file/s]" in messages
    assert f"{folder / 'broken.png'}: This is not an image." in messages


def test_single_cells_and_stages_come_in_the_order_of_the_files(folder):
    stages, failures = answer_files(Batch([folder], jobs=2), runner(STAGE.run))
    assert [Path(stage.file).name for stage in stages] == [
        "a.png",
        "b.png",
        "deadly.png",
        "d.png",
        "e.png",
    ]
    assert all(stage.cam is None for stage in stages)
    assert [Path(failure.file).name for failure in failures] == ["broken.png"]


def test_files_that_are_passed_over_are_named(folder, capfd):
    (folder / "c" / "notes.txt").touch()
    answer_files(Batch([folder]), runner(STAGE.run))
    messages = capfd.readouterr().err
    assert "Passed over 1 file without the ending of an image" in messages
    assert "notes.txt" in messages
