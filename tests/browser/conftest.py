"""The served app, and Chromium to visit it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from core.settings import PROJECT_ROOT

SECONDS = 60
CHROMIUM = Path("/usr/bin/chromium")
DESKTOP = {"viewport": {"width": 1440, "height": 900}}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
    "user_agent": "Mozilla/5.0 (Linux; Android 15) Chrome/150 Mobile Safari/537.36",
}


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(store: Path, *, port: int | None = None, **environment: str) -> Iterator[str]:
    """Serve the app on a store, on SQLite by default; yield its address."""
    port = port or free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "core", "serve", "--port", str(port)],
        cwd=PROJECT_ROOT,
        env={
            **os.environ,
            "LEUKOSCOPE_STORE": str(store),
            "LEUKOSCOPE_SLIDE_CACHE": str(store / "slide_cache"),
            "LEUKOSCOPE_SLIDE_UPLOADS": str(store / "slide_uploads"),
            "LEUKOSCOPE_DATABASE_URL": "",
            **environment,
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/_stcore/health", process)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(address: str, process: subprocess.Popen) -> None:
    for _ in range(2 * SECONDS):
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(address, timeout=2):  # noqa: S310 - our own address
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail("the server did not start")


@contextmanager
def visiting(browser: Browser, address: str, **device: object) -> Iterator[Page]:
    """Yield a page in a browser context of its own."""
    context = browser.new_context(base_url=address, **(device or DESKTOP))
    context.set_default_timeout(SECONDS * 1000)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def browser():
    """Yield Chromium. Module scope: while it runs, tests that need an event loop fail."""
    options = {"executable_path": str(CHROMIUM)} if CHROMIUM.exists() else {}
    expect.set_options(timeout=SECONDS * 1000)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(args=["--no-sandbox"], **options)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def bccd_files(pack, tmp_path_factory):
    """Return a function that writes BCCD fields as JPEG files, ready to upload."""
    folder = tmp_path_factory.mktemp("fields")

    def write(*numbers: int) -> list[Path]:
        files = []
        for number in numbers:
            path = folder / f"BloodImage_{number:05}.jpg"
            path.write_bytes(pack.jpeg(pack.bccd(number)))
            files.append(path)
        return files

    return write
