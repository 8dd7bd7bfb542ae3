"""The three tasks of the models: how each runs on an image, and what a failure becomes.

Command line, API and batches run them from here; `core.exports.schema` turns results into answers.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

from core.domain.results import CropResult, FailedFile, FieldAnalysis, FieldImage, StageResult
from core.errors import FAILED_INSIDE, LeukoscopeError
from core.inference.pipeline import Analyzer
from core.inference.site_profile import SiteProfile

T = TypeVar("T")
ResultT = TypeVar("ResultT", FieldAnalysis, CropResult, StageResult)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Task(Generic[ResultT]):
    """What the models do with an image."""

    name: Literal["analyze", "classify", "stage"]
    run: Callable[[Analyzer, FieldImage, SiteProfile | None], ResultT]
    """A function of a module, so that it can be sent to other processes."""


def _analyze(analyzer: Analyzer, image: FieldImage, profile: SiteProfile | None) -> FieldAnalysis:
    return analyzer.analyze(image, profile)


def _classify(analyzer: Analyzer, image: FieldImage, profile: SiteProfile | None) -> CropResult:
    return analyzer.classify(image, profile)


def _stage(analyzer: Analyzer, image: FieldImage, _profile: SiteProfile | None) -> StageResult:
    # Maps and cells are drawn, not written.
    return replace(analyzer.stage(image), cam=None, analysis=None)


ANALYZE = Task("analyze", _analyze)
"""Find, count and type the cells of a field."""
CLASSIFY = Task("classify", _classify)
"""Type the cell of an image that shows one cell."""
STAGE = Task("stage", _stage)
"""Grade an ALL field."""


def or_failure(file: str, run: Callable[[], T]) -> T | FailedFile:
    """Return what a function returns, or why it failed, as a sentence for the user."""
    try:
        return run()
    except LeukoscopeError as error:
        return FailedFile(file, str(error))
    except Exception:
        logger.exception("a file failed")
        return FailedFile(file, FAILED_INSIDE)


def with_profile(versions: Mapping[str, str], profile: SiteProfile | None) -> dict[str, str]:
    """Return the versions of models by name, with the site profile among them."""
    return {**versions, **({} if profile is None else {"profile": profile.title})}


def models_of(
    versions: Mapping[str, str], analysis: FieldAnalysis, stage: StageResult | None
) -> dict[str, str]:
    """Return the versions of the models, and the site profile, behind the results of a field."""
    names = ["detector", "wbc"] if stage is None else ["detector", "wbc", "all_stage"]
    profile = {} if analysis.profile is None else {"profile": analysis.profile}
    return {name: versions[name] for name in names} | profile
