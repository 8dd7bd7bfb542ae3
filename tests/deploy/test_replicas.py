"""Two replicas of the app behind nginx with one PostgreSQL and one folder, all real, on loopback.

The proxy runs on `deploy/nginx.conf` as it is, but for its addresses and folders.
"""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests
from websockets.sync.client import connect

from core.settings import PROJECT_ROOT

SECONDS = 90
BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
REPLICA = "X-Replica"

pytestmark = [
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed"),
    pytest.mark.skipif(BINARIES is None, reason="PostgreSQL is not installed"),
]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def postgresql():
    """Run a database server and give its address. It refuses to run as root."""
    root = getpass.getuser() == "root"
    user = ["runuser", "-u", "postgres", "--"] if root else []
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        if root:
            shutil.chown(folder, "postgres")

        def run(program, *arguments):
            command = [*user, str(BINARIES / program), "-D", f"{folder}/data", *arguments]
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)

        run("initdb", "-U", "leukoscope", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k '{folder}' -c fsync=off"
        run("pg_ctl", "-w", "-l", f"{folder}/log", "-o", options, "start")
        try:
            yield f"postgresql://leukoscope@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-m", "immediate", "stop")


@contextmanager
def running(*command, **environment):
    """Run a program in the project's folder until the block ends."""
    process = subprocess.Popen(
        command,
        cwd=PROJECT_ROOT,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def nginx_settings(folder, port, replicas):
    """Return the shipped configuration with loopback addresses; it tells who answered."""
    text = (PROJECT_ROOT / "deploy" / "nginx.conf").read_text()
    cookie = "add_header Set-Cookie"
    for shipped, here in (
        ("listen 8080", f"listen 127.0.0.1:{port}"),
        ("server app-1:8501", f"server 127.0.0.1:{replicas[0]}"),
        ("server app-2:8501", f"server 127.0.0.1:{replicas[1]}"),
        ("/tmp/", f"{folder}/"),  # noqa: S108 - what stands in the file
        ("/dev/stdout", f"{folder}/access.log"),
        ("/dev/stderr", f"{folder}/error.log"),
        (cookie, f"add_header {REPLICA} $upstream_addr always;\n{cookie}"),
    ):
        assert shipped in text
        text = text.replace(shipped, here)
    return text


def wait_until_ready(address, *processes):
    for _ in range(2 * SECONDS):
        assert all(process.poll() is None for process in processes), "a server ended"
        try:
            if requests.get(f"{address}/api/health", timeout=5).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.5)
    pytest.fail(f"{address} did not start")


class Site:
    """The proxy's address, and the replicas by theirs."""

    def __init__(self, address, replicas):
        self.address, self.replicas = address, replicas

    def visitors(self):
        """Give a session for each replica, as two people at two desks have them."""
        found = {}
        while len(found) < len(self.replicas):
            session = requests.Session()
            answer = session.get(f"{self.address}/api/health", timeout=SECONDS)
            found.setdefault(answer.headers[REPLICA], session)
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    with ExitStack() as stack:
        database = stack.enter_context(postgresql())
        replicas = {}
        for port in (free_port(), free_port()):
            replicas[f"127.0.0.1:{port}"] = stack.enter_context(
                running(
                    *(sys.executable, "-m", "core", "serve", "--port", str(port)),
                    LEUKOSCOPE_STORE=str(folder / "store"),
                    LEUKOSCOPE_DATABASE_URL=database,
                )
            )
        port = free_port()
        conf = folder / "nginx.conf"
        conf.write_text(nginx_settings(folder, port, [a.split(":")[1] for a in replicas]))
        extra = "daemon off;" + (" user root;" if getpass.getuser() == "root" else "")
        proxy = stack.enter_context(
            running("nginx", "-p", str(folder), "-c", str(conf), "-g", extra)
        )
        for address in replicas:
            wait_until_ready(f"http://{address}", *replicas.values())
        wait_until_ready(f"http://127.0.0.1:{port}", proxy)
        yield Site(f"http://127.0.0.1:{port}", replicas)


def test_a_case_written_through_one_replica_is_read_through_the_other(site):
    writer, reader = site.visitors().values()
    api = f"{site.address}/api"
    patient = writer.post(f"{api}/patients", json={"identifier": "P-7"}, timeout=SECONDS).json()
    sample = writer.post(
        f"{api}/patients/{patient['id']}/samples", json={"taken": "2026-03-01"}, timeout=SECONDS
    ).json()
    image = PROJECT_ROOT / "assets" / "examples" / "synthetic_1.jpg"
    with image.open("rb") as stream:
        saved = writer.post(
            f"{api}/samples/{sample['id']}/fields",
            params={"version": sample["version"]},
            files={"file": ("synthetic_1.jpg", stream, "image/jpeg")},
            timeout=SECONDS,
        )
    assert saved.status_code == 201
    here, there = (
        visitor.get(f"{api}/samples/{sample['id']}", timeout=SECONDS)
        for visitor in (writer, reader)
    )
    assert here.headers[REPLICA] != there.headers[REPLICA]
    assert there.json() == here.json()
    assert there.json()["images"][0]["counts"] == saved.json()["image"]["counts"]
    # The report draws the stored image.
    report = reader.get(f"{api}/samples/{sample['id']}/reports/pdf", timeout=SECONDS)
    assert report.status_code == 200, report.text
    assert report.content.startswith(b"%PDF")


def test_a_visitor_stays_with_one_replica_and_gets_a_websocket_there(site):
    for replica, visitor in site.visitors().items():
        for _ in range(5):
            answer = visitor.get(f"{site.address}/_stcore/health", timeout=SECONDS)
            assert answer.headers[REPLICA] == replica
        cookie = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
        address = site.address.replace("http:", "ws:") + "/_stcore/stream"
        with connect(
            address, additional_headers={"Cookie": cookie}, subprotocols=["streamlit"]
        ) as socket_:
            assert socket_.response.headers[REPLICA] == replica


def test_a_large_upload_reaches_the_app(site):
    body = {"file": ("large.png", b"\x89PNG\r\n\x1a\n" + bytes(20_000_000))}
    answer = requests.post(f"{site.address}/api/predict", files=body, timeout=SECONDS)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.status_code != 413


def test_visitors_of_a_dead_replica_go_to_the_other(site):
    (_, (dead, visitor)) = site.visitors().items()
    site.replicas[dead].kill()
    site.replicas[dead].wait(SECONDS)
    for _ in range(3):
        answer = visitor.get(f"{site.address}/api/health", timeout=SECONDS)
        assert answer.status_code == 200
        assert not answer.headers[REPLICA].endswith(dead)
