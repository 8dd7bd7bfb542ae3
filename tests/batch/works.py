"""Quick work for tests of the batch. Workers import it by name."""

import os
import signal
from pathlib import Path

import cv2
import numpy as np

from core.batch.work import Work, models_fingerprint
from core.reports.answers import field_answer
from core.results import Box, Cell, FieldAnalysis
from core.taxonomy import CELL_TYPES


def write_fields(folder: Path, *names: str) -> list[Path]:
    """Write small pictures, each of another grey."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in names]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((64, 64 + number, 3), 100 + number, np.uint8))
    return paths


def outline(_analyzer, image, profile=None):
    """Answer with one white and one red cell, told by the picture's width."""
    even = dict.fromkeys(CELL_TYPES, 1 / len(CELL_TYPES))
    cells = (
        Cell("wbc", Box(image.width / 3, 2, 9, 8), 0.125, "uncertain", "basophil", even),
        Cell("rbc", Box(1, 2, 5, 6.25), 0.75),
    )
    return field_answer(
        FieldAnalysis(
            image.name,
            image.sha256,
            image.width,
            image.height,
            image.properties,
            cells if image.width % 2 == 0 else (),
        )
    )


def marked(analyzer, image, profile=None):
    """As `outline`, but it shows that it was at work."""
    return outline(analyzer, image) | {"height": 0}


def dies_over_one(analyzer, image, profile=None):
    """As `outline`, but the process is killed over a file whose name begins with `deadly`."""
    if Path(image.name).name.startswith("deadly"):
        os.kill(os.getpid(), signal.SIGKILL)
    return outline(analyzer, image)


def dies_always(analyzer, image, profile=None):
    """Kill the process."""
    os.kill(os.getpid(), signal.SIGKILL)


def stays_on_spare(analyzer, image, profile=None):
    """Never answer on the node that the file `spare` names; elsewhere wait till it has a file."""
    import ray

    folder = Path(image.name).parent
    if ray.get_runtime_context().get_node_id() == (folder / "spare").read_text():
        with (folder / "meeting").open("rb"):  # a pipe: opens when the other end does
            signal.pause()
    elif not (folder / "met").exists():
        (folder / "meeting").open("wb").close()
        (folder / "met").touch()
    return outline(analyzer, image)


def work_of(answer=outline):
    """Wrap a function of this module."""
    return Work(answer, models_fingerprint())
