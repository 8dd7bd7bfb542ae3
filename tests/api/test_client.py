"""The example client against a server, over a real connection."""

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import uvicorn

from core.api.app import create_app

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server(settings, database, fake):
    """Serve the API under /api at a free port; connections wait until it listens."""
    from starlette.applications import Starlette
    from starlette.routing import Mount

    app = create_app(settings, analyzer=lambda: fake, database=lambda: database)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(Starlette(routes=[Mount("/api", app)]), log_level="warning")
        serving = uvicorn.Server(config)
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        serving.should_exit = True
        thread.join()


def run(*arguments):
    command = [sys.executable, str(ROOT / "examples" / "api_client.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_client_prints_each_field(server, slides, tmp_path):
    names = ("a.jpg", "refused.jpg", "empty.jpg")
    for name, data in zip(names, (slides[0][1], slides[1][1], b""), strict=True):
        (tmp_path / name).write_bytes(data)
    done = run(server, *(str(tmp_path / name) for name in names))
    assert done.returncode == 0, done.stderr
    first, second, third, last = done.stdout.splitlines()
    assert first.startswith("1/3 a.jpg {'neutrophil': 1,")
    assert second.startswith("2/3 refused.jpg This does not look like")
    assert third.startswith("3/3 empty.jpg The file is empty.")
    assert last.endswith("{'images': 2, 'errors': 1, 'refused': 1}")


def test_the_client_says_why_it_was_refused(server, slides, tmp_path):
    done = run(server)
    assert done.returncode != 0
    assert "The content type is not supported" in done.stderr
