"""The batch: files in, answers out, through an engine and, for `analyze`, a journal."""

import sys
import tempfile
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from tqdm import tqdm

from core.batch.discover import PassedOver, find_files
from core.batch.journal import Journal
from core.batch.local import Item, in_process, in_processes
from core.batch.slides import Tasks
from core.batch.work import AnswerT, Step, Work
from core.batch.writers import batch_export, write_result
from core.domain.results import CropResult, FailedFile, StageResult, image_title
from core.errors import BatchError
from core.exports.answers import Answer
from core.exports.batch import write_json

Engine = Literal["local", "ray"]
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
    """Go on where a stopped batch with the same `out` left."""
    keep_duplicates: bool = False
    """Count cells in every field that shows them."""


def analyze_files(batch: Batch, work: Work[Step], models: Mapping[str, str]) -> tuple[int, int]:
    """Analyse pictures and slides, write the result, return how many were answered and failed.

    `models` are named in the result. What is done stands in `<out>.journal` until the result is
    whole. A resumed batch analyses again what failed and files whose size or
    time has changed. Raises BatchError, and ModelError when the models cannot be loaded.
    """
    out = batch.out
    with tempfile.TemporaryDirectory() as temporary:
        at = Path(temporary, "journal") if out is None else out.with_name(f"{out.name}.journal")
        compared = {**models, "files": work.models}
        with Journal(at, compared, resume=batch.resume) as journal:
            passed_over = PassedOver()
            number = sum(1 for _ in find_files(batch.paths, passed_over))
            with _progress(number) as bar:
                _write(bar, passed_over.sentence())
                tasks = Tasks(journal, find_files(batch.paths))
                with closing(_answers(batch, work, tasks)) as steps:
                    for place, step in steps:
                        answer = tasks.take(place, step)
                        bar.set_postfix_str(tasks.progress(), refresh=False)
                        if answer is None:
                            bar.update(0)
                            continue
                        journal.add(place, answer)
                        _tell(bar, answer, journal.finished)
                bar.update(journal.finished - bar.n)
            result = batch_export(journal, models, keep_duplicates=batch.keep_duplicates)
            if out is None:
                write_json(result, sys.stdout.buffer)
            else:
                try:
                    write_result(result, out)
                except OSError as error:
                    raise BatchError(
                        f"{out} cannot be written ({error.strerror or error}). Make room, then go "
                        "on with --resume."
                    ) from error
            journal.remove()
            return journal.finished - journal.failed, journal.failed


def answer_files(
    batch: Batch, work: Work[tuple[ResultT, ...]]
) -> tuple[list[ResultT], list[FailedFile]]:
    """Return the answers in the order of the files and of the images in them, and the failures.

    Nothing is written.

    Raises BatchError, and ModelError when the models cannot be loaded.
    """
    passed_over = PassedOver()
    found = list(find_files(batch.paths, passed_over))
    by_place = {}
    with (
        _progress(len(found)) as bar,
        closing(_answers(batch, work, enumerate(found))) as answers,
    ):
        _write(bar, passed_over.sentence())
        for place, answer in answers:
            by_place[place] = answer
            _tell(bar, answer, len(by_place))
    in_order = [by_place[place] for place in sorted(by_place)]
    return (
        [item for answer in in_order if not isinstance(answer, FailedFile) for item in answer],
        [answer for answer in in_order if isinstance(answer, FailedFile)],
    )


def _answers(
    batch: Batch, work: Work[AnswerT], items: Iterable[Item]
) -> Generator[tuple[int, AnswerT | FailedFile], None, None]:
    """Choose the engine."""
    if batch.engine == "ray":
        try:
            from core.batch.cluster import on_cluster
        except ImportError as error:
            raise BatchError(
                "Ray is not installed. Install requirements-ray.txt, or use the local engine."
            ) from error
        yield from on_cluster(work, items, batch.jobs)
    elif batch.jobs is None or batch.jobs == 1:
        yield from in_process(work, items)
    else:
        yield from in_processes(work, items, batch.jobs)


def _progress(total: int) -> Any:
    """Return a bar with rate and time left on standard error; a log gets few lines of it."""
    seconds = 0.1 if sys.stderr.isatty() else _SECONDS_BETWEEN_LINES
    return tqdm(total=total, unit="file", file=sys.stderr, mininterval=seconds, miniters=0)


def _tell(
    bar: Any, answer: Sequence[Answer | CropResult | StageResult] | FailedFile, finished: int
) -> None:
    """Move the bar and name the images that were rejected and the files that failed."""
    bar.update(finished - bar.n)
    if isinstance(answer, FailedFile):
        said: list[tuple[str, str | None]] = [(answer.file, answer.error)]
    else:
        said = [
            (image_title(item["file"], item["page"]), item["refused"])
            if isinstance(item, dict)
            else (item.title, item.reject_reason)
            for item in answer
        ]
    for name, sentence in said:
        if sentence:
            _write(bar, f"{name}: {sentence}")


def _write(bar: Any, sentence: str | None) -> None:
    """Write a line above the bar. Names may hold line breaks, and codes that a terminal obeys."""
    if sentence:
        printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in sentence)
        bar.write(printable, file=sys.stderr)
