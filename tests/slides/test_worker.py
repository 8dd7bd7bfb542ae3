"""A count in a process of its own finds the same, goes on after its end, and leaves none behind."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from core.errors import FAILED_INSIDE, CountStoppedError, DamagedSlideError
from core.model_card import models_fingerprint
from core.settings import PROJECT_ROOT
from core.slides.counting import SlideCount
from core.slides.tiles import SlideView
from core.slides.worker import TileRunner, analyze_in_process
from tests.slides.test_counting import drawn, find, found, new_count  # noqa: F401 - a fixture


def find_in_tile(_analyzer, image, _profile=None):
    """As `find`. The process imports it by name."""
    return find(image)


def dies(_analyzer, _image, _profile=None):
    os.kill(os.getpid(), signal.SIGKILL)


def fails(_analyzer, _image, _profile=None):
    raise ZeroDivisionError("name" * 2)


def tells_priority(_analyzer, image, _profile=None):
    """Reject the tile with the priority of the process as the reason."""
    return replace(find(image), reject_reason=str(os.getpriority(os.PRIO_PROCESS, 0)))


def count_by(slide, task, path=None):
    run = TileRunner(path or slide.path, slide.name, models_fingerprint(), task)
    return SlideCount(slide, SlideView(slide.path), lambda tiles: analyze_in_process(run, tiles))


def test_a_process_finds_what_this_one_does_and_goes_on(drawn):  # noqa: F811
    alone, count = new_count(drawn), count_by(drawn[0], find_in_tile)
    alone.start(None)
    count.start(10)
    count.wait()
    assert count.error is None
    assert 0 < count.done < len(count.path)
    count.start(None)
    count.wait()
    alone.wait()
    assert found(count) == found(alone)
    assert count.states() == alone.states()


def test_the_process_gives_way_to_the_server(drawn):  # noqa: F811
    count = count_by(drawn[0], tells_priority)
    count.start(None)
    count.wait()
    assert {int(reason) for reason in count.rejections()} == {
        os.getpriority(os.PRIO_PROCESS, 0) + 10
    }


def test_a_process_that_is_killed_is_said_and_loses_nothing(drawn):  # noqa: F811
    slide, _ = drawn
    deadly = []

    def analyze(tiles):
        task = dies if deadly else find_in_tile
        run = TileRunner(slide.path, slide.name, models_fingerprint(), task)
        return analyze_in_process(run, tiles)

    count = SlideCount(slide, SlideView(slide.path), analyze)
    count.start(5)
    count.wait()
    before = found(count)
    deadly.append(True)
    count.start(None)
    count.wait()
    assert count.error == str(CountStoppedError())
    assert found(count) == before
    deadly.clear()
    count.start(None)
    count.wait()
    assert count.error is None
    assert count.done == len(count.path)


def test_a_process_that_is_killed_between_two_tiles_is_said(drawn):  # noqa: F811
    slide, _ = drawn
    before = worker_processes()

    def analyze(tiles):
        run = TileRunner(slide.path, slide.name, models_fingerprint(), find_in_tile)
        for number, result in enumerate(analyze_in_process(run, tiles)):
            yield result
            if number == 2:
                (own,) = worker_processes() - before
                os.kill(own, signal.SIGKILL)

    count = SlideCount(slide, SlideView(slide.path), analyze)
    count.start(None)
    count.wait()
    assert count.error == str(CountStoppedError())
    assert count.done >= 3


def worker_processes():
    """Return the processes that this one has started and that still run."""
    task = Path(f"/proc/{os.getpid()}/task")
    return {int(p) for t in task.iterdir() for p in (t / "children").read_text().split()}


def test_what_goes_wrong_in_the_process_is_said_without_names(drawn, caplog, capfd):  # noqa: F811
    count = count_by(drawn[0], fails)
    count.start(None)
    count.wait()
    assert count.error == FAILED_INSIDE
    assert "in fails" in caplog.text
    assert "namename" not in caplog.text + "".join(capfd.readouterr())


def test_a_slide_that_is_gone_is_said(drawn):  # noqa: F811
    slide, _ = drawn
    count = count_by(slide, find_in_tile, slide.path.with_name("gone.tif"))
    count.start(None)
    count.wait()
    assert count.error == str(DamagedSlideError())


def test_the_process_goes_when_the_server_is_killed(drawn, tmp_path):  # noqa: F811
    slide, _ = drawn
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from core.model_card import models_fingerprint\n"
        "from core.slides.analysis import plan_slide\n"
        "from core.slides.worker import TileRunner, analyze_in_process\n"
        "from tests.slides.test_worker import find_in_tile\n"
        "path = Path(sys.argv[1])\n"
        "run = TileRunner(path, 'slide', models_fingerprint(), find_in_tile)\n"
        "next(analyze_in_process(run, iter(plan_slide(path, 'slide', None).tiles)))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # The process holds the ends of both pipes: this returns when it is gone.
    done = subprocess.run(
        [sys.executable, "-c", script, slide.path],
        cwd=PROJECT_ROOT,
        env={"PYTHONPATH": str(PROJECT_ROOT), "PATH": ""},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -9, done.stderr
