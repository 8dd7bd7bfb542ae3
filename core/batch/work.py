"""What a worker does with one task. A `Work` travels to other processes and machines."""

import hashlib
import logging
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import cv2

from core.batch.discover import shown
from core.batch.tiles import (
    Piece,
    PieceResult,
    SlidePlan,
    analyze_piece,
    analyze_tile,
    plan_slide,
)
from core.domain.results import CropResult, FailedFile, FieldAnalysis, FieldImage, StageResult
from core.errors import FAILED_INSIDE, BatchError, LeukoscopeError
from core.exports.answers import Answer, field_answer
from core.imaging.decoder import decoded_from
from core.imaging.duplicates import stored_form
from core.imaging.wsi import is_slide
from core.inference.pipeline import Analyzer, get_analyzer
from core.inference.site_profile import SiteProfile
from core.model_card import MODEL_NAMES, load_card
from core.settings import get_settings

FINGERPRINT = "fingerprint"
"""Key in answers under way, which `core.batch.writers` takes out."""
Task = Path | Piece
Step = tuple[Answer, ...] | SlidePlan | PieceResult
"""What comes back of a task of `analyze`: an answer for every image of a file, or a step towards
that of a slide."""

AnswerT = TypeVar("AnswerT")
AnswerT_co = TypeVar("AnswerT_co", covariant=True)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Work(Generic[AnswerT_co]):
    """Answers for files with the models of the process it is in, which are loaded once.

    `AnswerT` is a tuple of what `answer` returns for every image of a file, or a step of a slide.
    """

    answer: Callable[[Analyzer, FieldImage, SiteProfile | None], Any]
    """Answers for one image. A function of a module: workers import it by name."""
    models: str
    """`models_fingerprint` of the machine that began the batch."""
    profile: SiteProfile | None = None
    folder: Path = field(default_factory=Path.cwd)
    """Where relative paths start, whatever folder a worker runs in."""

    def __call__(self, task: Task) -> AnswerT_co | FailedFile:
        """Answer for all images of a file; failures become sentences.

        Raises ModelError when the models cannot be loaded, BatchError when they are others.
        """
        _check_models(self.models)
        analyzer = get_analyzer()
        path = path_of(task)
        name = shown(path)
        source = self.folder / path
        try:
            if sentence := _no_file(source):
                return FailedFile(name, sentence)
            return self._answer(analyzer, task, source)
        except LeukoscopeError as error:
            return FailedFile(name, str(error))
        except FileNotFoundError:
            return FailedFile(name, "There is no such file. Check the path.")
        except OSError as error:
            sentence = f"This cannot be read ({error.strerror}). Check its path and its rights."
            return FailedFile(name, sentence)
        except Exception:
            logger.exception("the analysis of a file failed")
            return FailedFile(name, FAILED_INSIDE)

    def _answer(self, analyzer: Analyzer, task: Task, source: Path) -> AnswerT_co:
        name = shown(path_of(task))
        with decoded_from(source) as images:
            answers = tuple(
                self.answer(analyzer, replace(image, name=name), self.profile) for image in images
            )
        return cast("AnswerT_co", answers)


@dataclass(frozen=True, slots=True)
class AnalysisWork(Work[Step]):
    """As `Work`, and of slides it makes a plan, then analyses their pieces."""

    tile: Callable[[Analyzer, FieldImage, SiteProfile | None], FieldAnalysis] = analyze_tile

    def _answer(self, analyzer: Analyzer, task: Task, source: Path) -> Step:
        if isinstance(task, Piece):
            return analyze_piece(
                source, task, lambda image: self.tile(analyzer, image, self.profile)
            )
        if is_slide(source):
            return plan_slide(source, task, analyzer.detector.first_side, self.profile)
        return Work._answer(self, analyzer, task, source)  # noqa: SLF001 - super() and slots


def analyze_field(analyzer: Analyzer, image: FieldImage, profile: SiteProfile | None) -> Answer:
    """Return what `analyze` says of a field, and the fingerprint it is compared with others by."""
    found = analyzer.analyze(image, profile)
    answer = field_answer(found)
    if found.fingerprint is not None:
        answer[FINGERPRINT] = stored_form(found.fingerprint)
    return answer


def classify_cell(analyzer: Analyzer, image: FieldImage, profile: SiteProfile | None) -> CropResult:
    """Name the cell of a picture that shows one cell."""
    return analyzer.classify(image, profile)


def stage_field(analyzer: Analyzer, image: FieldImage, _profile: SiteProfile | None) -> StageResult:
    """Grade a field, without its evidence map: maps are drawn, not written."""
    return replace(analyzer.stage(image), cam=None)


def models_fingerprint() -> str:
    """Return one SHA-256 over those of all model files. Raises ModelError."""
    checksums = "".join(load_card(name).sha256 for name in MODEL_NAMES)
    return hashlib.sha256(checksums.encode()).hexdigest()


@cache
def _check_models(expected: str) -> None:
    """See that this machine has the models of the one that began the batch."""
    if models_fingerprint() != expected:
        raise BatchError(
            "A worker has other models than the machine that began the batch. "
            "Bring all machines to one version, then go on with --resume."
        )


def _no_file(source: Path) -> str | None:
    """Say what a path leads to when it is no file. Raises OSError."""
    mode = source.stat().st_mode
    if stat.S_ISREG(mode):
        return None
    if not stat.S_ISDIR(mode):  # reading it might never end
        return "This is a pipe or a device. Name a file."
    os.scandir(source).close()
    return (
        "The folder holds no images that are read here. Name another one, or the files themselves."
    )


def use_one_core() -> None:
    """Keep this process, one of several on a machine, to one thread. Call before any answer."""
    os.environ |= {"LEUKOSCOPE_THREADS": "1", "LEUKOSCOPE_INTERPRETERS": "1"}
    get_settings.cache_clear()
    cv2.setNumThreads(1)


def path_of(task: Task) -> Path:
    """Return the file that a task is about."""
    return task.path if isinstance(task, Piece) else task


def lost(task: Task) -> FailedFile:
    """Return the answer for a file whose worker died over it."""
    return FailedFile(
        shown(path_of(task)),
        "The worker was stopped while it analysed this file, most likely for want of memory. "
        "Analyse it again with fewer jobs.",
    )
