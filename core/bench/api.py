"""Times the API with 1, 8 and 64 clients beside the core itself, on the same images.

The server is a process of its own, as in use; clients are threads of this one
that keep their connections open.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests

from core.imaging.read import read_images
from core.inference.pipeline import Analyzer
from core.settings import PROJECT_ROOT, get_settings
from core.synthetic.examples import synthetic_slides

_CLIENTS = (1, 8, 64)
_WARM_SECONDS = 4.0
_SECONDS = 10.0
_SECONDS_TO_START = 120
SECONDS_TO_ANSWER = 120
_API_ALONE = (
    "-m uvicorn --factory core.api.app:create_server --http core.api.connections:Connection"
)

Slide = tuple[str, bytes]
"""File name and JPEG bytes."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    api: str
    """Address of its API, such as `http://127.0.0.1:8000/api`."""
    process: int


def api_figures(analyzer: Analyzer) -> dict[str, Any]:
    """Return fields per second by clients, and as shares of the core's own rate.

    The core decodes and analyses the same bytes in as many threads as the API has calls running:
    one for one client, at most as many as there are interpreters.
    """
    slides = synthetic_slides()
    workers = get_settings().interpreters
    api, core = {}, {}
    with serving() as server:
        for clients in _CLIENTS:
            turns = [turned(slides, k) for k in range(clients)]
            # One right after the other: a machine's speed changes within minutes.
            core[clients] = calls_per_second([_core_call(analyzer, t) for t in turns[:workers]])
            api[clients] = calls_per_second([_api_call(server, t) for t in turns])
    return {
        "api_fields_per_second_by_clients": api,
        "core_fields_per_second_by_clients": core,
        "api_per_core_by_clients": {clients: api[clients] / core[clients] for clients in _CLIENTS},
    }


@contextmanager
def serving(command: str = _API_ALONE) -> Iterator[Server]:
    """Run a server with an empty store, no tokens and a very high rate limit.

    `command` holds the arguments of Python. Raises RuntimeError with the server's log when it does
    not become ready.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with TemporaryDirectory() as store, Path(store, "server.log").open("w") as log:
        known = {
            "LEUKOSCOPE_MODELS": str(get_settings().models),
            "LEUKOSCOPE_STORE": store,
            "LEUKOSCOPE_DATABASE_URL": "",
            "LEUKOSCOPE_API_TOKENS": "false",
            "LEUKOSCOPE_API_REQUESTS_PER_MINUTE": "1000000",
        }
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            [sys.executable, *command.split(), "--port", str(port)],
            cwd=PROJECT_ROOT,
            stdout=log,
            stderr=log,
            env=os.environ | known,
        )
        try:
            server = Server(f"http://127.0.0.1:{port}/api", process.pid)
            if not _becomes_ready(server, process):
                raise RuntimeError(f"The server does not start: {Path(log.name).read_text()}")
            yield server
        finally:
            process.kill()  # its store goes with it
            process.wait()


def _becomes_ready(server: Server, process: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + _SECONDS_TO_START
    while process.poll() is None and time.monotonic() < end:
        with suppress(requests.ConnectionError):
            return requests.get(f"{server.api}/health", timeout=SECONDS_TO_ANSWER).ok
        time.sleep(0.2)
    return False


def calls_per_second(calls: Sequence[Callable[[], object]]) -> float:
    """Return how often all calls together are done in a second, each in a thread of its own."""
    begin = time.perf_counter() + _WARM_SECONDS
    end = begin + _SECONDS

    def count(call: Callable[[], object]) -> int:
        done = 0
        while True:
            call()
            now = time.perf_counter()
            if now > end:
                return done
            done += now > begin

    with ThreadPoolExecutor(len(calls)) as pool:
        return sum(pool.map(count, calls)) / _SECONDS


def turned(slides: Sequence[Slide], first: int) -> Iterator[Slide]:
    """Yield the slides over and over, beginning with another for each thread."""
    first %= len(slides)
    return cycle([*slides[first:], *slides[:first]])


def upload(address: str, name: str, content: bytes) -> requests.PreparedRequest:
    """Return the request that sends one image; with an id, because problems repeat it."""
    headers = {"X-Request-ID": "bench"}
    files = {"file": (name, content)}
    return requests.Request("POST", address, headers, files).prepare()


def answered(session: requests.Session, request: requests.PreparedRequest) -> requests.Response:
    """Return the answer; while the server is busy, wait as long as it asks and send again.

    Raises requests.RequestException, also for answers that are errors.
    """
    while True:
        answer = session.send(request, timeout=SECONDS_TO_ANSWER)
        if "Retry-After" not in answer.headers:
            answer.raise_for_status()
            return answer
        time.sleep(int(answer.headers["Retry-After"]))


def _core_call(analyzer: Analyzer, slides: Iterator[Slide]) -> Callable[[], object]:
    images = (read_images(content, name)[0] for name, content in slides)
    return lambda: analyzer.analyze(next(images))


def _api_call(server: Server, slides: Iterator[Slide]) -> Callable[[], object]:
    session = requests.Session()
    sent = (upload(f"{server.api}/analyze", *slide) for slide in slides)
    return lambda: answered(session, next(sent))
