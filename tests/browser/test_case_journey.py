"""One case from upload to signed report and trend, in Chromium.

On PostgreSQL where there is a server for tests; the other journeys are on SQLite.
"""

import os
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pypdfium2
import pytest
from fhir.resources.R4B.bundle import Bundle
from playwright.sync_api import Page, expect

from tests.browser.conftest import serving, visiting
from tests.browser.visits import download, metric, open_page, points, settled, table, upload
from tests.cases.stores import empty_database

pytestmark = pytest.mark.browser

PATIENT = "P-2026-017"
BLAST, SMUDGE, ADDED = "[data-label=blast]", "[data-label=smudge_cell]", "Monocyte"
"""Two types that no cell here has, so each is a correction; and the type of a missed cell."""


@pytest.fixture
def page(browser, tmp_path) -> Iterator[Page]:
    kind = "postgresql" if os.environ.get("LEUKOSCOPE_TEST_POSTGRESQL") else "sqlite"
    with (
        empty_database(kind) as database,
        serving(tmp_path / "store", LEUKOSCOPE_DATABASE_URL=database or "") as address,
        visiting(browser, address) as page,
    ):
        yield page


def count(page: Page, files: list[Path]) -> int:
    """Count the white cells of new images; return the number on the page."""
    open_page(page, "WBC count")
    upload(page, *files)
    expect(page.get_by_role("heading", name="Differential")).to_be_visible()
    assert metric(page, "Fields") == len(files)
    return metric(page, "White cells")


def save(page: Page, files: list[Path], day: date) -> None:
    """Save the counted fields to the patient as a new sample."""
    page.get_by_text("Save to a patient").click()
    identifier = page.get_by_role("textbox", name="Patient identifier")
    identifier.fill(PATIENT)
    identifier.press("Enter")
    fields = "1 field" if len(files) == 1 else f"{len(files)} fields"
    button = page.get_by_role("button", name=f"Save {fields}")
    expect(button).to_be_enabled()
    day_input = page.get_by_test_id("stDateInput").locator("input").first
    day_input.fill(day.isoformat())
    day_input.press("Enter")
    settled(page)
    button.click()
    expect(page.get_by_text(f"{len(files)} of {len(files)} saved")).to_be_visible()


def name_cells(page: Page, number: int) -> None:
    """Correct the two least confident cells; agree with the model on all others."""
    choose(page, "Cells", "Unreviewed")
    left = page.locator(".bench .position")
    decisions = [BLAST, SMUDGE, *[".agree"] * (number - 2)]
    for cells, decision in zip(range(number, 0, -1), decisions, strict=True):
        expect(left).to_have_text("1 cell to review" if cells == 1 else f"{cells} cells to review")
        expect(page.locator(".bench .large .waits")).to_have_count(0)
        page.wait_for_timeout(400)  # presses are held back until the cell was seen
        page.locator(f".bench {decision}").click()
    expect(left).to_have_text("None left to review")
    expect(page.locator(".bench .strip")).not_to_have_class(re.compile("busy"))


def add_missed_cell(page: Page) -> None:
    choose(page, "View", "Fields")
    boxes = page.locator("svg.inspect .cell")
    expect(boxes.first).to_be_visible()
    before = boxes.count()
    page.get_by_text("Add a missed cell").click()
    types = page.get_by_role("combobox", name="Type of the added cell")
    types.scroll_into_view_if_needed()  # a list that opens while the page scrolls closes at once
    types.click()
    page.get_by_role("option", name=ADDED).click()
    image = page.locator("svg.add")
    expect(page.get_by_role("button", name=f"Add {ADDED.lower()}")).to_be_visible()
    size = image.bounding_box()
    assert size is not None
    image.click(position={"x": size["width"] / 2, "y": 20})
    expect(page.locator("svg.add .cell")).to_have_count(before + 1)


def choose(page: Page, control: str, option: str) -> None:
    page.get_by_role("radiogroup", name=control).get_by_text(option, exact=True).click()


def sign(page: Page) -> None:
    page.get_by_role("button", name="Mark as reviewed").click()
    page.get_by_role("button", name="Sign", exact=True).click()
    expect(page.get_by_text("The case is signed and read-only.")).to_be_visible()


def reopen(page: Page, reason: str) -> None:
    page.get_by_text("Reopen", exact=True).click()
    box = page.get_by_role("textbox", name="Reason")
    box.fill(reason)
    box.press("Enter")
    settled(page)
    page.get_by_role("button", name="Reopen the case").click()
    expect(page.get_by_role("button", name="Mark as reviewed")).to_be_enabled()


def check_pdf(data: bytes, shown: list[tuple[str, str, str]]) -> None:
    """The report shows the same rows as the page, and it renders."""
    document = pypdfium2.PdfDocument(data)
    assert len(document) == 1
    text = document[0].get_textpage().get_text_bounded()
    assert PATIENT in text
    assert "Signed in Leukoscope" in text
    for name, cells, percent in shown:
        assert re.search(rf"^{re.escape(name)} {cells} {percent} ", text, re.MULTILINE), name
    image = document[0].render(scale=1).to_pil()
    assert len(image.getcolors(maxcolors=image.width * image.height) or ()) > 100


def check_fhir(data: bytes, shown: list[tuple[str, str, str]]) -> None:
    """The bundle is valid, final FHIR with the counts and percentages of the page."""
    bundle = Bundle.model_validate_json(data)
    resources = [entry.resource for entry in bundle.entry]
    (report,) = (r for r in resources if r.get_resource_type() == "DiagnosticReport")
    assert report.status == "final"
    values_by_name = {}
    for observation in resources:
        if observation.get_resource_type() == "Observation":
            parts = {c.code.text: c.valueQuantity.value for c in observation.component or []}
            name = re.sub(r", share of white cells| per 100 white cells", "", observation.code.text)
            if "Cells counted" in parts:
                percent = float(observation.valueQuantity.value)
                values_by_name[name] = [str(int(parts["Cells counted"])), f"{percent:.1f}"]
    assert values_by_name == {name.removesuffix(", per 100"): values for name, *values in shown}


def test_a_case_from_upload_to_signed_report_and_trend(page, bccd_files):
    page.goto("/")
    fields = bccd_files(10, 20, 30)
    number = count(page, fields)
    save(page, fields, date(2026, 3, 1))

    page.get_by_role("link", name="Review sample 1").click()
    name_cells(page, number)
    add_missed_cell(page)
    choose(page, "View", "Sign")
    sign(page)
    reopen(page, "One cell has the wrong type.")
    sign(page)

    open_page(page, "Patients")
    page.get_by_role("link", name=PATIENT).click()
    page.get_by_role("link", name=re.compile("2026-03-01, sample 1")).click()
    expect(page.get_by_role("heading", name="Reports")).to_be_visible()
    shown = [
        (name, cells, f"{float(percent):.1f}")
        for name, cells, percent, *_ in table(
            page, "Differential with exact 95 % confidence intervals and reference ranges"
        )
    ]
    counts = {name: int(cells) for name, cells, _ in shown}
    assert counts["Blasts"] == 1
    assert counts["Smudge cells, per 100"] == 1
    assert counts["Monocytes"] >= 1
    assert sum(counts.values()) == number + 1
    check_pdf(download(page, "Report, PDF"), shown)
    check_fhir(download(page, "FHIR, JSON"), shown)
    expect(page.get_by_text("One cell has the wrong type.")).to_be_visible()

    page.goto("/")
    later = bccd_files(25)
    count(page, later)
    save(page, later, date(2026, 4, 1))
    open_page(page, "Patients")
    page.get_by_role("link", name=PATIENT).click()
    expect(page.get_by_role("heading", name="Over time")).to_be_visible()
    for key in ("neutrophil", "monocyte"):
        assert points(page, f"history_{key}_%") == ["2026-03-01", "2026-04-01"]
