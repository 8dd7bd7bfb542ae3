"""A student practises by keyboard; a teacher gives a class a test. In Chromium."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from core.cases.database import open_database
from core.cases.orm import RepetitionRow
from core.cases.users import user_of
from core.settings import Settings
from core.teaching.classes import follow_test
from core.teaching.learners import add_learner, answer, begin, history, learner_of_user
from tests.browser.conftest import PHONE, serving, visiting
from tests.browser.visits import download, settled

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    settings = Settings(_env_file=None, store=tmp_path_factory.mktemp("store"), database_url=None)
    opened = open_database(settings)
    yield opened
    opened.engine.dispose()


@pytest.fixture(scope="module")
def address(database):
    with serving(database.images.root.parent) as served:
        yield served


def answer_by_key(page: Page, key: str) -> None:
    question = page.get_by_text("What is this cell?")
    expect(question).to_be_visible()
    settled(page)
    page.keyboard.press(key)
    expect(question).to_be_hidden()
    expect(page.get_by_role("button", name=re.compile("^(Next|See the result)"))).to_be_visible()
    settled(page)
    page.keyboard.press("Enter")


def test_ten_by_keyboard_errors_and_the_missed_ones_the_next_day(browser, address, database):
    with visiting(browser, address) as page:
        page.goto("/quiz")
        expect(page.get_by_role("button", name="Start")).to_be_visible()
        settled(page)
        page.keyboard.press("Enter")
        for number in range(10):
            expect(page.get_by_text(f"Cell {number + 1} of 10")).to_be_visible()
            answer_by_key(page, "1")
        expect(page.get_by_role("heading", name="Your errors")).to_be_visible()
        expect(page.get_by_test_id("stMetric").filter(has_text="kappa")).to_be_visible()
        (attempt,) = history(database, learner_of_user(database, user_of(database)))
        wrong = len(attempt.questions) - attempt.score.right
        expect(page.get_by_text(re.compile("It is: .* You said: "))).to_have_count(wrong)
        page.goto("/quiz")
        expect(page.get_by_text("Missed cells come back on")).to_be_visible()
        with database.writing() as session:  # the next day
            for row in session.scalars(select(RepetitionRow)):
                row.due -= timedelta(days=1)
        page.reload()
        expect(page.get_by_text(f"{wrong} cells that you missed are due today")).to_be_visible()
        page.get_by_role("button", name="Repeat").click()
        expect(page.get_by_text(re.compile("^Cell 1 of "))).to_be_visible()


def test_a_class_of_two_takes_a_test_and_its_teacher_reads_it(browser, address, database):
    with visiting(browser, address) as teacher:
        teacher.goto("/quiz?view=Classes")
        teacher.get_by_label("Title").fill("Week 3")
        teacher.get_by_label("Title").press("Tab")
        teacher.get_by_role("combobox", name=re.compile("Cells")).click()
        teacher.get_by_role("option", name="5", exact=True).click()
        teacher.get_by_text("At the end").click()
        settled(teacher)
        teacher.get_by_role("button", name="Make the test").click()
        link = teacher.get_by_test_id("stCode").inner_text().strip()
        with visiting(browser, address, **PHONE) as learner:
            learner.goto(link)
            learner.get_by_label("Your name").fill("Ana")
            learner.get_by_role("button", name="Go in").click()
            learner.get_by_role("button", name="Begin").click()
            for number in range(5):
                expect(learner.get_by_text(f"Cell {number + 1} of 5")).to_be_visible()
                settled(learner)
                if number == 2:
                    learner.reload()  # goes on where it stopped
                learner.locator("[class*=st-key-quiz_answer] button").first.click()
            assert download(learner, "Certificate, PDF").startswith(b"%PDF")
        test = follow_test(database, link.partition("?test=")[2])
        ben, _ = add_learner(database, "Ben", test.id)
        attempt = begin(database, ben, test.rules, test.questions, test.id)
        for place, question in enumerate(test.questions):
            answer(database, ben, attempt, place, question.truth)
        teacher.goto("/quiz?view=Classes")
        expect(teacher.get_by_text("of 10").first).to_be_visible()  # two learners, five cells
        matrix = teacher.locator(".st-key-quiz_class_matrix .js-plotly-plot")
        expect(matrix).to_be_visible()
        rows = download(teacher, "All answers, CSV").decode("utf-8-sig").splitlines()
        assert [row.split(",")[0] for row in rows] == ["learner", *["Ana"] * 5, *["Ben"] * 5]


def test_fast_keys_are_all_counted(browser, address):
    with visiting(browser, address) as page:
        page.goto("/quiz")
        page.get_by_text("Whole fields").first.click()
        settled(page)
        page.get_by_role("button", name="Start").click()
        expect(page.get_by_text("Field 1 of 5")).to_be_visible()
        expect(page.get_by_text("0 on this field, 0 of 100 in all")).to_be_visible()
        settled(page)
        for key in "1111122239":
            page.keyboard.press(key)
        page.keyboard.press("Backspace")
        page.keyboard.press("Enter")
        expect(page.get_by_text("0 on this field, 9 of 100 in all")).to_be_visible()
