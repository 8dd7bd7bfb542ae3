"""Review by keys and pointer in Chromium: label, drag, add, remove, move and split cells."""

import re
from datetime import date

import pytest
from playwright.sync_api import Page, expect

from core.cases.database import open_database
from core.cases.patients import create_patient
from core.cases.records import PatientDetails, SampleDetails, User
from core.cases.reviews import label_cells, reviews_of, undo
from core.cases.samples import load_case, save_sample
from core.cases.unfinished import unfinished_texts
from core.cases.users import user_of
from core.settings import Settings
from core.synthetic.examples import synthetic_slides
from tests.browser.conftest import serving, visiting
from tests.browser.visits import settled
from tests.cases.made import new_field, white
from tests.images import read_image

pytestmark = pytest.mark.browser
SETTLED = 600
"""Milliseconds after which presses for a drawn cell are let through."""


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
def address(database):
    with serving(database.images.root.parent) as address:
        yield address


@pytest.fixture(scope="module")
def page(browser, address):
    tall = {"viewport": {"width": 1400, "height": 1400}}
    with visiting(browser, address, **tall) as page:
        yield page


def types(database) -> list[str | None]:
    """Return the counted type of each white cell; None if it is uncertain or not a white cell."""
    cells = load_case(database, 1).fields[0].analysis.cells
    return [cell.type if cell.status == "classified" else None for cell in cells]


def chosen(page: Page, name: str) -> None:
    """Wait until a cell is shown large and labels for it are let through."""
    expect(page.locator(".bench .head b")).to_have_text(f"Cell {name}")
    expect(page.locator(".bench .large img")).to_be_visible()
    expect(page.locator(".bench .large .waits")).to_have_count(0)
    page.wait_for_timeout(SETTLED)


def saved(page: Page) -> None:
    """Wait until the server has answered every decision."""
    expect(page.locator(".bench .strip")).not_to_have_class(re.compile("busy"))


def undone(page: Page, text: str) -> None:
    expect(page.locator(".bench .notice")).to_have_text(f"Undone: {text}")


def test_keys_label_cells_and_undo(page: Page, database) -> None:
    page.goto("/review?sample=1&cells=Unreviewed")
    left = page.locator(".bench .position")
    expect(left).to_have_text("3 cells to review")
    chosen(page, "1.2")  # the uncertain one
    expect(page.locator(".bench .cell img")).to_have_count(3)  # the last images to come
    page.keyboard.press("9")
    # The next cell is there before the server has answered.
    assert page.locator(".bench .head b").inner_text() == "Cell 1.1"
    assert page.locator(".bench .large .waits").count() == 0
    expect(left).to_have_text("2 cells to review")
    saved(page)
    assert types(database) == ["neutrophil", "blast", "basophil"]
    expect(page.locator(".bench .blasts")).to_contain_text("1 possible blast")
    page.keyboard.press("u")
    undone(page, "Cell 1.2, blast")
    expect(left).to_have_text("3 cells to review")
    chosen(page, "1.2")
    assert types(database) == ["neutrophil", None, "basophil"]
    page.keyboard.press("ArrowRight")
    chosen(page, "1.1")


def test_one_steps_from_a_cell_to_its_field_and_back(page: Page, database) -> None:
    page.goto("/review?sample=1&cells=Unreviewed")
    chosen(page, "1.2")
    address = page.url
    page.keyboard.press("f")
    boxes = page.locator(".bench .field .boxed")
    expect(boxes).to_have_count(3)
    expect(page.locator(".bench .field .chosen text")).to_have_text("2")
    boxes.filter(has=page.locator("text", has_text=re.compile("^1$"))).click()
    expect(page.locator(".bench .head b")).to_have_text("Cell 1.1")
    expect(page.locator(".bench .large img")).to_be_hidden()
    page.wait_for_timeout(SETTLED)
    page.keyboard.press("9")  # a label belongs to the cell that is framed
    expect(page.locator(".bench .field .chosen text")).to_have_text("3")
    saved(page)
    assert types(database) == ["blast", None, "basophil"]
    page.keyboard.press("u")
    undone(page, "Cell 1.1, blast")
    page.locator(".bench .field .chosen").click()
    expect(page.locator(".bench .large img")).to_be_visible()
    expect(page.locator(".bench .head b")).to_have_text("Cell 1.1")
    assert page.url == address


def test_repeated_presses_label_only_the_cell_on_the_screen(page: Page, database) -> None:
    page.goto("/review?sample=1&cells=Unreviewed")
    press = "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'KEY'}));"
    click = """[...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')]
        .map((host) => host.shadowRoot.querySelector('.labels [data-label=blast]'))
        .find(Boolean).click();"""
    for again in (press.replace("KEY", "9"), click):
        chosen(page, "1.2")
        # Five within 100 ms: the next cell is on the screen after the first one.
        page.evaluate(f"for (let i = 0; i < 5; i++) setTimeout(() => {{ {again} }}, 20 * i)")
        expect(page.locator(".bench .position")).to_have_text("2 cells to review")
        saved(page)
        assert types(database) == ["neutrophil", "blast", "basophil"]
        page.keyboard.press("u")
        undone(page, "Cell 1.2, blast")
    # Two decisions, and Undo three times at once: one of them is taken back, as the page says.
    for name in ("1.2", "1.1"):
        chosen(page, name)
        page.keyboard.press("0")
    saved(page)
    page.evaluate(press.replace("KEY", "u") * 3)
    undone(page, "Cell 1.1, smudge cell")
    assert types(database) == ["neutrophil", "smudge_cell", "basophil"]
    page.wait_for_timeout(SETTLED)
    page.keyboard.press("u")
    undone(page, "Cell 1.2, smudge cell")
    assert types(database) == ["neutrophil", None, "basophil"]


def test_several_cells_are_dragged_to_a_label_or_a_group(page: Page, database) -> None:
    page.goto("/review?sample=1")
    cells, groups = page.locator(".bench .cell"), page.locator(".bench .group")
    expect(cells).to_have_count(3)
    cells.nth(0).click()
    cells.nth(1).click(modifiers=["Control"])
    expect(page.locator(".bench .position")).to_contain_text("2 cells chosen")
    cells.nth(0).drag_to(page.locator(".bench [data-label=immature_granulocyte]"))
    expect(groups.filter(has_text="Immature granulocytes")).to_contain_text("2 · 66.7 %")
    assert types(database).count("immature_granulocyte") == 2
    cells.nth(1).drag_to(groups.filter(has_text="Basophils"))
    expect(groups.filter(has_text="Basophils")).to_contain_text("2 · 66.7 %")
    page.wait_for_timeout(SETTLED)
    page.keyboard.press("u")
    expect(page.locator(".bench .notice")).to_contain_text("Undone: Cell 1.")
    page.wait_for_timeout(SETTLED)
    page.keyboard.press("u")
    undone(page, "2 cells, immature granulocyte")
    assert types(database) == ["neutrophil", None, "basophil"]
    cells.nth(0).hover()
    expect(page.locator(".bench .enlarged")).to_contain_text("model: monocyte")


def test_a_rejected_decision_goes_back_and_says_so(page: Page, database) -> None:
    page.goto("/review?sample=1&cells=Unreviewed")
    chosen(page, "1.2")
    before = load_case(database, 1)
    ben = User("ben@lab", "reviewer")
    label_cells(database, ben, before.sample, {before.fields[0].cell_ids[0]: "eosinophil"})
    page.keyboard.press("9")
    expect(page.locator(".bench .notice.error")).to_contain_text(
        "Cell 1.2, blast not saved. ben@lab"
    )
    chosen(page, "1.2")
    assert types(database) == ["eosinophil", None, "basophil"]
    page.keyboard.press("9")
    saved(page)
    assert types(database) == ["eosinophil", "blast", "basophil"]
    page.keyboard.press("u")
    undone(page, "Cell 1.2, blast")
    undo(database, ben, load_case(database, 1).sample, [reviews_of(database, 1)[-1].id])


def test_keys_label_cells_after_a_filter_was_pressed(page: Page, database) -> None:
    page.goto("/review?sample=1&cells=Unreviewed")
    chosen(page, "1.2")
    page.get_by_role("radiogroup", name="Cells").get_by_text("All", exact=True).click()
    expect(page.locator(".bench .position")).to_have_text("3 cells")
    chosen(page, "1.2")
    page.keyboard.press("9")  # the filter still has the focus
    expect(page.locator(".bench .blasts")).to_contain_text("1 possible blast")
    saved(page)
    assert types(database) == ["neutrophil", "blast", "basophil"]
    page.keyboard.press("u")
    undone(page, "Cell 1.2, blast")


def test_a_comment_stays_with_its_cell_until_the_cell_is_labelled(page: Page, database) -> None:
    page.goto("/review?sample=1&cells=Unreviewed")
    chosen(page, "1.2")
    comment = page.locator(".bench .comment")
    comment.press_sequentially("Auer rod?")
    page.get_by_role("radiogroup", name="View").get_by_text("Sign", exact=True).click()
    expect(page.get_by_role("heading", name="What you sign")).to_be_visible()
    # The end of a run removes the filter of cells from the address, and sends the view with it.
    expect(page).not_to_have_url(re.compile("cells="))
    page.get_by_role("radiogroup", name="View").get_by_text("Cells", exact=True).click()
    chosen(page, "1.2")
    expect(comment).to_have_value("Auer rod?")
    expect(page).not_to_have_url(re.compile("view=Sign"))
    page.once("dialog", lambda dialog: dialog.accept())
    page.reload()
    chosen(page, "1.2")
    expect(comment).to_have_value("Auer rod?")
    page.get_by_role("button", name="Next cell").click()
    expect(comment).to_have_value("")
    page.get_by_role("button", name="Previous cell").click()
    chosen(page, "1.2")
    page.locator(".bench [data-label=blast]").click()
    saved(page)
    cell = load_case(database, 1).fields[0].cell_ids[1]
    assert reviews_of(database, cell)[-1].comment == "Auer rod?"
    expect(comment).to_have_value("")
    page.keyboard.press("u")
    undone(page, "Cell 1.2, blast")


def test_a_conclusion_outlives_a_leave_right_after_it_was_typed(page: Page, database) -> None:
    page.goto("/review?sample=1&view=Sign")
    conclusion = page.get_by_role("textbox", name="Conclusion")
    expect(conclusion).to_be_editable()
    settled(page)
    page.once("dialog", lambda dialog: dialog.accept())
    # As if the server had not begun to keep the text when the browser went.
    page.evaluate("() => { WebSocket.prototype.send = () => {} }")
    conclusion.press_sequentially("No blasts.")
    with page.expect_event("load"):
        # At once: after a pause the page no longer waits to send the text.
        conclusion.evaluate("""(area) => {
            area.dispatchEvent(new Event("input", { bubbles: true }))
            setTimeout(() => location.reload())
        }""")
    expect(conclusion).to_have_value("No blasts.")
    expect(page.get_by_text(re.compile("^Kept "))).to_be_visible()
    assert [text.text for text in unfinished_texts(database, 1, "conclusion")] == ["No blasts."]


def test_cells_are_labelled_where_the_browser_forbids_storage(browser, address, database) -> None:
    forbid = """Object.defineProperty(window, "sessionStorage", {
      get() { throw new DOMException("forbidden", "SecurityError"); },
    });"""
    with visiting(browser, address) as other:
        other.add_init_script(forbid)
        other.goto("/review?sample=1&cells=Unreviewed")
        chosen(other, "1.2")
        comment = other.locator(".bench .comment")
        comment.press_sequentially("Auer rod?")
        other.get_by_role("button", name="Next cell").click()
        expect(comment).to_have_value("")
        other.get_by_role("button", name="Previous cell").click()
        chosen(other, "1.2")
        expect(comment).to_have_value("Auer rod?")
        other.locator(".bench [data-label=blast]").click()
        expect(other.locator(".bench .position")).to_have_text("2 cells to review")
        saved(other)
        cell = load_case(database, 1).fields[0].cell_ids[1]
        assert types(database) == ["neutrophil", "blast", "basophil"]
        assert reviews_of(database, cell)[-1].comment == "Auer rod?"
        other.keyboard.press("u")
        undone(other, "Cell 1.2, blast")


def test_the_workbench_fits_the_window_and_a_phone_shows_one_cell(
    browser, page: Page, database
) -> None:
    page.set_viewport_size({"width": 1366, "height": 700})
    page.goto("/review?sample=1&cells=All")
    chosen(page, "1.2")
    scrolls = "(pane) => pane.scrollHeight > pane.clientHeight + 1"
    assert not page.get_by_test_id("stMain").evaluate(scrolls)
    boxes = [
        page.locator(f".bench .{name}").bounding_box() for name in ("gallery", "middle", "labels")
    ]
    assert [box["x"] for box in boxes] == sorted(box["x"] for box in boxes)
    assert all(box["y"] + box["height"] <= 700 for box in boxes)
    assert not page.locator(".bench .labels").evaluate(scrolls)
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator(".bench .gallery")).to_be_hidden()
    expect(page.locator(".bench .large img")).to_be_in_viewport()
    expect(page.locator(".bench .agree")).to_be_in_viewport()
    page.get_by_role("button", name="All cells").click()
    expect(page.locator(".bench .gallery")).to_be_visible()
    page.set_viewport_size({"width": 1400, "height": 1400})


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
    last = page.locator("svg.remove .cell").last
    expect(last).to_have_attribute("aria-label", re.compile("not a white cell"))
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
