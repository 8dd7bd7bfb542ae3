"""A slide on the screen: uploaded, moved, measured, and opened again at the same view."""

import json
import re

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from tifffile import imwrite

from core.synthetic.fields import SyntheticField, make_field
from tests.browser.conftest import serving, visiting
from tests.slides import made

pytestmark = pytest.mark.browser
_SCALE = 30.0
"""Pixels across of red cells: 0.25 µm a pixel."""


def a_smear() -> SyntheticField:
    """Return a dense field mirrored again and again: a small slide with some 300 white cells."""
    field = make_field(11, 768, 512, white_cells=26, red_cell_pixels=_SCALE)
    pixels = np.concatenate([field.pixels, field.pixels[:, ::-1]], axis=1)
    pixels = np.concatenate([pixels, pixels[::-1]] * 2, axis=0)
    pixels = np.concatenate([pixels, pixels], axis=1)
    return SyntheticField(pixels, (), field.micrometres_per_pixel)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    made.svs(a_smear(), folder / "smear.svs")
    made.ome_tiff_with_planes(made.a_slide(), folder / "stack.ome.tif", tile=(256, 256))
    store = tmp_path_factory.mktemp("store")
    with serving(store, LEUKOSCOPE_SLIDE_FOLDERS=json.dumps([str(folder)])) as served:
        yield served


@pytest.fixture
def page(browser, address):
    with visiting(browser, address) as page:
        yield page


def open_slide(page: Page, name: str = "smear.svs") -> None:
    page.goto("/microscope")
    page.get_by_role("link", name=name).click()
    page.locator(".map .leaflet-tile-loaded img").first.wait_for()


def test_a_view_is_opened_again_by_its_address(page):
    open_slide(page)
    page.get_by_role("button", name="Objective 40×").click()
    page.locator(".map").click()
    expect(page.get_by_label("Focal plane")).to_have_count(0)
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile(r"x=\d+&y=\d+&zoom=1\.000"))
    page.get_by_role("button", name="Correct light").click()
    page.wait_for_function(
        """() => [...document.querySelectorAll("*")].some(
            host => host.shadowRoot?.querySelector("img[src*='light=true']")?.complete)"""
    )
    page.get_by_role("button", name="Measure a distance").click()
    box = page.locator(".map").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.click(x - 100, y)
    page.mouse.click(x + 100, y)
    expect(page.locator(".says")).to_have_text("50 µm")
    view = page.url
    page.goto("/about")
    page.goto(view)
    page.locator(".map .leaflet-tile-loaded img").first.wait_for()
    expect(page.locator(".powers .now")).to_have_text("40×")
    page.locator(".map").focus()
    page.keyboard.press("ArrowRight")
    x = int(re.search(r"x=(\d+)", view)[1])  # rounded, as the new one is
    expect(page).to_have_url(re.compile(f"x=({x + 159}|{x + 160}|{x + 161})&"))


def test_a_view_with_a_text_is_shown_again_and_in_the_lecture(page):
    open_slide(page)
    page.get_by_role("button", name="Objective 40×").click()
    expect(page).to_have_url(re.compile(r"x=\d+&y=\d+&zoom=1\.000"))
    view = page.url
    page.get_by_role("button", name="Add this view to my tour").click()
    page.get_by_label("Text of the view").fill("Which cell is this?")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("1. Which cell is this?")).to_be_visible()
    page.get_by_role("button", name="Show the whole slide").click()
    expect(page).not_to_have_url(view)
    page.get_by_test_id("stMain").get_by_role("button", name="Show", exact=True).click()
    expect(page).to_have_url(view)
    page.get_by_role("link", name="Edit, show and export (1 step)").click()
    page.get_by_role("link", name="Start").last.click()
    expect(page.locator(".lecture .own")).to_have_text("Which cell is this?")
    expect(page.locator(".lecture svg image")).to_have_count(1)


def test_focal_planes_are_gone_through_by_keys_and_named_in_the_address(page):
    open_slide(page, "stack.ome.tif")
    plane = page.get_by_label("Focal plane", exact=True)
    expect(plane).to_have_text("Plane 2/3")
    expect(page.get_by_text("Cells are found in focal plane 2 of 3")).to_be_visible()
    page.locator(".map").focus()
    page.keyboard.press("PageUp")
    page.keyboard.press("PageUp")
    expect(plane).to_have_text("Plane 3/3")
    expect(page).to_have_url(re.compile("plane=3"))
    expect(page.locator(".map .leaflet-tile-loaded img[src*='plane=2']")).to_have_count(0)
    page.reload()
    page.locator(".map .leaflet-tile-loaded img[src*='plane=3']").first.wait_for()
    page.get_by_role("button", name="Focus down").click()
    expect(plane).to_have_text("Plane 2/3")
    expect(page).not_to_have_url(re.compile("plane="))


def test_an_upload_goes_on_after_a_reload(page, tmp_path):
    file = tmp_path / "big.tif"
    pixels = np.tile(a_smear().pixels, (2, 1, 1))[:2560]
    imwrite(file, pixels, photometric="rgb", tile=(512, 512))  # three pieces
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/microscope")
    offsets = []

    def send(route):
        offsets.append(int(route.request.headers["upload-offset"]))
        if offsets[-1]:
            route.abort()
        else:
            route.continue_()

    page.route(
        "**/slides/uploads/*", lambda r: send(r) if r.request.method == "PATCH" else r.continue_()
    )
    choose = page.locator(".upload input")
    choose.set_input_files(file)
    expect(page.get_by_text("The connection was lost")).to_be_visible()
    page.reload()
    expect(page.get_by_text("big.tif: 8.0 MB of 24 MB arrived")).to_be_visible()
    page.unroute("**/slides/uploads/*")
    sent = []
    page.on("request", lambda r: sent.append(r.headers.get("upload-offset")))
    choose.set_input_files(file)
    expect(page.get_by_text("big.tif is uploaded.")).to_be_visible()
    assert [int(offset) for offset in sent if offset] == [8_000_000, 16_000_000]
    expect(page.get_by_role("button", name="Uploaded by you")).to_be_visible()
    page.get_by_role("link", name="big.tif").click()
    page.locator(".map .leaflet-tile-loaded img").first.wait_for()


def test_the_header_stays_over_a_page_that_was_scrolled(page):
    page.set_viewport_size({"width": 820, "height": 600})
    open_slide(page)
    page.get_by_text("QuPath: regions and cells").click()
    expect(page.get_by_text("Once cells are counted")).to_be_visible()
    main = page.get_by_test_id("stMain")
    scrolled = "main => { main.scrollTop = 150; return main.scrollTop > 100 }"
    page.wait_for_function(scrolled, arg=main.element_handle())  # once the part is open
    on_top = """() => [[110, 30], [400, 30], [700, 30]].every(
        place => document.elementFromPoint(...place).closest(":has(> .st-key-header)"))"""
    assert page.evaluate(on_top)
    expect(page.get_by_role("link", name="All slides")).to_be_in_viewport()
