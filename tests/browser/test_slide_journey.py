"""A slide from the count to a signed case, in Chromium, and back by a link."""

import json
import re
import time
from contextlib import suppress

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from core.synthetic.fields import SyntheticField, make_field
from tests.browser.conftest import serving, visiting
from tests.browser.visits import settled
from tests.slides import made

pytestmark = pytest.mark.browser
_RED_CELL_PIXELS = 30.0
_COUNTING = 600
"""Seconds that a count may take on a busy machine."""


def a_smear() -> SyntheticField:
    """Return some 250 neutrophils, all of which the classifier names with certainty."""
    types = ["neutrophil"] * 60
    field = make_field(2, 768, 512, white_cells=types, red_cell_pixels=_RED_CELL_PIXELS)
    pixels = np.concatenate([field.pixels, field.pixels[:, ::-1]], axis=1)
    pixels = np.concatenate([pixels, pixels[::-1]] * 2 + [pixels])
    return SyntheticField(pixels, (), field.micrometres_per_pixel)


@pytest.fixture
def address(tmp_path):
    made.svs(a_smear(), tmp_path / "smear.svs")
    folders = json.dumps([str(tmp_path)])
    with serving(tmp_path / "store", LEUKOSCOPE_SLIDE_FOLDERS=folders) as served:
        yield served


def count(page: Page) -> int:
    """Count 200 white cells; return how many the page says were classified.

    The page is left meanwhile: the count goes on, and has the processor for itself.
    """
    page.get_by_role("button", name="Count", exact=True).click()
    stop = page.get_by_test_id("stMain").get_by_role("button", name="Stop", exact=True)
    expect(stop).to_be_visible()
    slide = page.url
    address = re.sub(r"microscope\?slide=(\w+).*", r"api/slides/\1/count", slide)
    page.goto("about:blank")
    end = time.monotonic() + _COUNTING
    while sum(cell[5] for cell in page.request.get(address).json()["cells"]) < 200:
        assert time.monotonic() < end, "the count did not come to its end"
        time.sleep(1)
    page.goto(slide)
    expect(page.get_by_role("button", name="Go on")).to_be_visible()
    expect(page.get_by_role("button", name="Show the cells of the count")).to_be_visible()
    said = page.get_by_text(re.compile(r"^With \d+ cells, blasts that are 1 %")).inner_text()
    return int(said.split()[1])


def relabel(page: Page, number: int, label: str) -> None:
    """Name the first cells of the slide."""
    for _ in range(number):
        page.locator(".map").focus()
        page.keyboard.press("n")
        expect(page.get_by_text("classified", exact=True)).to_be_visible()
        expect(page.get_by_text(f"Labelled {label.lower()}")).to_have_count(0)
        settled(page)
        expect(page.get_by_text("Other types")).to_have_count(1)
        page.get_by_text("Other types").click()
        page.get_by_role("button", name=re.compile(f"^{label}")).click()
        expect(page.get_by_text(f"Labelled {label.lower()} by local")).to_be_visible()


def save(page: Page) -> None:
    """Press Save, again if the press met the page while it took in the identifier."""
    saved = page.get_by_text("The count of this slide is in sample 1")
    for _ in range(3):
        settled(page)
        page.get_by_role("button", name="Save", exact=True).click()
        with suppress(AssertionError):
            expect(saved).to_be_visible(timeout=30_000)
            return
    expect(saved).to_be_visible()


def draw_around_all(page: Page) -> str:
    """Draw an area around the whole slide; return what the viewer says is in it."""
    page.get_by_role("button", name="Show the whole slide").click()
    page.wait_for_timeout(800)  # the zoom is animated
    page.get_by_role("button", name="Measure an area").click()
    # The title row lies over the slide where the page is scrolled.
    page.get_by_test_id("stMain").evaluate("main => main.scrollTop = 0")
    box = page.locator(".map").bounding_box()
    left, right = box["x"] + 200, box["x"] + box["width"] - 200
    top, bottom = box["y"] + 5, box["y"] + box["height"] - 5
    for x, y in ((left, top), (right, top), (right, bottom)):
        page.mouse.click(x, y)
    page.mouse.dblclick(left, bottom)
    said = page.locator(".says")
    expect(said).to_contain_text("classified")
    text = said.inner_text()
    page.keyboard.press("Escape")
    return text


def test_a_slide_from_the_count_to_a_signed_case_and_back_by_a_link(browser, address):
    with visiting(browser, address) as page:
        page.goto("/microscope")
        page.get_by_role("link", name="smear.svs").click()
        page.locator(".map .leaflet-tile-loaded img").first.wait_for()
        classified = count(page)
        assert classified >= 200
        relabel(page, 3, "Monocyte")
        inside = draw_around_all(page)
        assert f"{classified} classified" in inside
        assert "monocyte 3 (" in inside
        with page.expect_response("**/count/tiles"):
            page.get_by_label("Map of the slide").select_option("Tiles")
        expect(page.locator(".scope .legend")).to_contain_text("counted")
        page.get_by_label("Map of the slide").select_option("")

        page.get_by_role("button", name="Objective 40×").click()
        expect(page.locator(".powers .now")).to_have_text("40×")
        expect(page).to_have_url(re.compile(r"zoom=1\.000"))
        view = page.url

        page.get_by_text("Save to a patient", exact=True).click()
        identifier = page.get_by_role("textbox", name="Patient identifier")
        identifier.fill("P-2026-018")
        identifier.press("Enter")
        save(page)
        page.get_by_role("link", name="Review sample 1").first.click()
        page.get_by_role("radiogroup", name="View").get_by_text("Sign", exact=True).click()
        page.get_by_role("button", name="Mark as reviewed").click()
        page.get_by_role("button", name="Sign", exact=True).click()
        expect(page.get_by_text("The case is signed and read-only.")).to_be_visible()

    with visiting(browser, address) as page:
        page.goto(view)
        page.locator(".map .leaflet-tile-loaded img").first.wait_for()
        expect(page.locator(".powers .now")).to_have_text("40×")
        expect(page).to_have_url(view)
        assert f"{classified} classified" in draw_around_all(page)
        expect(page.get_by_text("The count of this slide is in sample 1")).to_be_visible()
        page.get_by_role("link", name="Sample 1", exact=True).click()
        expect(page.get_by_text("P-2026-018").first).to_be_visible()
