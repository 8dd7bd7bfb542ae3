"""Tiles of a slide that a Ray cluster analyses while the slide is counted."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from core.domain.results import FailedFile, FieldAnalysis, FieldImage
from core.errors import BatchError
from core.executors import on_cluster
from core.imaging.wsi import Tile
from core.inference.pipeline import Analyzer, get_analyzer
from core.inference.site_profile import SiteProfile
from core.inference.tasks import or_failure
from core.model_card import check_models
from core.slides.analysis import TileResult, analyze_tile, analyze_tiles

_TILES_PER_JOB = 4
"""Opening the slide costs a worker a quarter of a tile; what is under way when a count has enough
cells is counted too."""


@dataclass(frozen=True, slots=True)
class TileJob:
    """A few tiles of a slide."""

    file: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class TileRunner:
    """Analyses tiles of a slide with the models of its process. Sent to every worker."""

    path: Path
    """The same on all machines."""
    models: str
    """`models_fingerprint` of the machine that counts."""
    task: Callable[[Analyzer, FieldImage, SiteProfile | None], FieldAnalysis] = analyze_tile
    """A function of a module: workers import it by name."""

    def __call__(self, job: TileJob) -> tuple[TileResult, ...] | FailedFile:
        """Return what was found. Raises ModelError, and BatchError for other models."""
        check_models(self.models)
        analyzer = get_analyzer()

        def analyze(image: FieldImage) -> FieldAnalysis:
            return self.task(analyzer, image, None)

        return or_failure(
            job.file, lambda: tuple(analyze_tiles(self.path, job.file, job.tiles, analyze))
        )


def analyze_on_cluster(run: TileRunner, name: str, tiles: Iterator[Tile]) -> Iterator[TileResult]:
    """Analyse tiles on the cluster, several at a time; yield results as they come.

    Tiles are taken when workers are free. Raises BatchError and ModelError.
    """
    with closing(on_cluster(run, _jobs(name, tiles))) as answers:
        for _, found in answers:
            if isinstance(found, FailedFile):
                raise BatchError(
                    "A worker of the Ray cluster was stopped, or cannot read the slide. All "
                    "machines must have the slide under the same path, and enough memory."
                )
            yield from found


def _jobs(name: str, tiles: Iterator[Tile]) -> Iterator[TileJob]:
    while some := tuple(islice(tiles, _TILES_PER_JOB)):
        yield TileJob(name, some)
