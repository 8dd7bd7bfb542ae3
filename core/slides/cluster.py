"""Tiles of a slide that a Ray cluster analyses while the slide is counted."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from core.domain.results import FailedFile
from core.errors import BatchError
from core.executors import on_cluster
from core.imaging.wsi import Tile
from core.inference.tasks import or_failure
from core.model_card import check_models
from core.slides.analysis import TileResult
from core.slides.worker import TileRunner

_TILES_PER_JOB = 4
"""Opening the slide costs a worker a quarter of a tile; what is under way when a count has enough
cells is counted too."""


@dataclass(frozen=True, slots=True)
class _TileJob:
    """A few tiles of a slide."""

    file: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class _JobRunner:
    """Sent to every worker of the cluster."""

    run: TileRunner

    def __call__(self, job: _TileJob) -> tuple[TileResult, ...] | FailedFile:
        """Return what was found. Raises BatchError for other models."""
        check_models(self.run.models)
        return or_failure(job.file, lambda: tuple(self.run.analyze(job.tiles)))


def analyze_on_cluster(run: TileRunner, tiles: Iterator[Tile]) -> Iterator[TileResult]:
    """Analyse tiles on the cluster, several at a time; yield results as they come.

    Tiles are taken when workers are free. Raises BatchError and ModelError.
    """
    with closing(on_cluster(_JobRunner(run), _jobs(run.name, tiles))) as answers:
        for _, found in answers:
            if isinstance(found, FailedFile):
                raise BatchError(
                    "A worker of the Ray cluster was stopped, or cannot read the slide. All "
                    "machines must have the slide under the same path, and enough memory."
                )
            yield from found


def _jobs(name: str, tiles: Iterator[Tile]) -> Iterator[_TileJob]:
    while some := tuple(islice(tiles, _TILES_PER_JOB)):
        yield _TileJob(name, some)
