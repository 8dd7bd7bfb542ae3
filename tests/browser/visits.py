"""Steps that visitors take on the pages, shared by the tests."""

import re
from pathlib import Path

from playwright.sync_api import Page, expect


def open_page(page: Page, title: str) -> None:
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=title, exact=True).click()
    expect(page).to_have_title(f"{title} · Leukoscope")
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def upload(page: Page, *files: Path) -> None:
    page.locator("input[type=file]").first.set_input_files([str(file) for file in files])


def settled(page: Page) -> None:
    """Wait until the script run of the last action has ended and the page is whole."""
    expect(page.locator(".st-key-wbc_when_drawn")).to_have_count(0)
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning")


def download(page: Page, label: str) -> bytes:
    with page.expect_download() as pending:
        page.get_by_role("button", name=label).click()
    return Path(pending.value.path()).read_bytes()


def metric(page: Page, label: str) -> int:
    box = page.get_by_test_id("stMetric").filter(has_text=label)
    return int(box.get_by_test_id("stMetricValue").inner_text())


def table(page: Page, alt: str) -> list[list[str]]:
    """Return the visible cells of a table, row by row; cells outside the viewport are missing."""
    rows = page.get_by_role("region", name=alt).locator("canvas table tbody tr")
    expect(rows.first).to_be_attached()
    return [row.locator("td").all_inner_texts() for row in rows.all()]


def points(page: Page, key: str) -> list[str]:
    """Return the x values of all points of a chart."""
    css_class = re.sub(r"[^\w-]", "-", f"st-key-{key}")
    chart = page.locator(f".{css_class} .js-plotly-plot")
    expect(chart).to_be_visible()
    return chart.evaluate("chart => chart.data.flatMap(trace => Array.from(trace.x))")
