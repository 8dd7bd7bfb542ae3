"""What the bench times is what it says."""

import subprocess
import sys

import pytest

from core.bench import timing


def test_the_first_answers_do_not_count(monkeypatch):
    clock = iter([0.0, 50.0, 100.0, 100.5, 101.0, 101.5, 102.0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    assert timing.rate(range(7), warm=3) == pytest.approx(2.0)


def test_the_median_leaves_out_the_first_call(monkeypatch):
    # A first call of 100 s, then calls of 2 ms with one of 5 s among them.
    durations = [0.002] * 20
    durations[7] = 5
    now = [0.0]
    calls = iter([100, *durations])

    def call():
        now[0] += next(calls)

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    assert timing.median_ms(call) == pytest.approx(2.0)


def test_a_machine_that_slows_down_leaves_the_ratios(monkeypatch):
    now, calls = [0.0], [0]

    def lasting(seconds):
        def call():
            calls[0] += 1
            now[0] += seconds * (1 + calls[0] / 100)  # slower with every call

        return call

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    times = timing.in_turns({"slow": lasting(0.05), "fast": lasting(0.001)})
    assert times["slow"] / times["fast"] == pytest.approx(50, rel=0.1)


HOLD = """
import numpy as np
from core.bench.timing import resident_megabytes
before = resident_megabytes()
held = np.ones(40_000_000, np.uint8)
print(resident_megabytes() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux")
def test_memory_grows_with_what_is_held():
    # In a process of its own: one that has freed memory before may be given that back unseen.
    grown = subprocess.run([sys.executable, "-c", HOLD], capture_output=True, text=True, check=True)
    assert float(grown.stdout) == pytest.approx(40, abs=10)
