"""A slide on the screen: moved, measured, and opened again at the same view."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import serving, visiting

pytestmark = pytest.mark.browser


def test_a_view_is_opened_again_by_its_address(browser, tmp_path):
    with serving(tmp_path) as address, visiting(browser, address) as page:
        page.goto("/microscope")
        page.get_by_role("link", name="Example").click()
        tiles = page.locator(".map .leaflet-tile-loaded img")
        tiles.first.wait_for()
        page.get_by_role("button", name="Objective 40×").click()
        page.locator(".map").click()
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
        tiles.first.wait_for()
        expect(page.locator(".powers .now")).to_have_text("40×")
        page.locator(".map").focus()
        page.keyboard.press("ArrowRight")
        x = int(re.search(r"x=(\d+)", view)[1])
        expect(page).to_have_url(re.compile(f"x={x + 160}&"))
