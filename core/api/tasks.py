"""The three things that the models do with a picture, and their answers in the contract."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from core.api.uploads import Upload
from core.domain.results import CropResult, FailedFile, FieldAnalysis, FieldImage, StageResult
from core.errors import FAILED_INSIDE, LeukoscopeError, NoSuchPageError, SeveralImagesError
from core.exports.answers import Answer, analyze_answer, classify_answer, stage_answer
from core.imaging.decoder import decoded
from core.imaging.duplicates import Finder, count_once
from core.inference.field_classifier import pool
from core.inference.pipeline import Analyzer
from core.inference.site_profile import SiteProfile
from core.settings import Settings

ResultT = TypeVar("ResultT", FieldAnalysis, CropResult, StageResult)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Models:
    """The loaded models, and the site profile that a request asks for."""

    analyzer: Analyzer
    profile: SiteProfile | None = None

    @property
    def versions(self) -> dict[str, str]:
        """Names and versions, for answers."""
        profile = {} if self.profile is None else {"profile": self.profile.title}
        return self.analyzer.versions | profile


@dataclass(frozen=True, slots=True)
class Task(Generic[ResultT]):
    """One of them."""

    name: str
    run: Callable[[Models, FieldImage], ResultT]
    answer: Callable[[Models, Sequence[ResultT], Sequence[FailedFile]], Answer]
    compare: Callable[[Sequence[ResultT], Finder], tuple[ResultT, ...]] = lambda results, _finder: (
        tuple(results)
    )
    """Marks what earlier files of the request show too."""


def _stage(models: Models, image: FieldImage) -> StageResult:
    return replace(models.analyzer.stage(image), cam=None)  # maps are drawn, not written


def _stage_answer(
    models: Models, results: Sequence[StageResult], failures: Sequence[FailedFile]
) -> Answer:
    pooled = pool(results, models.analyzer.stage_grader.thresholds) if results else None
    return stage_answer(results, pooled, failures)


CLASSIFY: Task[CropResult] = Task(
    "classify",
    lambda models, image: models.analyzer.classify(image, models.profile),
    lambda _models, results, failures: classify_answer(results, failures),
)
ANALYZE: Task[FieldAnalysis] = Task(
    "analyze",
    lambda models, image: models.analyzer.analyze(image, models.profile),
    lambda models, results, failures: analyze_answer(results, failures, models=models.versions),
    count_once,
)
STAGE: Task[StageResult] = Task("stage", _stage, _stage_answer)


def answer_upload(
    task: Task[ResultT],
    models: Models,
    upload: Upload,
    settings: Settings,
    finder: Finder,
) -> tuple[ResultT, ...] | FailedFile:
    """Do the task with every image of a file; failures become sentences.

    `finder` knows the files of the request before this one.
    """
    try:
        with decoded(upload.read(), upload.name, settings=settings) as images:
            results = [task.run(models, image) for image in images]
        return task.compare(results, finder)
    except LeukoscopeError as error:
        return FailedFile(upload.name, str(error))
    except Exception:
        logger.exception("%s of a picture failed", task.name)
        return FailedFile(upload.name, FAILED_INSIDE)


@contextmanager
def one_image(upload: Upload, page: int | None, settings: Settings) -> Iterator[FieldImage]:
    """Give the image of a file, or that of a page of it, as `decoded` does.

    Raises InputError, also when there are several and no page is named, or no such page.
    """
    with decoded(upload.read(), upload.name, settings=settings) as images:
        if page is None and len(images) > 1:
            raise SeveralImagesError(len(images))
        found = next((image for image in images if page in {None, image.page}), None)
        if found is None:
            raise NoSuchPageError(page or 1, [image.page for image in images])
        yield found
