"""A process that analyses the tiles of a count, with a lower priority than the server.

In the server a count would hold the interpreter lock for which the tiles of a screen wait, and the
priority of a thread does not help there: the kernel lets others run while it has the lock.
"""

import logging
import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

from core.domain.results import FieldAnalysis, FieldImage
from core.errors import FAILED_INSIDE, BatchError, CountStoppedError, LeukoscopeError
from core.imaging.wsi import Tile
from core.inference.pipeline import Analyzer, get_analyzer
from core.inference.site_profile import SiteProfile
from core.model_card import check_models
from core.settings import PROJECT_ROOT
from core.slides.analysis import TileResult, analyze_tile, analyze_tiles

_NICE = 10

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TileRunner:
    """Analyses tiles of a slide with the models of its process. Sent to every worker."""

    path: Path
    """The same on all machines."""
    name: str
    models: str
    """`models_fingerprint` of the machine that counts."""
    task: Callable[[Analyzer, FieldImage, SiteProfile | None], FieldAnalysis] = analyze_tile
    """A function of a module: workers import it by name."""

    def analyze(self, tiles: Iterable[Tile]) -> Iterator[TileResult]:
        """Analyse tiles one by one.

        Raises DamagedSlideError, ModelError, and BatchError for other models.
        """
        check_models(self.models)
        analyzer = get_analyzer()

        def analyze(image: FieldImage) -> FieldAnalysis:
            return self.task(analyzer, image, None)

        return analyze_tiles(self.path, self.name, tiles, analyze)


@dataclass(frozen=True, slots=True)
class _Failure:
    sentence: str
    trace: str = ""
    """Where an unexpected error arose; its text may hold a file name and is left out."""


def analyze_in_process(run: TileRunner, tiles: Iterator[Tile]) -> Iterator[TileResult]:
    """Analyse tiles one by one in a new process, which ends with them or with this one.

    Raises CountStoppedError when it ends before, BatchError with what it says.
    """
    try:
        with _started() as worker:
            assert worker.stdin
            assert worker.stdout
            _send(run, worker.stdin)
            for tile in tiles:
                _send(tile, worker.stdin)
                answer = pickle.load(worker.stdout)  # noqa: S301 - of our own process
                if isinstance(answer, _Failure):
                    if answer.trace:
                        logger.error("a tile failed\n%s", answer.trace)
                    raise BatchError(answer.sentence)
                yield answer
    # Around `with`, which flushes the pipe again as it ends.
    except (EOFError, BrokenPipeError, pickle.UnpicklingError) as error:
        raise CountStoppedError from error


def _started() -> "subprocess.Popen[bytes]":
    # Not by `multiprocessing`: as for the decoders, it would run the page that is being drawn.
    paths = os.pathsep.join(filter(None, (str(PROJECT_ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-c", "from core.slides.worker import serve; serve()"],
        env=os.environ | {"PYTHONPATH": paths, "LEUKOSCOPE_INTERPRETERS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def _send(what: object, stream: IO[bytes]) -> None:
    pickle.dump(what, stream)
    stream.flush()


def serve() -> NoReturn:
    """Analyse the tiles that come by standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # left to the server
    os.nice(_NICE)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print
    with suppress(BrokenPipeError):  # the server is gone
        try:
            run: TileRunner = pickle.load(sys.stdin.buffer)  # noqa: S301 - of our own process
            for result in run.analyze(_tiles()):
                _send(result, answers)
        except LeukoscopeError as error:
            _send(_Failure(str(error)), answers)
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 - the server says it
            trace = "".join(traceback.format_tb(error.__traceback__))
            _send(_Failure(FAILED_INSIDE, f"{trace}{type(error).__name__}"), answers)
    os._exit(0)


def _tiles() -> Iterator[Tile]:
    with suppress(EOFError):
        while True:
            yield pickle.load(sys.stdin.buffer)  # noqa: S301
