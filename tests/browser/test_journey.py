"""A visitor uses the served app in Chromium, with real fields."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import openpyxl
import pytest
from PIL import Image
from playwright.sync_api import expect

from core.settings import PROJECT_ROOT
from tests.browser.conftest import PHONE, serving, visiting
from tests.browser.visits import download, metric, open_page, settled, upload

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("store")) as address:
        yield address


@pytest.fixture
def page(browser, server):
    with visiting(browser, server) as page:
        yield page


@pytest.fixture(scope="module")
def field(bccd_files):
    return bccd_files(3)[0]


def test_the_first_request_may_be_any_page(page):
    page.goto("/all_stage")
    expect(page).to_have_title("ALL stage · Leukoscope")
    expect(page.get_by_role("heading", level=1)).to_have_text("ALL stage")
    expect(page.get_by_role("dialog")).to_have_count(0)
    links = page.get_by_test_id("stSidebarNavLink").locator("p")
    expect(links).to_have_text(
        [
            *("Overview", "WBC count", "Microscope", "ALL stage", "Patients", "Review"),
            *("Settings", "Atlas", "Attributes", "Explain a cell", "Lecture", "Quiz"),
            *("Model metrics", "About"),
        ]
    )


def test_upload_count_and_download_agree_with_the_command_line(page, field):
    page.goto("/")
    open_page(page, "WBC count")
    upload(page, field)
    expect(page.get_by_role("heading", name="Differential")).to_be_visible()
    expect(page.locator(".st-key-wbc_drawing svg image")).to_be_visible()

    answer = subprocess.run(
        [sys.executable, "-m", "core", "analyze", field.name],
        cwd=field.parent,
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
    )
    expected = json.loads(answer.stdout)
    expected["images"][0]["file"] = "field 1"  # a file name may identify a patient
    assert json.loads(download(page, "All, JSON")) == expected

    (image,) = expected["images"]
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

    book = openpyxl.load_workbook(io.BytesIO(download(page, "Workbook, XLSX")))
    assert book.sheetnames == ["Differential", "Cells", "Files"]
    head, *values = book["Cells"].values
    assert [dict(zip(head, line, strict=True))["kind"] for line in values] == [
        row["kind"] for row in rows
    ]

    text = download(page, "Differential, CSV").decode("utf-8-sig")
    for row in csv.DictReader(io.StringIO(text)):
        assert int(row["count"]) == image["differential"][row["type"]]["count"]


def test_a_click_on_a_boxed_cell_shows_its_details(page, field):
    page.goto("/wbc_count")
    upload(page, field)
    cell = page.get_by_role("button", name=re.compile("^1 "))
    cell.hover()
    expect(page.locator(".st-key-wbc_drawing .hint")).to_contain_text("%")
    cell.click()
    expect(page.get_by_role("img", name="White cell 1")).to_be_visible()
    page.get_by_test_id("stMain").get_by_text("Attributes", exact=True).click()
    expect(page.get_by_text("Nuclear cytoplasmic ratio")).to_be_visible()


def test_a_bad_file_is_reported_and_the_good_one_is_counted(page, field, tmp_path):
    bad = tmp_path / "letter.jpg"
    bad.write_text("Dear colleague")
    page.goto("/wbc_count")
    upload(page, bad, field)
    expect(page.get_by_role("heading", name="Differential")).to_be_visible()
    alert = page.get_by_test_id("stAlert").filter(has_text="letter.jpg")
    expect(alert).to_contain_text("not an image")
    assert metric(page, "Fields") == 1


def test_the_back_button_shows_the_results_again(page, field):
    page.goto("/wbc_count")
    upload(page, field)
    expect(page.get_by_role("heading", name="Differential")).to_be_visible()
    white = metric(page, "White cells")
    open_page(page, "ALL stage")
    settled(page)
    page.go_back()
    if "all_stage" in page.url:  # Streamlit adds the draft to an address that came before it
        page.go_back()
    expect(page).to_have_url(re.compile(r"wbc_count(\?|$)"))
    expect(page.get_by_role("heading", name="Differential")).to_be_visible()
    assert metric(page, "White cells") == white


def test_leaving_the_page_during_analysis_breaks_nothing(page, bccd_files):
    files = bccd_files(*range(12))
    page.goto("/wbc_count")
    expect(page.get_by_role("heading", name="WBC count")).to_be_visible()
    upload(page, *files)
    expect(page.get_by_text(re.compile("^Analysing file|^Differential$")).first).to_be_visible()
    open_page(page, "Overview")
    open_page(page, "WBC count")
    expect(page.get_by_test_id("stException")).to_have_count(0)
    if not page.get_by_role("heading", name="Differential").is_visible():
        upload(page, *files)
    expect(page.get_by_role("heading", name="Differential")).to_be_visible()


def test_the_field_and_the_answer_fit_into_the_first_screen(page, bccd_files):
    page.set_viewport_size({"width": 1366, "height": 700})
    page.goto("/wbc_count")
    upload(page, *bccd_files(3, 10))
    drawing = page.locator(".st-key-wbc_drawing svg.inspect")
    expect(drawing).to_be_in_viewport(ratio=1)
    expect(page.get_by_test_id("stMetric").first).to_be_in_viewport(ratio=1)
    expect(page.get_by_text(re.compile(r"^Of \d+ classified:"))).to_be_in_viewport()
    box = drawing.bounding_box()
    assert box["height"] >= 320
    image = page.locator(".st-key-wbc_drawing svg image").bounding_box()
    assert image == pytest.approx(box, abs=1)  # without margins


def test_types_are_hidden_by_the_legend_and_the_field_is_zoomed_by_buttons(page, field):
    page.goto("/wbc_count")
    upload(page, field)
    drawing = page.locator(".st-key-wbc_drawing")
    cells = drawing.locator(".cell")
    expect(cells.first).to_be_visible()
    for entry in drawing.locator(".legend button").all():
        entry.click()
        expect(entry).to_have_attribute("aria-pressed", "false")
    for cell in cells.all():
        expect(cell).to_be_hidden()
    svg, whole = drawing.locator("svg.inspect"), "0 0 640 480"
    expect(svg).to_have_attribute("viewBox", whole)
    drawing.get_by_role("button", name="Zoom in").click()
    expect(svg).not_to_have_attribute("viewBox", whole)
    drawing.get_by_role("button", name="Whole field").click()
    expect(svg).to_have_attribute("viewBox", whole)
    hidden = np.asarray(Image.open(io.BytesIO(download(page, "Save as PNG"))).convert("RGB"))
    drawing.locator(".legend button").first.click()
    shown = np.asarray(Image.open(io.BytesIO(download(page, "Save as PNG"))).convert("RGB"))
    height = hidden.shape[0]
    assert min(hidden.shape[:2]) >= 480
    assert hidden.std() > 10  # the smear itself
    assert (hidden != shown[:height]).any(axis=2).sum() > 200  # the boxes
    legend = shown[height:]
    dark = (legend.max(axis=2) < 60).sum(axis=0)  # black letters; no line of a type is black
    assert np.count_nonzero(dark) > 30


def test_two_fingers_zoom_the_field_where_they_are(browser, server, field):
    with visiting(browser, server, **PHONE) as page:
        page.goto("/wbc_count")
        upload(page, field)
        svg = page.locator(".st-key-wbc_drawing svg.inspect")
        svg.scroll_into_view_if_needed()
        expect(svg).to_have_attribute("viewBox", "0 0 640 480")
        box = svg.bounding_box()
        x, y = box["x"] + box["width"] / 4, box["y"] + box["height"] / 2
        hand = page.context.new_cdp_session(page)

        def touch(kind, *places):
            points = [{"x": x + dx, "y": y, "id": number} for number, dx in enumerate(places)]
            hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        touch("touchStart", -20)
        touch("touchStart", -20, 20)
        touch("touchMove", -30, 30)
        touch("touchMove", -40, 40)
        touch("touchEnd")
        left, top, width, height = (float(n) for n in svg.get_attribute("viewBox").split())
        assert (width, height) == pytest.approx((320, 240), rel=0.02)
        assert (left + width / 4, top + height / 2) == pytest.approx((160, 240), abs=4)
        expect(svg).to_have_class(re.compile("zoomed"))
        expect(page.locator(".st-key-wbc_drawing .chosen")).to_have_count(0)  # no cell was chosen


def test_no_page_scrolls_sideways_on_a_phone(browser, server, field):
    with visiting(browser, server, **PHONE) as page:
        page.goto("/wbc_count")
        upload(page, field)
        expect(page.get_by_role("heading", name="Differential")).to_be_visible()
        for path in ("/wbc_count", "/", "/all_stage", "/model_metrics", "/about"):
            if path != "/wbc_count":
                page.goto(path)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            widths = page.get_by_test_id("stMain").evaluate("m => [m.scrollWidth, m.clientWidth]")
            assert widths[0] <= widths[1], path
