"""Processes answer every file once, and die alone."""

import subprocess
import sys

import pytest

from core.batch.jobs import JobRunner, analyze_field
from core.domain.results import FailedFile
from core.errors import BatchError
from core.executors import in_process, in_processes
from core.settings import PROJECT_ROOT
from tests.batch.tasks import (
    by_index,
    dies_always,
    dies_over_one,
    jobs_for,
    outline,
    runner,
    write_fields,
)


def test_processes_answer_as_this_process_does(tmp_path):
    paths = [*write_fields(tmp_path, "a.png", "b.png", "c.png", "d.png"), tmp_path / "none.png"]
    alone = by_index(in_process(runner(), jobs_for(paths)))
    assert by_index(in_processes(runner(), jobs_for(paths), 2)) == alone
    assert isinstance(alone[4], FailedFile)


def test_a_process_that_dies_takes_one_file_with_it(tmp_path):
    paths = write_fields(tmp_path, "a.png", "deadly 1.png", "b.png", "deadly 2.png", "c.png")
    found = by_index(in_processes(runner(dies_over_one), jobs_for(paths), 2))
    lost = {index: found.pop(index) for index in (1, 3)}
    assert found == {
        job.index: answer
        for job, answer in in_process(runner(outline), jobs_for(paths))
        if job.index in (0, 2, 4)
    }
    for index, failed in lost.items():
        assert failed.file == str(paths[index])
        assert "lack of memory" in failed.error


def test_a_batch_whose_processes_all_die_stops(tmp_path):
    paths = write_fields(tmp_path, *(f"{number}.png" for number in range(8)))
    with pytest.raises(BatchError, match="die as soon as they start"):
        list(in_processes(runner(dies_always), jobs_for(paths), 1))


def test_other_models_stop_the_batch(tmp_path):
    paths = write_fields(tmp_path, "a.png")
    with pytest.raises(BatchError, match="other models"):
        list(in_processes(JobRunner(analyze_field, "0" * 64), jobs_for(paths), 1))


def test_processes_go_when_their_parent_is_killed(tmp_path):
    write_fields(tmp_path, *(f"{number}.png" for number in range(4)))
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from core.executors import in_processes\n"
        "from tests.batch.tasks import jobs_for, runner\n"
        "if __name__ == '__main__':\n"
        "    jobs = jobs_for(sorted(Path(sys.argv[1]).iterdir()))\n"
        "    next(in_processes(runner(), jobs, 2))\n"
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
