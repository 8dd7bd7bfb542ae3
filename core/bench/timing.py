"""Clocks and scales of the bench."""

import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

_REPEATS = 20
_ROUNDS = 7


def median_ms(call: Callable[[], object]) -> float:
    """Return the median time of a call in milliseconds, after one that does not count."""
    call()
    times = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def in_turns(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median over rounds of each call's `median_ms`.

    All have their turn in every round: when the machine slows down or something else runs on it,
    their ratios stay.
    """
    rounds = [{name: median_ms(call) for name, call in calls.items()} for _ in range(_ROUNDS)]
    return {name: statistics.median(own[name] for own in rounds) for name in calls}


def rate(answers: Iterable[object], warm: int) -> float:
    """Return answers per second, counted from the last of the first `warm`."""
    times = [time.perf_counter() for _ in answers]
    return (len(times) - warm) / (times[-1] - times[warm - 1])


def resident_megabytes(process: int | None = None) -> float:
    """Return the resident memory of a process, or of this one, in MB (Linux)."""
    pages = int(Path(f"/proc/{process or 'self'}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
