"""Puts a server under load and attack, and checks every answer and its memory.

    python -m benchmarks.api_load [--seconds 300] [--clients 64]

Clients send synthetic images of several sizes and a damaged file to `analyze`, `predict` and
`stage`, in random order. Each answer must equal, byte for byte, the answer before the load. For a
fifth of the time the clients are alone (quiet); then the attacks of `benchmarks/attacks.py` run
beside them (attacked). Prints a summary as JSON and writes it to `benchmarks/api_load.json`.

The exit status is 1 when an answer was wrong, when an error other than "busy" occurred, when the
median latency more than doubled under attack, or when the server's memory grew by more than a tenth
or beyond 1 GB. The memory of its decoder processes, each of which has its own limit, is measured
separately.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from statistics import median
from threading import Event
from typing import Any

import numpy as np
import requests
from PIL import Image

from benchmarks.attacks import attacked, bombs
from core.bench.api import SECONDS_TO_ANSWER, Server, serving, upload
from core.domain.results import Pixels
from core.settings import PROJECT_ROOT
from core.synthetic.examples import synthetic_slides
from core.synthetic.fields import make_cell, make_field

MOST_GROWTH_PERCENT = 10.0
MOST_SLOWDOWN = 2.0
MOST_MEGABYTES = 1000.0
QUIET_SHARE = 0.2
RESULT = PROJECT_ROOT / "benchmarks" / "api_load.json"
TASKS = ("analyze", "predict", "stage")
RIGHT, WRONG, BUSY = "right", "wrong", "busy"
SAMPLES = 10
"""Seconds over which the memory is averaged at the start and at the end of the load."""


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request and its expected answer."""

    request: requests.PreparedRequest
    expected: requests.Response


@dataclass(slots=True)
class Tally:
    """The outcomes of requests."""

    elapsed: float = 0.0
    """Seconds until the last answer to any client."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """Counts of `right`, `wrong`, `busy` and every other error."""
    seconds: list[float] = field(default_factory=list)
    """Latencies of the requests that were not busy."""


def images() -> list[tuple[str, bytes]]:
    """Return fields of several sizes, a cell and a damaged file; `stage` takes the crowded one."""
    (name, slide), *_ = slides = synthetic_slides()[:2]
    fields = {
        "crowded.jpg": make_field(
            2, 400, 300, white_cells=["lymphocyte"] * 60, red_cell_pixels=28
        ).pixels,
        "large.jpg": make_field(1, 1600, 1200, white_cells=6, red_cell_pixels=60).pixels,
        "wide.jpg": make_field(2, 1000, 500, white_cells=3, red_cell_pixels=50).pixels,
        "square.jpg": make_field(3, 320, 320, white_cells=1, red_cell_pixels=60).pixels,
        "cell.jpg": make_cell(4, "monocyte"),
    }
    drawn = [(name, jpeg(pixels)) for name, pixels in fields.items()]
    return [*slides, *drawn, (f"damaged_{name}", slide[: len(slide) // 2])]


def jpeg(pixels: Pixels) -> bytes:
    """Return an image as a JPEG file."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=92)
    return file.getvalue()


def checked_requests(server: Server) -> list[CheckedRequest]:
    """Return every task on every image with its answer without load."""
    requested = [upload(f"{server.api}/{task}", *file) for task in TASKS for file in images()]
    with requests.Session() as session:
        return [
            CheckedRequest(one, session.send(one, timeout=SECONDS_TO_ANSWER)) for one in requested
        ]


def outcome(answer: requests.Response, expected: requests.Response) -> str:
    """Return `right`, `wrong`, `busy` or an unexpected status."""
    if answer.status_code == 503 and "Retry-After" in answer.headers:
        return BUSY
    if answer.status_code != expected.status_code:
        return f"status {answer.status_code}"
    return RIGHT if answer.content == expected.content else WRONG


def client(checked: Sequence[CheckedRequest], seed: int, stop: Event) -> Tally:
    """Send requests in random order until told to stop; wait as long as a busy server asks."""
    order = random.Random(seed)
    tally = Tally()
    with requests.Session() as session:
        while not stop.is_set():
            one = order.choice(checked)
            started = time.perf_counter()
            try:
                answer = session.send(one.request, timeout=SECONDS_TO_ANSWER)
            except requests.RequestException as error:
                tally.outcomes[repr(error)] += 1
                continue
            became = outcome(answer, one.expected)
            tally.outcomes[became] += 1
            if became == BUSY:
                stop.wait(int(answer.headers["Retry-After"]))
            else:
                tally.seconds.append(time.perf_counter() - started)
    return tally


def load(
    server: Server, checked: Sequence[CheckedRequest], clients: int, seconds: int
) -> tuple[Tally, list[tuple[float, float]]]:
    """Return the outcomes of all requests, and each second's memory in MB.

    Memory: of the server, and of the server with its decoders.
    """
    stop = Event()
    memory = []
    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        running = [pool.submit(client, checked, seed, stop) for seed in range(clients)]
        try:
            for _ in range(seconds):
                time.sleep(1)
                memory.append(memory_of(server.process))
        finally:
            stop.set()
    total = Tally(elapsed=time.perf_counter() - started)
    for tally in (future.result() for future in running):
        total.outcomes += tally.outcomes
        total.seconds += tally.seconds
    return total, memory


def memory_of(process: int) -> tuple[float, float]:
    """Return the memory in MB of a process, and of it with its descendants (Pss).

    Shared memory is divided among the processes that share it.
    """
    found, ahead = [], [process]
    while ahead:
        pid = ahead.pop()
        with suppress(OSError, ValueError):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
            found.append(int(rollup.partition("\nPss:")[2].split()[0]) * 1024 / 1e6)
            for task in Path(f"/proc/{pid}/task").iterdir():
                ahead += map(int, (task / "children").read_text("ascii").split())
    return found[0], sum(found)


def summary(tally: Tally, memory: Sequence[tuple[float, float]], warm_up: int) -> dict[str, Any]:
    """Return the measurements of a load: times in seconds, memory in MB, proportions in percent."""
    outcomes = Counter(tally.outcomes)
    right, wrong, busy = (outcomes.pop(key, 0) for key in (RIGHT, WRONG, BUSY))
    server, with_decoders = zip(*memory[warm_up:], strict=True)
    start, end = median(server[:SAMPLES]), median(server[-SAMPLES:])
    half, most = np.percentile(tally.seconds, [50, 95])
    return {
        "requests": tally.outcomes.total(),
        "answered_per_second": (right + wrong) / tally.elapsed,
        "latency_p50_s": float(half),
        "latency_p95_s": float(most),
        "busy_percent": 100 * busy / tally.outcomes.total(),
        "wrong_answers": wrong,
        "other_errors": dict(outcomes),
        "memory_start_megabytes": start,
        "memory_end_megabytes": end,
        "memory_most_megabytes": max(server),
        "memory_most_with_decoders_megabytes": max(with_decoders),
        "memory_growth_percent": 100 * (end / start - 1),
    }


def passed(figures: dict[str, Any]) -> bool:
    """Return whether a server withstood the load."""
    attacked = figures["attacked"]
    return (
        not any(figures[part]["wrong_answers"] for part in ("quiet", "attacked"))
        and not any(figures[part]["other_errors"] for part in ("quiet", "attacked"))
        and figures["slowdown_p50"] <= MOST_SLOWDOWN
        and attacked["memory_growth_percent"] <= MOST_GROWTH_PERCENT
        and attacked["memory_most_megabytes"] <= MOST_MEGABYTES
    )


def main() -> int:
    """Load a server, print the summary and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--warm-up", type=int, default=30, help="seconds before memory counts")
    options = parser.parse_args()
    quiet_seconds = round(QUIET_SHARE * options.seconds)
    bombs()  # before the clock runs
    with serving() as server:
        checked = checked_requests(server)
        quiet = load(server, checked, options.clients, quiet_seconds)
        with attacked(server.api) as answers:
            under = load(server, checked, options.clients, options.seconds - quiet_seconds)
    figures: dict[str, Any] = {
        "seconds": options.seconds,
        "clients": options.clients,
        "quiet": summary(*quiet, min(options.warm_up, quiet_seconds // 2)),
        "attacked": summary(*under, options.warm_up),
        "answers_to_attacks": {name: dict(found) for name, found in answers.items()},
    }
    for quantile in ("p50", "p95"):
        times = [figures[part][f"latency_{quantile}_s"] for part in ("attacked", "quiet")]
        figures[f"slowdown_{quantile}"] = times[0] / times[1]
    text = json.dumps(figures, indent=1)
    RESULT.write_text(f"{text}\n", encoding="utf-8")
    print(text)
    return 0 if passed(figures) else 1


if __name__ == "__main__":
    sys.exit(main())
