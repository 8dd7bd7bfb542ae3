"""What the bench of the API counts is what it says, and its load test finds what is wrong."""

import json
import os
import runpy
import subprocess
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import requests
from uvicorn import Config

from core.bench import api as bench_api
from core.errors import BusyError, TooComplexError
from core.exports.schema import AnalyzeAnswer
from core.imaging.limits import measure
from core.inference.pipeline import get_analyzer
from core.settings import PROJECT_ROOT, get_settings
from core.synthetic.examples import synthetic_slides
from tests.images import read_image

LOAD = runpy.run_path(str(PROJECT_ROOT / "benchmarks" / "api_load.py"))


@pytest.fixture
def busy_once():
    """Serve 503 with a Retry-After of 7 s first, then 200; give the address and what came in."""
    bodies = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(503 if len(bodies) == 1 else 200)
            if len(bodies) == 1:
                self.send_header("Retry-After", "7")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}", bodies
        server.shutdown()


def answer(status, content=b"", **headers):
    made = requests.Response()
    made.status_code, made._content = status, content
    made.headers.update(headers)
    return made


def test_calls_count_after_the_warm_up_until_the_end(monkeypatch):
    # Calls end 1 s apart: those at 5 to 14 s lie after the 4 s of warm-up and within 10 s.
    now = [0.0]

    def call():
        now[0] += 1.0

    monkeypatch.setattr(bench_api.time, "perf_counter", lambda: now[0])
    assert bench_api.calls_per_second([call]) == pytest.approx(1.0)


def test_every_thread_begins_with_another_slide():
    slides = [("a", b""), ("b", b""), ("c", b"")]
    turns = [bench_api.turned(slides, k) for k in range(4)]
    names = [[next(turn)[0] for _ in range(4)] for turn in turns]
    assert names == [list("abca"), list("bcab"), list("cabc"), list("abca")]


def test_a_busy_server_is_asked_again_when_it_says(busy_once, monkeypatch):
    address, bodies = busy_once
    waited = []
    monkeypatch.setattr(bench_api.time, "sleep", waited.append)
    request = bench_api.upload(address, "field.jpg", b"the picture")
    assert bench_api.answered(requests.Session(), request).status_code == 200
    assert waited == [7]
    assert len(bodies) == 2
    assert all(b"the picture" in body for body in bodies)


def test_clients_that_wait_as_told_come_back_before_their_connection_is_closed():
    assert BusyError.retry_after < Config(app="").timeout_keep_alive


def test_the_server_answers_as_the_models_do():
    name, content = synthetic_slides()[0]
    with bench_api.serving() as server:
        request = bench_api.upload(f"{server.api}/analyze", name, content)
        given = bench_api.answered(requests.Session(), request).json()
    analyzer = get_analyzer()
    alone = AnalyzeAnswer.of(
        [analyzer.analyze(read_image(content, name))], models=analyzer.versions
    ).dump()
    assert given == json.loads(json.dumps(alone))


def test_a_server_that_does_not_start_tells_why(monkeypatch):
    get_settings()  # this process has its own already
    monkeypatch.setenv("LEUKOSCOPE_INTERPRETERS", "none")
    with pytest.raises(RuntimeError, match="LEUKOSCOPE_INTERPRETERS"), bench_api.serving():
        pass


@pytest.mark.parametrize(
    ("given", "became"),
    [
        (answer(200, b"{}"), "right"),
        (answer(200, b"[]"), "wrong"),
        (answer(503, b"", **{"Retry-After": "3"}), "busy"),
        (answer(503), "status 503"),
        (answer(500), "status 500"),
        (answer(429, b"", **{"Retry-After": "3"}), "status 429"),
    ],
)
def test_answers_under_load_are_judged(given, became):
    assert LOAD["outcome"](given, answer(200, b"{}")) == became


def test_a_refusal_that_was_expected_is_right():
    assert LOAD["outcome"](answer(422, b"damaged"), answer(422, b"damaged")) == "right"


def figures(outcomes, memory):
    tally = LOAD["Tally"](50.0, Counter(outcomes), [1.0] * 99)
    with_decoders = [(own, own + 300) for own in memory]
    return LOAD["summary"](tally, with_decoders, warm_up=30)


def test_the_summary_counts_what_was_answered():
    found = figures({"right": 90, "wrong": 10, "busy": 50, "status 500": 50}, [400.0] * 100)
    assert found["requests"] == 200
    assert found["answered_per_second"] == pytest.approx(2.0)
    assert found["busy_percent"] == pytest.approx(25.0)
    assert found["wrong_answers"] == 10
    assert found["other_errors"] == {"status 500": 50}


@pytest.mark.parametrize(
    ("outcomes", "end", "slowdown", "passed"),
    [
        ({"right": 9, "busy": 1}, 439.0, 1.9, True),
        ({"right": 9, "wrong": 1}, 400.0, 1.0, False),
        ({"right": 9, "status 500": 1}, 400.0, 1.0, False),
        ({"right": 9}, 441.0, 1.0, False),
        ({"right": 9}, 400.0, 2.1, False),
    ],
)
def test_wrong_answers_errors_growth_and_slowness_fail(outcomes, end, slowdown, passed):
    # What the memory does in the warm-up does not count.
    memory = [100.0] * 30 + [400.0] * 60 + [end] * 10
    quiet = figures({"right": 9}, [400.0] * 100)
    found = {"quiet": quiet, "attacked": figures(outcomes, memory), "slowdown_p50": slowdown}
    assert LOAD["passed"](found) == passed


def test_more_memory_than_the_limit_fails():
    quiet = figures({"right": 9}, [400.0] * 100)
    attacked = figures({"right": 9}, [400.0] * 60 + [1001.0] + [400.0] * 39)
    found = {"quiet": quiet, "attacked": attacked, "slowdown_p50": 1.0}
    assert not LOAD["passed"](found)


def test_bombs_are_refused_or_heavy():
    """Those that the load test sends: none of them takes the places of other files."""
    bombs = runpy.run_path(str(PROJECT_ROOT / "benchmarks" / "attacks.py"))["bombs"]()
    for name, data in bombs.items():
        try:
            heavy = measure(data).heavy
        except TooComplexError:
            continue
        assert heavy, name


def test_memory_is_that_of_a_process_and_its_children():
    own, alone = LOAD["memory_of"](os.getpid())
    code = "held = bytearray(100_000_000); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        still, together = LOAD["memory_of"](os.getpid())
        child.communicate(b"\n")
    assert together - alone > 90
    assert still - own < 50
