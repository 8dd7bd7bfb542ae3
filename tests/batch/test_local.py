"""Processes answer every file once, and die alone."""

import subprocess
import sys

import pytest

from core.batch.local import in_process, in_processes
from core.batch.work import Work, analyze_field
from core.domain.results import FailedFile
from core.errors import BatchError
from core.settings import PROJECT_ROOT
from tests.batch.works import dies_always, dies_over_one, outline, work_of, write_fields


def test_processes_answer_as_this_process_does(tmp_path):
    paths = [*write_fields(tmp_path, "a.png", "b.png", "c.png", "d.png"), tmp_path / "none.png"]
    alone = dict(in_process(work_of(), enumerate(paths)))
    assert dict(in_processes(work_of(), enumerate(paths), jobs=2)) == alone
    assert isinstance(alone[4], FailedFile)


def test_a_process_that_dies_takes_one_file_with_it(tmp_path):
    paths = write_fields(tmp_path, "a.png", "deadly 1.png", "b.png", "deadly 2.png", "c.png")
    found = dict(in_processes(work_of(dies_over_one), enumerate(paths), jobs=2))
    lost = {place: found.pop(place) for place in (1, 3)}
    assert found == {
        place: answer
        for place, answer in in_process(work_of(outline), enumerate(paths))
        if place in (0, 2, 4)
    }
    for place, failed in lost.items():
        assert failed.file == str(paths[place])
        assert "want of memory" in failed.error


def test_a_batch_whose_processes_all_die_stops(tmp_path):
    paths = write_fields(tmp_path, *(f"{number}.png" for number in range(8)))
    with pytest.raises(BatchError, match="die as soon as they start"):
        list(in_processes(work_of(dies_always), enumerate(paths), jobs=1))


def test_other_models_stop_the_batch(tmp_path):
    paths = write_fields(tmp_path, "a.png")
    with pytest.raises(BatchError, match="other models"):
        list(in_processes(Work(analyze_field, "0" * 64), enumerate(paths), jobs=1))


def test_processes_go_when_their_parent_is_killed(tmp_path):
    write_fields(tmp_path, *(f"{number}.png" for number in range(4)))
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from core.batch.local import in_processes\n"
        "from tests.batch.works import work_of\n"
        "if __name__ == '__main__':\n"
        "    items = enumerate(sorted(Path(sys.argv[1]).iterdir()))\n"
        "    next(in_processes(work_of(), items, jobs=2))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    (tmp_path / "script.py").write_text(script)
    # Its workers hold the ends of both pipes: this returns when the last of them is gone.
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py", tmp_path],
        cwd=PROJECT_ROOT,
        env={"PYTHONPATH": str(PROJECT_ROOT), "PATH": ""},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -9
