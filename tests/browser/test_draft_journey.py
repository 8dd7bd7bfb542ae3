"""An upload that is reviewed, reloaded and opened in a second browser before it has a patient."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import serving, visiting
from tests.browser.visits import metric, settled, upload

pytestmark = pytest.mark.browser

PATIENT = "P-2026-031"


def counted(page: Page, fields: int) -> int:
    """Return the white cells once the page shows so many fields."""
    value = page.get_by_test_id("stMetric").filter(has_text="Fields")
    expect(value.get_by_test_id("stMetricValue")).to_have_text(str(fields))
    settled(page)
    return metric(page, "White cells")


def expect_to_ask(page: Page, *, asks: bool, beside: str = "") -> None:
    """Wait until the browser asks before the page is left, or no longer, beside some text.

    Both are looked at in one moment: a short analysis ends between two questions.
    """
    page.wait_for_function(
        """([asks, beside]) => {
            const event = new Event("beforeunload", { cancelable: true })
            return !window.dispatchEvent(event) === asks
                && document.body.innerText.includes(beside)
        }""",
        arg=[asks, beside],
    )


def upload_and_try_to_leave(page: Page, files: list[Path]) -> None:
    """Upload files; the browser asks while they are on their way, and while they are read."""
    expect_to_ask(page, asks=False)
    held = []
    page.route("**/_stcore/upload_file/**", lambda route: held.append(route))  # noqa: PLW0108
    upload(page, *files)
    expect(page.get_by_test_id("stFileChip").first).to_be_visible()
    expect_to_ask(page, asks=True)
    page.unroute("**/_stcore/upload_file/**")
    for route in held:
        route.continue_()
    expect_to_ask(page, asks=True, beside="Analysing file")


def test_a_draft_outlives_the_page_and_is_named_at_the_end(browser, bccd_files, tmp_path):
    with (
        serving(tmp_path / "store") as address,
        visiting(browser, address) as page,
        visiting(browser, address) as other,
    ):
        page.goto("/wbc_count")
        expect(page.get_by_text("Suitable images")).to_be_visible()
        upload_and_try_to_leave(page, bccd_files(*range(12)))
        cells = counted(page, 12)
        expect_to_ask(page, asks=False)
        expect(page).to_have_url(re.compile("draft="))
        draft = page.url

        page.get_by_role("link", name="Review these cells").click()
        page.get_by_role("radiogroup", name="Cells").get_by_text("All", exact=True).click()
        expect(page).to_have_url(re.compile("cells=All"))
        settled(page)
        expect(page.locator(".bench .large img")).to_be_visible()
        expect(page.locator(".bench .large .waits")).to_have_count(0)
        page.wait_for_timeout(400)  # presses are held back until the cell was seen
        page.locator(".bench [data-label=basophil]").click()
        expect(page.locator(".bench .undo")).to_be_enabled()
        expect(page.locator(".bench .strip")).not_to_have_class(re.compile("busy"))

        page.reload()
        expect(page.locator(".bench .large img")).to_be_visible()
        page.get_by_role("link", name="Back to the count").click()
        basophils = page.get_by_text(re.compile(r"^Basophils \(\d+\)"))
        assert counted(page, 12) == cells
        expect(basophils).to_be_visible()
        page.reload()
        assert counted(page, 12) == cells
        expect(basophils).to_be_visible()

        other.goto(draft)
        assert counted(other, 12) == cells
        expect(other.get_by_text(re.compile(r"^Basophils \(\d+\)"))).to_be_visible()
        other.get_by_text("Save to a patient").click()
        identifier = other.get_by_role("textbox", name="Patient identifier")
        identifier.fill(PATIENT)
        identifier.press("Enter")
        save = other.get_by_role("button", name="Save 12 fields")
        expect(save).to_be_enabled()
        settled(other)
        save.click()
        expect(other.get_by_text("12 of 12 saved")).to_be_visible()

        page.goto("/patients?sample=1")
        expect(page.get_by_role("link", name=PATIENT)).to_be_visible()
        page.goto(draft)  # nothing of the patient is left at the draft's address
        expect(page.get_by_text("saved from this draft")).to_be_visible()
        expect(page.get_by_test_id("stMetric")).to_have_count(0)
