"""No identifier, search text or file name reaches the log of a real server."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from urllib.parse import quote

import pytest
import requests

from core.settings import PROJECT_ROOT

NAME = "Katarzyna"
FAILING = """
import logging, sys
from core.api.logs import set_up_logging
set_up_logging()
uvicorn = logging.getLogger("uvicorn.error")
try:
    try:
        raise KeyError("Katarzyna")
    except KeyError as error:
        raise ExceptionGroup("Katarzyna", [ValueError("Katarzyna")]) from error
except ExceptionGroup:
    logging.getLogger("streamlit.error_util").exception("Uncaught app execution")
uvicorn.warning('%s - "WebSocket %s" [accepted]', "127.0.0.1:1", "/_stcore/stream?link=Katarzyna")
"""


@pytest.fixture
def server(tmp_path):
    """Start the API with the access log of uvicorn; give its address and its log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path / "log"
    environment = {
        **os.environ,
        "LEUKOSCOPE_STORE": str(tmp_path / "store"),
        "LEUKOSCOPE_MODELS": str(tmp_path / "models"),
    }
    environment.pop("LEUKOSCOPE_DATABASE_URL", None)
    command = ["-m", "uvicorn", "--factory", "core.api.app:create_server", "--port", str(port)]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=PROJECT_ROOT,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        address = f"http://127.0.0.1:{port}/api"
        try:
            for _ in range(300):
                if process.poll() is not None or ask(f"{address}/model_info") is not None:
                    break
                time.sleep(0.2)
            yield address, log
        finally:
            process.terminate()
            process.wait(20)


def ask(address, body=None, **headers):
    """Return the status of an answer, None without one."""
    method = "GET" if body is None else "POST"
    try:
        return requests.request(method, address, data=body, headers=headers, timeout=20).status_code
    except requests.ConnectionError:
        return None


def test_a_server_writes_no_names_into_its_log(server):
    address, log = server
    json_body = {"Content-Type": "application/json"}
    patient = json.dumps({"identifier": NAME, "name": NAME}).encode()
    assert ask(f"{address}/patients", patient, **json_body) == 201
    assert ask(f"{address}/patients", patient, **json_body) == 422
    assert ask(f"{address}/patients?search={NAME}") == 200
    assert ask(f"{address}/patients/{NAME}") == 422
    assert ask(f"{address}/{NAME}") == 404
    assert ask(f"{address}/patients?search={quote(NAME)}%00") == 200
    form = (
        f'--x\r\nContent-Disposition: form-data; name="file"; filename="{NAME}.png"\r\n\r\n'
        "no picture\r\n--x--\r\n"
    ).encode()
    assert ask(
        f"{address}/predict", form, **{"Content-Type": "multipart/form-data; boundary=x"}
    ) in (415, 503)
    written = log.read_text()
    assert len(re.findall("HTTP/1.1", written)) >= 7, "the access log is on"
    found = [line for line in written.splitlines() if NAME.casefold() in line.casefold()]
    # The server's own access log has the address without its query.
    assert all(f"/{NAME} HTTP" in line for line in found)


def test_traces_say_where_and_of_what_kind_but_not_what():
    done = subprocess.run(
        [sys.executable, "-c", FAILING],
        capture_output=True,
        text=True,
        check=True,
        cwd=PROJECT_ROOT,
    )
    lines = [line for line in done.stderr.splitlines() if "raise " not in line]
    assert not [line for line in lines if NAME in line]
    for kind in ("KeyError", "ValueError", "ExceptionGroup"):
        assert f"builtins.{kind}" in done.stderr
    assert "/_stcore/stream" in done.stderr
    assert "Uncaught app execution" in done.stderr
