"""One visitor's way through the served app, in Chromium, on real fields."""

import csv
import io
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from core.settings import PROJECT_ROOT

pytestmark = pytest.mark.browser

SECONDS = 60
CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def server():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "core", "serve", "--port", str(port)],
        cwd=PROJECT_ROOT,
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


@pytest.fixture(scope="module")
def browser():
    options = {"executable_path": str(CHROMIUM)} if CHROMIUM.exists() else {}
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(args=["--no-sandbox"], **options)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, server):
    context = browser.new_context(base_url=server, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(SECONDS * 1000)
    expect.set_options(timeout=SECONDS * 1000)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def field(pack, tmp_path_factory):
    path = tmp_path_factory.mktemp("fields") / "BloodImage_00003.jpg"
    path.write_bytes(pack.jpeg(pack.bccd(3)))
    return path


def open_page(page: Page, title: str) -> None:
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=title).click()
    expect(page).to_have_title(f"{title} · Leukoscope")
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def upload(page: Page, *files: Path) -> None:
    page.locator("input[type=file]").first.set_input_files([str(file) for file in files])


def download(page: Page, label: str) -> bytes:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=label).click()
    return Path(waiting.value.path()).read_bytes()


def metric(page: Page, label: str) -> int:
    box = page.get_by_test_id("stMetric").filter(has_text=label)
    return int(box.get_by_test_id("stMetricValue").inner_text())


def test_the_first_visitor_may_come_by_the_address_of_a_page(page):
    page.goto("/all_stage")
    expect(page).to_have_title("ALL stage · Leukoscope")
    expect(page.get_by_role("heading", level=1)).to_have_text("ALL stage")
    expect(page.get_by_role("dialog")).to_have_count(0)
    links = page.get_by_test_id("stSidebarNavLink").locator("p")
    expect(links).to_have_text(
        [
            *("Overview", "WBC count", "ALL stage", "Patients", "Review", "Settings"),
            *("Model metrics", "About"),
        ]
    )


def test_upload_count_and_download_agree_with_the_command_line(page, field):
    page.goto("/")
    open_page(page, "WBC count")
    upload(page, field)
    expect(page.get_by_role("heading", name="Differential")).to_be_visible()
    expect(page.locator(".st-key-wbc_drawing .js-plotly-plot")).to_be_visible()

    answer = subprocess.run(
        [sys.executable, "-m", "core", "analyze", field.name],
        cwd=field.parent,
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
    )
    told = json.loads(answer.stdout)
    assert json.loads(download(page, "All, JSON")) == told

    (image,) = told["images"]
    assert metric(page, "White cells") == image["counts"]["wbc"] >= 1
    assert metric(page, "Red cells") == image["counts"]["rbc"]
    assert metric(page, "Platelets") == image["counts"]["platelet"]

    rows = list(csv.DictReader(io.StringIO(download(page, "Cells, CSV").decode("utf-8-sig"))))
    assert Counter(row["kind"] for row in rows) == Counter(c["kind"] for c in image["cells"])
    for row, cell in zip(rows, image["cells"], strict=True):
        box = [float(row[side]) for side in ("x", "y", "width", "height")]
        assert box == cell["box"]
        assert float(row["confidence"]) == cell["confidence"]
        assert row["type"] == cell.get("type", "")

    text = download(page, "Differential, CSV").decode("utf-8-sig")
    for row in csv.DictReader(io.StringIO(text)):
        assert int(row["count"]) == image["differential"][row["type"]]["count"]


def test_a_bad_file_is_named_and_the_good_one_is_answered(page, field, tmp_path):
    bad = tmp_path / "letter.jpg"
    bad.write_text("Dear colleague")
    page.goto("/wbc_count")
    upload(page, bad, field)
    expect(page.get_by_role("heading", name="Differential")).to_be_visible()
    alert = page.get_by_test_id("stAlert").filter(has_text="letter.jpg")
    expect(alert).to_contain_text("not a picture")
    assert metric(page, "Fields") == 1


def test_back_button_brings_the_results_again(page, field):
    page.goto("/wbc_count")
    upload(page, field)
    expect(page.get_by_role("heading", name="Differential")).to_be_visible()
    white = metric(page, "White cells")
    open_page(page, "ALL stage")
    page.go_back()
    expect(page).to_have_url(re.compile("wbc_count$"))
    expect(page.get_by_role("heading", name="Differential")).to_be_visible()
    assert metric(page, "White cells") == white


def test_leaving_while_files_are_read_breaks_nothing(page, pack, tmp_path):
    files = []
    for number in range(12):
        files.append(tmp_path / f"{number}.jpg")
        files[-1].write_bytes(pack.jpeg(pack.bccd(number)))
    page.goto("/wbc_count")
    expect(page.get_by_role("heading", name="WBC count")).to_be_visible()
    upload(page, *files)
    expect(page.get_by_text(re.compile("^Analysing picture|^Differential$")).first).to_be_visible()
    open_page(page, "Overview")
    open_page(page, "WBC count")
    expect(page.get_by_test_id("stException")).to_have_count(0)
    if not page.get_by_role("heading", name="Differential").is_visible():
        upload(page, *files)
    expect(page.get_by_role("heading", name="Differential")).to_be_visible()


def test_a_phone_sees_every_page_without_scrolling_sideways(browser, server, field):
    context = browser.new_context(
        base_url=server,
        viewport={"width": 390, "height": 844},
        is_mobile=True,
        has_touch=True,
        user_agent="Mozilla/5.0 (Linux; Android 15) Chrome/150 Mobile Safari/537.36",
    )
    page = context.new_page()
    page.goto("/wbc_count")
    upload(page, field)
    expect(page.get_by_role("heading", name="Differential")).to_be_visible(timeout=SECONDS * 1000)
    for path in ("/wbc_count", "/", "/all_stage", "/model_metrics", "/about"):
        if path != "/wbc_count":
            page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=SECONDS * 1000)
        widths = page.get_by_test_id("stMain").evaluate("m => [m.scrollWidth, m.clientWidth]")
        assert widths[0] <= widths[1], path
    context.close()
