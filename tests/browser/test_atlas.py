"""A student reads the atlas: from the grid to a cell, to the next, to its look-alike."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, serving, visiting
from tests.browser.visits import settled

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("store")) as served:
        yield served


def heading(page):
    return page.get_by_role("heading", level=1)


def test_from_the_grid_to_a_cell_and_its_look_alike(browser, address):
    with visiting(browser, address) as page:
        page.goto("/atlas")
        card = page.locator(".st-key-atlas_card_grid_myelocyte")
        expect(card.get_by_role("img")).to_be_visible()
        settled(page)
        card.get_by_role("link").click()
        expect(heading(page)).to_have_text("Myelocyte")
        expect(page).to_have_url(re.compile(r"cell=myelocyte$"))
        expect(page.get_by_text("1 round nucleus, no nucleolus")).to_be_visible()
        page.get_by_role("link", name="Promyelocyte").first.click()
        expect(heading(page)).to_have_text("Promyelocyte")
        settled(page)
        page.get_by_role("link", name="Compare with blast").click()
        expect(heading(page)).to_have_text("Promyelocyte or blast?")
        expect(page.get_by_text("Granules decide.").first).to_be_visible()
        page.goto("/atlas?cell=promyelocyte&with=basophil")
        expect(heading(page)).to_have_text("Promyelocyte or basophil?")


def test_an_entry_fits_a_phone(browser, address):
    with visiting(browser, address, **PHONE) as page:
        page.goto("/atlas?cell=blast")
        expect(page.get_by_role("heading", name="Sources")).to_be_visible()
        settled(page)
        main = page.get_by_test_id("stMain")
        assert main.evaluate("element => element.scrollWidth <= element.clientWidth")


def test_a_lecture_goes_by_keys(browser, address):
    with visiting(browser, address) as page:
        page.goto("/atlas?cell=band")
        page.get_by_role("link", name="Lecture view").click()
        lecture = page.locator(".lecture")
        title = lecture.locator("h1")
        expect(title).to_have_text("Band neutrophil")
        for _ in range(7):  # round and round, never into the covered page
            page.keyboard.press("Tab")
            expect(page.get_by_test_id("stSidebar").locator(":focus")).to_have_count(0)
        page.keyboard.press("l")
        expect(title).to_have_text("What is it?")
        expect(lecture.get_by_text("curved band")).to_be_hidden()
        page.keyboard.press("PageDown")
        expect(lecture.get_by_text("4 / 38")).to_be_visible()
        expect(title).to_have_text("What is it?")
        page.keyboard.press("l")
        expect(title).to_have_text("Immature granulocyte")
        page.keyboard.down("p")
        expect(lecture.locator(".dot")).to_be_visible()
        page.keyboard.up("p")
        expect(lecture.locator(".dot")).to_be_hidden()
        page.keyboard.press("Escape")
        expect(heading(page).first).to_have_text("Immature granulocyte")
        expect(page).to_have_url(re.compile(r"/atlas\?cell=immature_granulocyte$"))
        expect(page.locator("[inert]")).to_have_count(0)
        page.goto("/lecture?tour=normal_smear&step=9")
        boxes = page.locator(".lecture svg rect:visible")
        expect(page.locator(".lecture svg")).to_be_visible()
        expect(boxes).to_have_count(0)
        page.keyboard.press("ArrowRight")
        expect(boxes).to_have_count(1)
        page.keyboard.press("ArrowLeft")
        expect(boxes).to_have_count(0)
        page.keyboard.press("ArrowLeft")
        expect(page.locator(".lecture h1")).to_have_text("Eosinophil or segmented neutrophil?")
