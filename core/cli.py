"""The command line, `python -m core`.

Answers go to standard output or `--out`, everything else to standard error. The exit status is 0
when at least one file was answered, 2 when none was, 130 after Ctrl-C. Heavy modules are imported
by the command that needs them, after its arguments were read.
"""

import argparse
import errno
import json
import logging
import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from core.domain.results import FailedFile
    from core.exports.schema import Part
    from core.inference.site_profile import SiteProfile
    from core.inference.tasks import Task

ANSWERED, NONE_ANSWERED, INTERRUPTED = 0, 2, 130
_LAST_PORT = 65535

# Commands whose module brings `add_arguments(parser)` and `run(arguments) -> int`.
_MODULES = {
    "train": ("core.training.run", "train a model"),
    "quantize": ("core.training.quantize", "ship a model's file in 8-bit integers"),
    "adapt": ("core.adaptation.site", "learn a site's look from its reviewed cells"),
    "evaluate": ("core.training.evaluate.run", "measure a model on its test sets"),
    "bench": ("core.bench.run", "time the models and the analysis of a field"),
    "synthetic": ("core.exports.synthetic", "make synthetic fields with their exact truth"),
    "data": ("core.datasets.download", "list the public data sets, or get one"),
    "audit": ("core.cases.audit", "check the audit trail of the case database"),
    "backup": ("core.cases.backup", "copy everything that is stored into one file"),
    "restore": ("core.cases.restore", "fill an empty place from a backup"),
    "token": ("core.cases.tokens", "add, list or revoke tokens of the API"),
    "users": ("core.cases.users", "list, bind, release or remove users"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = arguments[0] if arguments else ""
    options = _parser(command).parse_args(arguments)
    from core.api.logs import keep_private
    from core.errors import LeukoscopeError

    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    keep_private()

    try:
        _check_out(options)
        return int(options.run(options))
    except KeyboardInterrupt:
        resumes = "resume" in options and options.out is not None
        if command == "train":
            _echo("Stopped. The same command goes on where it was.")
        else:
            _echo(f"Stopped. No answer was written{'; --resume goes on with --out' * resumes}.")
        return INTERRUPTED
    except LeukoscopeError as error:
        _echo(str(error))
        return NONE_ANSWERED
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        # The reader of our output left, as `head` does, or there is no room for it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.ENOSPC:
            _echo("The disk is full. Make room, then run the command again.")
        return NONE_ANSWERED


def _parser(command: str) -> argparse.ArgumentParser:
    """Describe all commands; of `_MODULES` only the chosen one is imported."""
    parser = argparse.ArgumentParser(
        prog="python -m core",
        description="Leukoscope: find, count and type blood cells in smear images. "
        "For research and teaching use. Not for diagnosis.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, run, text in (
        ("analyze", _analyze, "find, count and type the cells of fields and whole slides"),
        ("classify", _classify, "type single cells; each file is one cell crop"),
        ("stage", _stage, "grade ALL fields, one by one and pooled"),
    ):
        sub = commands.add_parser(name, help=text, description=f"{text.capitalize()}.")
        sub.add_argument(
            "paths", nargs="+", type=Path, metavar="PATH", help="image, slide, or folder of them"
        )
        sub.add_argument(
            "--out",
            type=Path,
            metavar="FILE.json",
            help="write here, not to standard output; analyze may write FILE.parquet, a row a cell",
        )
        sub.add_argument(
            "--jobs",
            type=partial(_number, "a positive whole number", sys.maxsize),
            metavar="N",
            help="files at a time, each in its own process (1; on a cluster all its processors)",
        )
        if name != "stage":
            sub.add_argument("--profile", metavar="NAME_OR_FILE", help="profile of the site")
        if name == "analyze":
            sub.add_argument(
                "--resume", action="store_true", help="go on where a stopped batch left --out"
            )
            sub.add_argument(
                "--keep-duplicates",
                action="store_true",
                help="count cells in every field that shows them, not in the first one only",
            )
            sub.add_argument(
                "--engine",
                choices=("local", "ray"),
                default="local",
                help="%(default)s, or a cluster",
            )
        sub.set_defaults(run=run)
    for name, (module, text) in _MODULES.items():
        sub = commands.add_parser(name, help=text, description=f"{text.capitalize()}.")
        if name == command:
            implementation = import_module(module)
            implementation.add_arguments(sub)
            sub.set_defaults(run=implementation.run)
    port = partial(_number, f"a port: 1 to {_LAST_PORT}", _LAST_PORT)
    serve = commands.add_parser("serve", help="serve pages and API", description="Serve the app.")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    serve.add_argument("--port", default=8501, type=port, help="port (%(default)s)")
    serve.set_defaults(run=_serve)
    return parser


def _number(noun: str, most: int, text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text} is not {noun}")
    return int(text)


def _analyze(options: argparse.Namespace) -> int:
    from core.batch.jobs import JobRunner, analyze_field
    from core.batch.run import Batch, analyze_files
    from core.errors import BatchError
    from core.inference.tasks import with_profile
    from core.model_card import MODEL_NAMES, load_card, models_fingerprint

    if options.out is None and options.resume:
        raise BatchError("--resume goes on where --out was left. Name that file with --out.")
    profile = _profile(options)
    models = with_profile({name: load_card(name).version for name in MODEL_NAMES}, profile)
    chosen = ("paths", "out", "jobs", "engine", "resume", "keep_duplicates")
    batch = Batch(**{name: getattr(options, name) for name in chosen})
    run_job = JobRunner(analyze_field, models_fingerprint(), profile)
    return _status(*analyze_files(batch, run_job, models))


def _classify(options: argparse.Namespace) -> int:
    from core.exports.schema import ClassifyAnswer
    from core.inference.tasks import CLASSIFY

    results, failures = _results(options, CLASSIFY)
    _write(ClassifyAnswer(images=results, errors=failures), options.out)
    return _status(len(results), len(failures))


def _stage(options: argparse.Namespace) -> int:
    from core.exports.schema import StageAnswer
    from core.inference.field_classifier import pool
    from core.inference.tasks import STAGE
    from core.model_card import load_card

    results, failures = _results(options, STAGE)
    thresholds = load_card("all_stage").thresholds.decision
    pooled = pool(results, thresholds) if results else None
    _write(StageAnswer(images=results, pooled=pooled, errors=failures), options.out)
    return _status(len(results), len(failures))


def _results(
    options: argparse.Namespace, task: "Task[Any]"
) -> "tuple[list[Any], list[FailedFile]]":
    from core.batch.jobs import JobRunner
    from core.batch.run import Batch, answer_files
    from core.model_card import models_fingerprint

    run_job = JobRunner(task.run, models_fingerprint(), _profile(options))
    return answer_files(Batch(options.paths, jobs=options.jobs), run_job)


def _serve(options: argparse.Namespace) -> NoReturn:
    """Become the server: what serves the pages is no part of core.

    Raises OpenAddressError, SignInSettingsError.
    """
    from core.access import auth_section, check_sign_in, get_access
    from core.settings import PROJECT_ROOT

    check_sign_in(auth_section())
    get_access().check_address(options.host)
    host, port = options.host, str(options.port)
    # Streamlit's own command starts the same server, but without limits on slow connections.
    command = [sys.executable, "-m", "uvicorn", "asgi:app", "--app-dir", str(PROJECT_ROOT)]
    limits = ["--http", "core.api.connections:Connection", "--ws", "websockets-sansio"]
    line = [*command, "--host", host, "--port", port, *limits, "--no-access-log"]
    known = {"STREAMLIT_SERVER_ADDRESS": host, "STREAMLIT_SERVER_PORT": port}
    os.execve(sys.executable, line, os.environ | known)  # noqa: S606 - our own interpreter


def _check_out(options: argparse.Namespace) -> None:
    """Check before the work that `--out` can be written and is not an image file."""
    out: Path | None = getattr(options, "out", None)
    if out is None:
        return
    from core.errors import LeukoscopeError
    from core.exports.batch import BATCH_FORMATS
    from core.imaging.formats import SUFFIXES
    from core.imaging.wsi import SLIDE_SUFFIXES

    if out.suffix.lower() in SUFFIXES | SLIDE_SUFFIXES or out in getattr(options, "paths", ()):
        raise LeukoscopeError(f"{out} is the name of an image file. Name a .json file.")
    if out.suffix in BATCH_FORMATS.keys() - {".json"} and options.run is not _analyze:
        raise LeukoscopeError(f"Only `analyze` writes {out.suffix}. Name a .json file.")
    try:
        if out.is_dir():
            raise IsADirectoryError
        TemporaryFile(dir=out.absolute().parent).close()
    except OSError as error:
        raise LeukoscopeError(
            f"{out} cannot be written. Name a file in a folder that exists and is yours to write."
        ) from error


def _profile(options: argparse.Namespace) -> "SiteProfile | None":
    from core.inference.site_profile import load_profile
    from core.model_card import load_card

    profile = getattr(options, "profile", None)
    return None if profile is None else load_profile(profile, load_card("wbc").sha256)


def _write(answer: "Part", out: Path | None) -> None:
    """Write the answer whole or not at all. Raises LeukoscopeError."""
    from core.errors import LeukoscopeError
    from core.files import write_atomically

    text = json.dumps(answer.dump(), ensure_ascii=False, allow_nan=False, indent=2) + "\n"
    if out is None:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
        return
    try:
        write_atomically(out, text)
    except OSError as error:
        raise LeukoscopeError(
            f"{out} cannot be written ({error.strerror}). Make room or name another file."
        ) from error


def _status(answered: int, failed: int) -> int:
    """Say how many files were answered and return the exit status."""
    _echo(f"{answered} of {answered + failed} files answered.")
    return ANSWERED if answered else NONE_ANSWERED


def _echo(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)  # noqa: T201
