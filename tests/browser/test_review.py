"""Review by keys and pointer in Chromium: label, drag, add, remove, move and split cells."""

import re
from datetime import date

import pytest
from playwright.sync_api import Page, expect

from core.cases.database import open_database
from core.cases.patients import create_patient
from core.cases.records import PatientDetails, SampleDetails
from core.cases.samples import load_case, save_sample
from core.cases.users import user_of
from core.settings import Settings
from core.synthetic.examples import synthetic_slides
from tests.browser.conftest import serving, visiting
from tests.browser.visits import settled
from tests.cases.made import new_field, white
from tests.images import read_image

pytestmark = pytest.mark.browser
SETTLED = 600
"""Milliseconds until a cell is drawn and presses for it are let through."""


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    settings = Settings(_env_file=None, store=tmp_path_factory.mktemp("store"), database_url=None)
    opened = open_database(settings)
    local = user_of(opened)
    patient = create_patient(opened, local, PatientDetails("P-1"))
    name, data = synthetic_slides()[0]
    cells = (white(x=100), white("monocyte", 0.4, "uncertain", x=250), white("basophil", x=400))
    field = new_field(read_image(data, name), *cells)
    save_sample(opened, local, patient.id, SampleDetails(date(2026, 3, 1)), [field])
    yield opened
    opened.engine.dispose()


@pytest.fixture(scope="module")
def page(browser, database):
    tall = {"viewport": {"width": 1400, "height": 1400}}
    with (
        serving(database.images.root.parent) as address,
        visiting(browser, address, **tall) as page,
    ):
        yield page


def types(database) -> list[str | None]:
    """Return the counted type of each white cell; None if it is uncertain or not a white cell."""
    cells = load_case(database, 1).fields[0].analysis.cells
    return [cell.type if cell.status == "classified" else None for cell in cells]


def test_keys_label_cells_and_undo(page: Page, database) -> None:
    page.goto("/review?sample=1&cells=Unreviewed")
    position = page.get_by_text("then least confident")
    expect(position).to_have_text("1 of 3, possible blasts first, then least confident")
    expect(page.get_by_role("button", name=re.compile("^Blast"))).to_be_enabled()
    expect(page.get_by_label("Comment, saved with the next decision")).to_be_visible()
    page.wait_for_timeout(SETTLED)
    page.keyboard.press("9")
    expect(position).to_have_text("1 of 2, possible blasts first, then least confident")
    assert types(database) == ["neutrophil", "blast", "basophil"]
    page.keyboard.press("u")
    expect(position).to_have_text("1 of 3, possible blasts first, then least confident")
    assert types(database) == ["neutrophil", None, "basophil"]
    page.keyboard.press("ArrowRight")
    expect(position).to_have_text("2 of 3, possible blasts first, then least confident")


def test_repeated_presses_label_only_the_cell_on_the_screen(page: Page, database) -> None:
    page.goto("/review?sample=1&cells=Unreviewed")
    position = page.get_by_text("then least confident")
    blast = page.get_by_role("button", name=re.compile("^Blast"))
    press = "document.dispatchEvent(new KeyboardEvent('{}', {{key: '9'}}));"
    click = "[...document.querySelectorAll('button')].find(b => b.innerText.startsWith('Blast'))"
    for repeat in (press.format("keydown") + press.format("keyup"), f"{click}?.click()"):
        expect(position).to_have_text("1 of 3, possible blasts first, then least confident")
        expect(blast).to_be_enabled()
        page.wait_for_timeout(SETTLED)
        # Five within 100 ms, and one at the moment at which the next cell is drawn.
        page.evaluate(
            f"""const again = () => {{ {repeat} }};
            const shown = document.querySelector("[class*=st-key-review_choices_]").className;
            for (let i = 0; i < 5; i++) setTimeout(again, 20 * i);
            new MutationObserver((_, observer) => {{
              if (document.querySelector(`[class="${{shown}}"]`)) return;
              if (!document.querySelector("[class*=st-key-review_blast_]")) return;
              observer.disconnect();
              again();
            }}).observe(document.body, {{ subtree: true, childList: true, attributes: true }})"""
        )
        expect(position).to_have_text("1 of 2, possible blasts first, then least confident")
        page.wait_for_timeout(700)
        assert types(database) == ["neutrophil", "blast", "basophil"]
        page.keyboard.press("u")


def test_several_cells_are_dragged_to_a_type(page: Page, database) -> None:
    page.goto("/review?sample=1&view=Gallery")
    cells, groups = page.locator(".cell"), page.locator(".group")
    expect(cells).to_have_count(3)
    cells.nth(0).click()
    cells.nth(1).click(modifiers=["Control"])
    expect(page.locator(".status")).to_contain_text("2 selected")
    cells.nth(0).drag_to(groups.filter(has_text="Immature granulocytes"))
    expect(groups.filter(has_text="Immature granulocytes")).to_contain_text("2 · 66.7 %")
    assert types(database).count("immature_granulocyte") == 2
    settled(page)
    page.keyboard.press("u")
    expect(groups.filter(has_text="Uncertain")).to_contain_text("Uncertain: not counted1")
    # A key labels the chosen cells, and a second press nothing more.
    cells.nth(0).hover()
    expect(page.locator(".enlarged")).to_contain_text("model: monocyte")
    cells.nth(0).click()
    page.keyboard.press("9")
    page.keyboard.press("1")
    expect(groups.first).to_contain_text("Blasts1 · 33.3 %")
    assert types(database) == ["neutrophil", "blast", "basophil"]
    settled(page)
    page.keyboard.press("u")
    expect(groups.filter(has_text="Uncertain")).to_contain_text("Uncertain: not counted1")


def test_a_missed_cell_is_added_and_a_false_one_removed(page: Page, database) -> None:
    page.goto("/review?sample=1&view=Fields")
    expect(page.locator("svg.inspect .cell")).to_have_count(3)
    page.get_by_text("Add a missed cell").click()
    image = page.locator("svg.add")
    box = image.bounding_box()
    image.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    expect(page.locator("svg.add .cell")).to_have_count(4)
    added = load_case(database, 1).fields[0].analysis
    assert added.cells[-1].box.centre == pytest.approx((added.width / 2, added.height / 2), abs=2)
    page.get_by_text("Remove a false one").click()
    page.locator("svg.remove .cell").last.click()
    expect(page.locator("svg.remove .cell title").last).to_contain_text("not a white cell")
    assert types(database) == ["neutrophil", None, "basophil", None]


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=5)
    page.mouse.up()


def test_boxes_are_moved_resized_split_and_undone(page: Page, database) -> None:
    page.goto("/review?sample=1&view=Fields")
    before = load_case(database, 1).fields[0].analysis.cells
    page.get_by_text("Move or resize").click()
    rect = page.locator("svg.move .cell rect").first
    expect(rect).to_be_visible()
    settled(page)
    box = rect.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    image = page.locator("svg.move").bounding_box()
    drag(page, middle, (image["x"] + image["width"] - 5, middle[1] + 20))  # no farther
    expect(page.locator(".handle")).to_have_count(4)
    settled(page)
    moved = load_case(database, 1).fields[0].analysis
    assert moved.cells[0].box.right == pytest.approx(moved.width, abs=0.1)
    assert moved.cells[0].box.y > before[0].box.y
    corner = page.locator(".handle.nw").bounding_box()
    corner = corner["x"] + corner["width"] / 2, corner["y"] + corner["height"] / 2
    drag(page, corner, (corner[0] - 40, corner[1]))
    left = page.get_by_role("spinbutton", name="Left")
    expect(left).not_to_have_value(f"{moved.cells[0].box.x:.1f}")
    settled(page)
    resized = load_case(database, 1).fields[0].analysis.cells[0].box
    assert resized.right == pytest.approx(moved.width, abs=0.1)
    assert resized.width > moved.cells[0].box.width

    page.get_by_text("Split", exact=True).click()
    rects = page.locator("svg.split .cell rect")
    number = len(before)
    expect(rects).to_have_count(number)
    settled(page)
    box = rects.first.bounding_box()
    across = box["x"] + box["width"] / 2
    drag(page, (across, box["y"] - 3), (across, box["y"] + box["height"] + 3))
    expect(rects).to_have_count(number + 1)
    for _ in range(3):
        settled(page)
        page.keyboard.press("u")
        page.wait_for_timeout(300)
    expect(rects).to_have_count(number)
    settled(page)
    assert load_case(database, 1).fields[0].analysis.cells == before
