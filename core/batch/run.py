"""The batch: files in, answers out, through an executor and, for `analyze`, a journal."""

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from core.batch.discover import PassedOver, find_files
from core.batch.jobs import Job, JobRunner, job_or_failure
from core.batch.journal import Journal
from core.batch.writers import batch_export, write_result
from core.domain.results import CropResult, FailedFile, StageResult, image_title
from core.errors import BatchError
from core.executors import Engine, run_jobs
from core.exports.batch import write_json
from core.exports.schema import Answer
from core.imaging.wsi import Tile, is_slide
from core.slides.analysis import SlidePlan, TileResult, plan_slide, slide_answer

ResultT = TypeVar("ResultT", CropResult, StageResult)

_SECONDS_BETWEEN_LINES = 10


@dataclass(frozen=True, slots=True)
class Batch:
    """The files and folders to answer for, and how."""

    paths: Sequence[Path]
    out: Path | None = None
    """The file for the result; without it, standard output."""
    jobs: int | None = None
    """Files at a time; None for one here, or one for each processor of a cluster."""
    engine: Engine = "local"
    resume: bool = False
    """Continue a stopped batch with the same `out`."""
    keep_duplicates: bool = False
    """Count cells in every field that shows them."""


def analyze_files(batch: Batch, run: JobRunner, models: Mapping[str, str]) -> tuple[int, int]:
    """Analyse images and slides, write the result, return how many were answered and failed.

    `models` are named in the result. `<out>.journal` holds what is done until the result is whole.
    A resumed batch analyses again what failed, and files whose size or time has changed. Raises
    BatchError, and ModelError when the models cannot be loaded.
    """
    out = batch.out
    with tempfile.TemporaryDirectory() as temporary:
        at = Path(temporary, "journal") if out is None else out.with_name(f"{out.name}.journal")
        compared = {**models, "files": run.models}
        with Journal(at, compared, resume=batch.resume) as journal:
            passed_over = PassedOver()
            number = sum(1 for _ in find_files(batch.paths, passed_over))
            with _progress(number, passed_over) as bar:
                analysis = _Analysis(journal, run, bar)
                jobs = analysis.jobs(batch.paths)
                with closing(run_jobs(run, jobs, batch.engine, batch.jobs)) as results:
                    for job, result in results:
                        analysis.collect(job, result)
                bar.update(journal.finished - bar.n)
            export = batch_export(journal, models, keep_duplicates=batch.keep_duplicates)
            if out is None:
                write_json(export, sys.stdout.buffer)
            else:
                try:
                    write_result(export, out)
                except OSError as error:
                    raise BatchError(
                        f"{out} cannot be written ({error.strerror or error}). Make room, then go "
                        "on with --resume."
                    ) from error
            journal.remove()
            return journal.finished - journal.failed, journal.failed


class _Analysis:
    """Makes jobs of files and collects their results into the journal."""

    def __init__(self, journal: Journal, run: JobRunner, bar: Any) -> None:
        self._journal = journal
        self._run = run
        self._bar = bar
        self._slides: dict[int, tuple[SlidePlan, dict[Tile, TileResult]]] = {}
        """Slides some of whose tiles are analysed, by index of the file; a slide leaves when it is
        done or one of its jobs failed."""

    def jobs(self, paths: Sequence[Path]) -> Iterator[Job]:
        """Yield a job for each image file, and for each batch of tiles of the slides among them.

        Slides are planned here, from their headers. What the journal holds is left out.
        """
        for index, path in self._journal.pending(find_files(paths)):
            job = Job(index, path)
            plan = job_or_failure(job, partial(self._plan, job))
            if plan is None:
                yield job
            elif isinstance(plan, FailedFile):
                self._finish(index, plan)
            else:
                planned = frozenset(plan.tiles)
                done = {f.tile: f for f in self._journal.tiles(index) if f.tile in planned}
                self._slides[index] = plan, done
                self._finish_slide(index)
                for tiles in plan.tile_batches(done):
                    if index in self._slides:
                        yield Job(index, path, tiles)

    def _plan(self, job: Job) -> SlidePlan | None:
        """Return the plan of a slide; None for other files, which workers read or reject."""
        source = self._run.folder / job.path
        if source.is_file() and is_slide(source):
            return plan_slide(source, job.file, self._run.profile)
        return None

    def collect(self, job: Job, result: tuple[Any, ...] | FailedFile) -> None:
        """Write a result to the journal. One failed tile batch fails its slide."""
        if not job.tiles:
            self._finish(job.index, result)
        elif job.index in self._slides:
            if isinstance(result, FailedFile):
                del self._slides[job.index]
                self._finish(job.index, result)
            else:
                self._journal.add_tiles(job.index, result)
                self._slides[job.index][1].update((found.tile, found) for found in result)
                self._finish_slide(job.index)
        done = sum(len(results) for _, results in self._slides.values())
        total = sum(len(plan.tiles) for plan, _ in self._slides.values())
        self._bar.set_postfix_str(f"{done} of {total} tiles" if total else "", refresh=False)
        self._bar.update(0)

    def _finish_slide(self, index: int) -> None:
        """Answer for a slide once all its tiles are analysed."""
        plan, results = self._slides[index]
        if len(results) == len(plan.tiles):
            del self._slides[index]
            self._finish(index, (slide_answer(plan, results.values()),))

    def _finish(self, index: int, answer: tuple[Answer, ...] | FailedFile) -> None:
        self._journal.add(index, answer)
        _log_answer(self._bar, answer, self._journal.finished)


def answer_files(batch: Batch, run: JobRunner) -> tuple[list[Any], list[FailedFile]]:
    """Return the answers in the order of the files and of the images in them, and the failures.

    Nothing is written. Raises BatchError, and ModelError when the models cannot be loaded.
    """
    passed_over = PassedOver()
    found = list(find_files(batch.paths, passed_over))
    jobs = (Job(index, path) for index, path in enumerate(found))
    by_index = {}
    results = run_jobs(run, jobs, batch.engine, batch.jobs)
    with _progress(len(found), passed_over) as bar, closing(results):
        for job, answer in results:
            by_index[job.index] = answer
            _log_answer(bar, answer, len(by_index))
    in_order = [by_index[index] for index in sorted(by_index)]
    failures = [answer for answer in in_order if isinstance(answer, FailedFile)]
    answers = (answer for answer in in_order if not isinstance(answer, FailedFile))
    return list(chain.from_iterable(answers)), failures


def _progress(total: int, passed_over: PassedOver) -> Any:
    """Return a bar with rate and time left on standard error; a log gets few lines of it."""
    seconds = 0.1 if sys.stderr.isatty() else _SECONDS_BETWEEN_LINES
    bar = tqdm(total=total, unit="file", file=sys.stderr, mininterval=seconds, miniters=0)
    _log(bar, passed_over.sentence())
    return bar


def _log_answer(
    bar: Any, answer: Sequence[Answer | CropResult | StageResult] | FailedFile, finished: int
) -> None:
    """Move the bar and name the images that were rejected and the files that failed."""
    bar.update(finished - bar.n)
    if isinstance(answer, FailedFile):
        reasons: list[tuple[str, str | None]] = [(answer.file, answer.error)]
    else:
        reasons = [
            (image_title(item["file"], item["page"]), item["refused"])
            if isinstance(item, dict)
            else (item.title, item.reject_reason)
            for item in answer
        ]
    for name, sentence in reasons:
        if sentence:
            _log(bar, f"{name}: {sentence}")


def _log(bar: Any, sentence: str | None) -> None:
    """Write a line above the bar. Names may hold line breaks, and codes that a terminal obeys."""
    if sentence:
        printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in sentence)
        bar.write(printable, file=sys.stderr)
