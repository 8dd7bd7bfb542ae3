"""The command line, `python -m core`.

Answers go to standard output or `--out`, everything else to standard error. The exit status is 0
when at least one file was answered, 2 when none was, 130 after Ctrl-C. Heavy modules are imported
by the command that needs them, after its arguments were read.
"""

import argparse
import json
import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from core.inference.analyzer import Analyzer
    from core.inference.profile import SiteProfile
    from core.results import CropResult, FailedFile, FieldAnalysis, FieldImage, StageResult

    Result = FieldAnalysis | CropResult | StageResult

T = TypeVar("T")
R = TypeVar("R")
ResultT = TypeVar("ResultT", bound="Result")
OutcomeT = TypeVar("OutcomeT", bound="Result | FailedFile")

ANSWERED, NONE_ANSWERED, INTERRUPTED = 0, 2, 130

# Commands whose module brings `add_arguments(parser)` and `run(arguments) -> int`.
_MODULES = {
    "train": ("core.learning.train", "train a model"),
    "adapt": ("core.learning.adapt", "learn a site's look from its reviewed cells"),
    "evaluate": ("core.learning.evaluate", "measure a model on its test sets"),
    "bench": ("core.bench", "time the models and the whole way of a field"),
    "data": ("core.learning.public", "list the public data sets, or get one"),
    "audit": ("core.cases.audit", "check the audit trail of the case database"),
}

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser(arguments[0] if arguments else "").parse_args(arguments)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    from core.errors import LeukoscopeError

    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        _say("Stopped. No answer was written.")
        return INTERRUPTED
    except LeukoscopeError as error:
        _say(str(error))
        return NONE_ANSWERED
    except BrokenPipeError:  # the reader of our output left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NONE_ANSWERED


def _parser(command: str) -> argparse.ArgumentParser:
    """Describe all commands; of `_MODULES` only the chosen one is imported."""
    parser = argparse.ArgumentParser(
        prog="python -m core",
        description="Leukoscope: find, count and type blood cells in smear pictures. "
        "For research and teaching use. Not for diagnosis.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, run, text in (
        ("analyze", _analyze, "find, count and type the cells of fields"),
        ("classify", _classify, "type single cells; each file is one cell crop"),
        ("stage", _stage, "grade ALL fields, one by one and pooled"),
    ):
        sub = commands.add_parser(name, help=text, description=f"{text.capitalize()}.")
        _add_file_arguments(sub)
        if name != "stage":
            sub.add_argument("--profile", metavar="NAME_OR_FILE", help="profile of the site")
        sub.set_defaults(run=run)
    for name, (module, text) in _MODULES.items():
        sub = commands.add_parser(name, help=text, description=f"{text.capitalize()}.")
        if name == command:
            implementation = import_module(module)
            implementation.add_arguments(sub)
            sub.set_defaults(run=implementation.run)
    serve = commands.add_parser("serve", help="serve pages and API", description="Serve the app.")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    serve.add_argument("--port", default=8501, type=_positive, help="port (%(default)s)")
    serve.set_defaults(run=_serve)
    return parser


def _add_file_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="picture, or folder of pictures"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE.json", help="write here, not to standard output"
    )
    parser.add_argument(
        "--jobs", type=_positive, default=1, metavar="N", help="files at a time (%(default)s)"
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def _analyze(options: argparse.Namespace) -> int:
    from core.reports.answers import analyze_answer

    analyzer = _open_analyzer(options)
    profile = _profile(options, analyzer)
    results, failures = _answer_files(options, partial(analyzer.analyze, profile=profile))
    models = analyzer.versions | ({} if profile is None else {"profile": profile.title})
    answer = analyze_answer(results, failures, models=models)
    return _finish(answer, options.out)


def _classify(options: argparse.Namespace) -> int:
    from core.reports.answers import classify_answer

    analyzer = _open_analyzer(options)
    profile = _profile(options, analyzer)
    results, failures = _answer_files(options, partial(analyzer.classify, profile=profile))
    return _finish(classify_answer(results, failures), options.out)


def _stage(options: argparse.Namespace) -> int:
    from core.inference.stage import pool
    from core.reports.answers import stage_answer

    analyzer = _open_analyzer(options)

    def stage(image: "FieldImage") -> "StageResult":
        return replace(analyzer.stage(image), evidence=None)  # maps are drawn, not written

    results, failures = _answer_files(options, stage)
    pooled = pool(results, analyzer.stage_grader.threshold) if results else None
    return _finish(stage_answer(results, pooled, failures), options.out)


def _serve(options: argparse.Namespace) -> int:
    from streamlit.web import cli

    from core.settings import PROJECT_ROOT

    app = str(PROJECT_ROOT / "asgi.py")
    address = ["--server.address", options.host, "--server.port", str(options.port)]
    cli.main(["run", app, *address], standalone_mode=False)
    return ANSWERED


def _open_analyzer(options: argparse.Namespace) -> "Analyzer":
    """Load the models, but first see that the answer can be written."""
    from core.errors import LeukoscopeError
    from core.inference.analyzer import get_analyzer

    out: Path | None = options.out
    if out is not None and (out.is_dir() or not os.access(out.absolute().parent, os.W_OK)):
        raise LeukoscopeError(f"{out} cannot be written. Name a file in a folder that exists.")
    return get_analyzer()


def _profile(options: argparse.Namespace, analyzer: "Analyzer") -> "SiteProfile | None":
    from core.inference.profile import load_profile

    if options.profile is None:
        return None
    return load_profile(options.profile, analyzer.classifier.model_sha256)


def _answer_files(
    options: argparse.Namespace, answer: Callable[["FieldImage"], ResultT]
) -> tuple[list[ResultT], list["FailedFile"]]:
    """Answer for every file in the order given; one bad file never stops the others."""
    from core.results import FailedFile

    found = list(find_files(options.paths))
    results: list[ResultT] = []
    failures: list[FailedFile] = []

    def work(path: Path) -> "ResultT | FailedFile":
        return answer_file(path, answer)

    for outcome in _with_progress(in_order(work, found, options.jobs), len(found)):
        if isinstance(outcome, FailedFile):
            failures.append(outcome)
        else:
            results.append(outcome)
    return results, failures


def find_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield files as named and the pictures in folders, sorted, without hidden ones.

    A folder without any picture is yielded itself, to become an error with its name.
    """
    from core.imaging.read import SUFFIXES

    for path in paths:
        if not path.is_dir():
            yield path
            continue
        pictures = []
        for folder, subfolders, names in os.walk(path):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            pictures += [
                Path(folder, name)
                for name in names
                if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
            ]
        yield from sorted(pictures) or [path]


def answer_file(path: Path, answer: Callable[["FieldImage"], ResultT]) -> "ResultT | FailedFile":
    """Read one picture and answer for it under its path; failures become sentences."""
    from core.errors import LeukoscopeError
    from core.imaging.read import read_image_file
    from core.results import FailedFile

    shown = os.fsencode(path).decode("utf-8", "replace")
    try:
        if path.is_dir():
            return FailedFile(shown, "The folder holds no pictures. Name another one.")
        return replace(answer(read_image_file(path)), file=shown)
    except LeukoscopeError as error:
        return FailedFile(shown, str(error))
    except FileNotFoundError:
        return FailedFile(shown, "There is no such file. Check the path.")
    except OSError as error:
        return FailedFile(shown, f"The file cannot be read ({error.strerror}). Check its rights.")
    except Exception:
        logger.exception("analysis of %s failed", shown)
        return FailedFile(shown, "The analysis failed inside the program. Report it, please.")


def in_order(work: Callable[[T], R], items: Iterable[T], jobs: int) -> Iterator[R]:
    """Yield `work(item)` in the order of items, from `jobs` threads that run little ahead."""
    pending: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(jobs)
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > 2 * jobs:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _with_progress(outcomes: Iterable[OutcomeT], total: int) -> Iterator[OutcomeT]:
    """Pass outcomes on and report on standard error: a bar on a terminal, else lines."""
    from core.results import FailedFile

    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(outcomes, total=total, unit="file", file=sys.stderr)
        return
    for number, outcome in enumerate(outcomes, 1):
        state = outcome.error if isinstance(outcome, FailedFile) else outcome.refused or "done"
        _say(f"{number}/{total} {outcome.file}: {state}")
        yield outcome


def _finish(answer: dict[str, Any], out: Path | None) -> int:
    """Write the answer whole or not at all and return the exit status."""
    text = json.dumps(answer, ensure_ascii=False, allow_nan=False, indent=2) + "\n"
    if out is None:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
    else:
        part = out.with_name(f".{out.name}.{os.getpid()}.part")
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)
    images, errors = len(answer["images"]), len(answer["errors"])
    _say(f"{images} of {images + errors} files answered.")
    return ANSWERED if images else NONE_ANSWERED


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)  # noqa: T201
