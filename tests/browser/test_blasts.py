"""A visitor counts and grades fields of leukaemia: possible blasts come first."""

import io
import re

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import serving, visiting
from tests.browser.visits import settled, upload

pytestmark = pytest.mark.browser

FIELDS = tuple(f"Pre/WBC-Malignant-Pre-{number}.webp" for number in (142, 234, 853))
"""Fields of fold 4, which no release of the cell classifier may have learnt."""

CLOSE_UP = "Pre/WBC-Malignant-Pre-230.webp"
"""Of this one a part is enlarged: too small a part of the smear for a class."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("store")) as address:
        yield address


@pytest.fixture
def page(browser, server):
    with visiting(browser, server) as page:
        yield page


@pytest.fixture(scope="module")
def all_fields(pack, tmp_path_factory):
    folder = tmp_path_factory.mktemp("all_fields")
    files = []
    for number, name in enumerate(FIELDS):
        files.append(folder / f"{number}.png")
        files[-1].write_bytes(pack.png(pack.read("taleqani_all.zip", name)))
    return files


def test_a_count_of_all_fields_raises_the_flag_with_the_blasts_first(page, all_fields):
    page.goto("/wbc_count")
    upload(page, *all_fields)
    expect(page.get_by_role("heading", name="White cells", exact=True)).to_be_visible()
    alert = page.get_by_test_id("stAlert").filter(has_text="Urgent")
    expect(alert).to_contain_text(re.compile(r"\d+ possible blasts"))
    heading = page.get_by_role("heading", name="White cells", exact=True)
    assert alert.bounding_box()["y"] < heading.bounding_box()["y"]

    groups = page.locator(".st-key-wbc_gallery").get_by_test_id("stMarkdown").all_inner_texts()
    first = page.locator(".st-key-wbc_gallery").locator("figcaption").first
    groups = [text for text in groups if re.search(r"\(\d+\)$", text)]
    assert re.match("Blasts|Uncertain", groups[0])
    if groups[0].startswith("Uncertain"):
        expect(first).to_contain_text("Blast?")

    page.get_by_role("button", name="Show the first possible blast").click()
    settled(page)
    shown = page.get_by_role("img", name=re.compile(r"^White cell \d+$"))
    expect(shown).to_be_visible()
    expect(page.get_by_test_id("stProgress").filter(has_text="Blast").first).to_be_visible()


@pytest.fixture(scope="module")
def close_up(pack, tmp_path_factory):
    with Image.open(io.BytesIO(pack.read("taleqani_all.zip", CLOSE_UP))) as image:
        part = image.convert("RGB").crop((40, 40, 160, 160)).resize((480, 480))
    file = tmp_path_factory.mktemp("close_up") / "close_up.png"
    part.save(file)
    return file


def test_fields_without_a_trusted_class_get_their_blasts_counted(page, close_up, bccd_files):
    page.goto("/all_stage")
    upload(page, close_up, *bccd_files(3, 10))
    expect(page.get_by_role("heading", name="Pooled answer")).to_be_visible()
    expect(page.get_by_text("does not look like the fields of suspected ALL").first).to_be_visible()
    alert = page.get_by_test_id("stAlert").filter(has_text="Urgent")
    expect(alert).to_contain_text(re.compile(r"possible blasts?.*: \d+ % .* white cells"))
    expect(page.get_by_role("img", name=re.compile("^Possible blast")).first).to_be_visible()
    expect(page.locator(".st-key-stage_cells svg image")).to_be_visible()

    page.get_by_role("link", name="Count the cells of these fields").click()
    expect(page).to_have_url(re.compile("wbc_count"))
    expect(page.get_by_role("heading", name="Differential")).to_be_visible()
    assert page.get_by_test_id("stMetric").filter(has_text="Fields").inner_text().endswith("3")
