"""Quick tasks for tests of the batch. Workers import them by name."""

import os
import signal
from pathlib import Path

import cv2
import numpy as np

from core.batch.jobs import Job, JobRunner
from core.domain.boxes import Box
from core.domain.results import Cell, FieldAnalysis
from core.domain.taxonomy import CELL_TYPES
from core.exports.schema import AnalyzedField
from core.model_card import models_fingerprint
from core.synthetic.fields import SyntheticCell, SyntheticField
from core.synthetic.slides import GLASS, write_slide


def write_fields(folder: Path, *names: str) -> list[Path]:
    """Write small images, each of another grey."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in names]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((64, 64 + number, 3), 100 + number, np.uint8))
    return paths


def outline(_analyzer, image, profile=None):
    """Answer with one white and one red cell, told by the image's width."""
    even = dict.fromkeys(CELL_TYPES, 1 / len(CELL_TYPES))
    cells = (
        Cell("wbc", Box(image.width / 3, 2, 9, 8), 0.125, "uncertain", "basophil", even),
        Cell("rbc", Box(1, 2, 5, 6.25), 0.75),
    )
    return AnalyzedField.of(
        FieldAnalysis(
            image.name,
            image.sha256,
            image.width,
            image.height,
            image.properties,
            cells if image.width % 2 == 0 else (),
            page=image.page,
        )
    ).dump()


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


def write_spots(path: Path, size=(2400, 1800), scale=0.15, white=15.0) -> list[Box]:
    """Write a slide with round spots of `white` micrometres all over, and return their boxes."""
    width, height = size
    pixels = np.full((height, width, 3), GLASS, np.uint8)
    rng = np.random.default_rng(8)
    radius = int(white / scale / 2)
    pitch = 3 * radius
    boxes = []
    for y in range(pitch, height - pitch, pitch):
        for x in range(pitch, width - pitch, pitch):
            at = (x + int(rng.integers(radius // 2)), y + int(rng.integers(radius // 2)))
            cv2.circle(pixels, at, radius, (90, 40, 120), -1)
            boxes.append(Box(at[0] - radius, at[1] - radius, 2 * radius + 1, 2 * radius + 1))
    cells = tuple(SyntheticCell("rbc", box, None) for box in boxes)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_slide(SyntheticField(pixels, cells, scale), path)
    return boxes


def spots(_analyzer, image, profile=None):
    """Find the dark spots of a tile; reject a tile without any."""
    dark = (image.pixels[..., 1] < 140).astype(np.uint8)
    _, _, found, _ = cv2.connectedComponentsWithStats(dark)
    cells = tuple(
        Cell("rbc", Box(x, y, width, height), 0.5, detection_score=area / 1e5)
        for x, y, width, height, area in found[1:].tolist()
    )
    return FieldAnalysis(
        image.name,
        image.sha256,
        image.width,
        image.height,
        image.properties,
        cells,
        reject_reason=None if cells else "No spots.",
    )


def spots_told(analyzer, image, profile=None):
    """As `spots`, and a byte more in the file `tiles` beside the slide."""
    with Path(image.name).with_name("tiles").open("ab") as stream:
        stream.write(b".")
    return spots(analyzer, image)


def spots_until_killed(analyzer, image, profile=None):
    """As `spots_told`, but the process is killed over the twentieth tile."""
    told = Path(image.name).with_name("tiles")
    if told.exists() and told.stat().st_size == 19:
        os.kill(os.getpid(), signal.SIGKILL)
    return spots_told(analyzer, image)


def spots_not_on_spare(analyzer, image, profile=None):
    """As `spots`, where `stays_on_spare` would answer."""
    stays_on_spare(analyzer, image)
    return spots(analyzer, image)


def fails_over_spots(analyzer, image, profile=None):
    """Fail as a mistake in the program does."""
    raise RuntimeError


def runner(task=outline, tile_task=spots):
    """Return what runs jobs with functions of this module."""
    return JobRunner(task, models_fingerprint(), tile_task=tile_task)


def jobs_for(paths):
    """Return a job for each file."""
    return [Job(index, path) for index, path in enumerate(paths)]


def by_index(results):
    """Return results by the index of their file; each file has one."""
    found = [(job.index, result) for job, result in results]
    assert len(dict(found)) == len(found)
    return dict(found)
