"""What a worker does at a time: a file, or a few tiles of a slide."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from core.batch.discover import shown
from core.domain.results import FailedFile, FieldAnalysis, FieldImage
from core.errors import InputError
from core.exports.schema import AnalyzedField, Answer
from core.imaging.decoder import decoded_from
from core.imaging.duplicates import stored_form
from core.imaging.wsi import Tile
from core.inference.pipeline import Analyzer, get_analyzer
from core.inference.site_profile import SiteProfile
from core.inference.tasks import or_failure
from core.model_card import check_models
from core.slides.analysis import analyze_tile, analyze_tiles

FINGERPRINT = "fingerprint"
"""Key in the answers of jobs; `core.batch.writers` removes it."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job:
    """A file of a batch, or some tiles of it when it is a slide."""

    index: int
    """Of the file in the batch, from 0."""
    path: Path
    tiles: tuple[Tile, ...] = ()

    @property
    def file(self) -> str:
        """The path as text."""
        return shown(self.path)


@dataclass(frozen=True, slots=True)
class JobRunner:
    """Runs jobs with the models of its process, which are loaded once. Sent to every worker."""

    task: Callable[[Analyzer, FieldImage, SiteProfile | None], Any]
    """What to do with an image. A function of a module: workers import it by name."""
    models: str
    """`models_fingerprint` of the machine that started the batch."""
    profile: SiteProfile | None = None
    folder: Path = field(default_factory=Path.cwd)
    """Where relative paths start, whatever folder a worker runs in."""
    tile_task: Callable[[Analyzer, FieldImage, SiteProfile | None], FieldAnalysis] = analyze_tile
    """What to do with a tile of a slide."""

    def __call__(self, job: Job) -> tuple[Any, ...] | FailedFile:
        """Return what `task` returns for every image of a file, or the `TileResult` of every tile.

        Raises ModelError when the models cannot be loaded, BatchError when they are not those of
        the machine that started the batch.
        """
        check_models(self.models)
        analyzer, source = get_analyzer(), self.folder / job.path

        def analyze(tile: FieldImage) -> FieldAnalysis:
            return self.tile_task(analyzer, tile, self.profile)

        def run() -> tuple[Any, ...]:
            if job.tiles:
                return tuple(analyze_tiles(source, job.file, job.tiles, analyze))
            check_is_file(source)
            with decoded_from(source) as images:
                named = (replace(image, name=job.file) for image in images)
                return tuple(self.task(analyzer, image, self.profile) for image in named)

        return job_or_failure(job, run)


def job_or_failure(job: Job, run: Callable[[], T]) -> T | FailedFile:
    """Return what a function returns, or why it failed, as a sentence for the user."""

    def read() -> T:
        try:
            return run()
        except FileNotFoundError as error:
            raise InputError("There is no such file. Check the path.") from error
        except OSError as error:
            raise InputError(
                f"This cannot be read ({error.strerror}). Check its path and its rights."
            ) from error

    return or_failure(job.file, read)


def check_is_file(source: Path) -> None:
    """Raise InputError when a path leads to something other than a file, OSError to nothing."""
    mode = source.stat().st_mode
    if stat.S_ISREG(mode):
        return
    if not stat.S_ISDIR(mode):  # reading it might never end
        raise InputError("This is a pipe or a device. Name a file.")
    os.scandir(source).close()
    raise InputError(
        "The folder holds no images that are read here. Name another one, or the files themselves."
    )


def analyze_field(analyzer: Analyzer, image: FieldImage, profile: SiteProfile | None) -> Answer:
    """Return the answer of `analyze` for a field, and the fingerprint to find duplicates by."""
    found = analyzer.analyze(image, profile)
    answer = AnalyzedField.of(found).dump()
    if found.fingerprint is not None:
        answer[FINGERPRINT] = stored_form(found.fingerprint)
    return answer
