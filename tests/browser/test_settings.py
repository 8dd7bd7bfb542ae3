"""An admin edits the reference ranges in place, and the next differential uses them."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import serving, visiting
from tests.browser.visits import open_page, table, upload

pytestmark = pytest.mark.browser

EDITOR = "Editable reference ranges with their sources"
HEADER, LINE = 35, 35
"""Heights in the editor, in CSS pixels."""
LABORATORY, LOW = 2, 8
"""Indices of columns in the editor."""


@pytest.fixture
def page(browser, tmp_path):
    with serving(tmp_path / "store") as address, visiting(browser, address) as page:
        yield page


def test_an_edited_range_counts_for_the_next_differential(page, bccd_files):
    page.goto("/")
    open_page(page, "Settings")
    lines = {(row[2], row[3]): int(row[0]) for row in table(page, EDITOR)}
    editor = page.get_by_role("region", name=EDITOR)
    middle = HEADER + LINE * (lines["neutrophil", "%"] - 0.5)
    editor.locator(".dvn-scroller").click(position={"x": 140, "y": middle})
    selected = editor.locator("td[aria-selected=true]")
    for column in range(LABORATORY + 1, LOW + 1):
        page.keyboard.press("ArrowRight")
        expect(selected).to_have_attribute("aria-colindex", str(column))
    page.keyboard.press("Enter")
    page.locator("#portal input").fill("12")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Save the table").click()
    expect(page.get_by_text("from table 1, edited here")).to_be_visible()
    open_page(page, "WBC count")
    upload(page, *bccd_files(3))
    rows = table(page, "Differential with exact 95 % confidence intervals and reference ranges")
    assert {row[0]: row[-1] for row in rows}["Neutrophils"] == "12-60"
