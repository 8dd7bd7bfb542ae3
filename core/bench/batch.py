"""Times a batch: fields and tiles of a slide in one and in two processes, fields on a Ray cluster.

Rates are those of a running batch: the first answers, which wait for models, do not count.
"""

import json
import logging
import statistics
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from core.batch.jobs import Job, JobRunner, analyze_field
from core.bench.timing import rate
from core.executors import in_process, in_processes, on_cluster
from core.model_card import models_fingerprint
from core.settings import PROJECT_ROOT
from core.slides.analysis import TILES_PER_BATCH, plan_slide
from core.synthetic.fields import make_field
from core.synthetic.slides import make_slide, write_slide

_FIELDS = 64
_EXAMPLES = 8
_TILE_BATCHES = 8
_WARM = 4
"""Answers of each worker that do not count."""


def batch_figures() -> dict[str, Any]:
    """Return fields per second by workers; Ray's where it is installed (requirements-ray.txt)."""
    run = JobRunner(analyze_field, models_fingerprint())
    local = {n: rate(in_processes(run, _jobs(), n), _WARM * n) for n in (1, 2)}
    answers = [answer for _, answer in in_process(run, islice(_jobs(), _EXAMPLES))]
    figures = {
        "fields_per_second_by_processes": local,
        "two_processes_per_one": local[2] / local[1],
        **_slide_figures(run),
        "answer_bytes_per_field": statistics.mean(len(json.dumps(answer)) for answer in answers),
    }
    if find_spec("ray"):
        cluster = {n: _rate_on_ray(run, n) for n in (1, 2)}
        figures |= {
            "fields_per_second_by_ray_processors": cluster,
            "two_ray_processors_per_one": cluster[2] / cluster[1],
        }
    return figures


def _slide_figures(run: JobRunner) -> dict[str, Any]:
    """Return tiles per second of a synthetic slide, by processes."""
    fields = [(make_field(seed, 900, 900, red_cell_pixels=48), 1000 * seed, 0) for seed in (0, 1)]
    with TemporaryDirectory() as folder:
        path = Path(folder, "synthetic.svs")
        write_slide(make_slide(1900, 900, fields), path)
        batches = plan_slide(path, path.name, None).tile_batches()
        jobs = [Job(0, path, tiles) for tiles in batches if len(tiles) == TILES_PER_BATCH]
        tiles = {
            n: TILES_PER_BATCH * rate(in_processes(run, islice(cycle(jobs), _TILE_BATCHES), n), n)
            for n in (1, 2)
        }
    return {
        "slide_tiles_per_second_by_processes": tiles,
        "two_slide_processes_per_one": tiles[2] / tiles[1],
    }


def _rate_on_ray(run: JobRunner, processors: int) -> float:
    import ray

    ray.init(num_cpus=processors, logging_level=logging.ERROR, log_to_driver=False)
    try:
        return rate(on_cluster(run, _jobs()), _WARM * processors)
    finally:
        ray.shutdown()


def _jobs() -> Iterator[Job]:
    """Yield jobs for the synthetic example fields, 640 x 480 each, over and over."""
    slides = sorted((PROJECT_ROOT / "assets" / "examples").glob("*.jpg"))
    return (Job(index, path) for index, path in enumerate(islice(cycle(slides), _FIELDS)))
