"""Learners and classes in the database: answers, what comes back, results, erasure."""

import io
from datetime import UTC, datetime, timedelta

import openpyxl
import pypdfium2
import pytest
from sqlalchemy import select, text, update

from core.cases.backup import make_backup
from core.cases.database import open_database
from core.cases.learners import expire_learners
from core.cases.orm import AnswerRow, AttemptRow, ClassTestRow, LearnerRow, RepetitionRow
from core.cases.records import User
from core.cases.restore import restore_backup
from core.cases.users import remove, set_role, user_of
from core.errors import InvalidEntryError, LinkError, NotAllowedError, NotFoundError
from core.exports.classes import (
    certificate_pdf,
    class_csv,
    class_xlsx,
    count_differences,
    learners_table,
)
from core.settings import Settings
from core.teaching import learners as module
from core.teaching.atlas import get_atlas
from core.teaching.classes import (
    class_results,
    class_tests,
    close_test,
    delete_test,
    follow_test,
    make_test,
)
from core.teaching.learners import (
    add_learner,
    answer,
    ask,
    attempt_of,
    begin,
    due,
    end_field,
    erase_learner,
    history,
    keep_count,
    learner_of_secret,
    learner_of_user,
)
from core.teaching.quiz import checked_rules, make_questions
from tests.cases.made import ADMIN, REVIEWER, SECOND, VIEWER

RULES = checked_rules(number=4)
QUESTIONS = make_questions(RULES, 1, get_atlas(), {})


def wrong(question):
    return next(label for label in question.options if label != question.truth)


def days_later(monkeypatch, days):
    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=days)

    monkeypatch.setattr(module, "datetime", Later)


def test_answers_are_kept_as_they_are_given_and_only_their_learner_reads_them(database):
    ana, secret = add_learner(database, "  Ana ")
    ben, _ = add_learner(database, "Ben")
    assert ana.name == "Ana"
    assert learner_of_secret(database, secret) == ana
    with pytest.raises(LinkError):
        learner_of_secret(database, "wrong")
    attempt_id = begin(database, ana, RULES, QUESTIONS)
    answer(database, ana, attempt_id, 0, QUESTIONS[0].truth)
    answer(database, ana, attempt_id, 0, wrong(QUESTIONS[0]))  # pressed twice
    again = attempt_of(database, ana, attempt_id)  # as after a reload
    assert (again.open_question, len(again.answers), again.finished) == (1, 1, None)
    with pytest.raises(InvalidEntryError, match="no answer to the question"):
        answer(database, ana, attempt_id, 1, "dragon")
    with pytest.raises(NotFoundError):
        attempt_of(database, ben, attempt_id)
    with pytest.raises(NotFoundError):
        answer(database, ben, attempt_id, 1, QUESTIONS[1].truth)
    assert history(database, ben) == ()
    for place in (1, 2, 3):
        answer(database, ana, attempt_id, place, wrong(QUESTIONS[place]))
    (done,) = history(database, ana)
    assert done.finished
    assert done.open_question is None
    assert (done.score.right, done.score.agreement.total) == (1, 4)


def test_missed_cells_come_back_the_next_day_then_later_and_later(database, monkeypatch):
    learner, _ = add_learner(database, "Ana")
    attempt_id = begin(database, learner, RULES, QUESTIONS)
    for place, question in enumerate(QUESTIONS):
        answer(database, learner, attempt_id, place, question.truth if place else wrong(question))
    assert due(database, learner) == []
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert due(database, learner, tomorrow) == [QUESTIONS[0]]
    gaps = []
    for _ in range(3):
        with database.reading() as session:
            when = session.scalars(select(RepetitionRow.due)).one()
        days = (when.date() - datetime.now(UTC).date()).days
        gaps.append(days)
        with monkeypatch.context() as patched:
            days_later(patched, days)
            attempt_id = begin(database, learner, RULES, QUESTIONS[:1])
            answer(database, learner, attempt_id, 0, QUESTIONS[0].truth)
    assert gaps[0] == 1
    assert gaps == sorted(set(gaps))


def test_a_late_answer_counts_as_none(database, monkeypatch):
    learner, _ = add_learner(database, "Ana")
    rules = checked_rules(number=2, seconds=5)
    attempt_id = begin(database, learner, rules, QUESTIONS[:2])
    attempt = ask(database, learner, attempt_of(database, learner, attempt_id))
    assert 4 < attempt.seconds_left() <= 5
    kept = answer(database, learner, attempt_id, 0, QUESTIONS[0].truth)
    assert kept.answers[0].given == QUESTIONS[0].truth
    ask(database, learner, kept)
    with database.writing() as session:
        session.execute(update(AttemptRow).values(asked=datetime.now(UTC) - timedelta(minutes=1)))
    late = answer(database, learner, attempt_id, 1, QUESTIONS[1].truth)
    assert late.answers[1].given is None
    assert late.answers[1].seconds >= 60


def test_a_count_follows_the_keys_and_goes_on_after_a_reload(database):
    learner, _ = add_learner(database, "Ana")
    rules = checked_rules(form="fields", number=30)
    questions = make_questions(rules, 1, get_atlas(), {})
    attempt_id = begin(database, learner, rules, questions)
    presses = ["neutrophil", "blast", "neutrophil", "monocyte"]
    for n in range(5):
        keep_count(database, learner, attempt_id, 0, presses[:n])
    keep_count(database, learner, attempt_id, 0, ["neutrophil", "lymphocyte"])  # undone, other
    attempt = attempt_of(database, learner, attempt_id)
    assert attempt.counted(0) == {"neutrophil": 1, "lymphocyte": 1}
    end_field(database, learner, attempt_id, 0)
    keep_count(database, learner, attempt_id, 0, presses)  # ended: too late
    keep_count(database, learner, attempt_id, 1, ["basophil"])
    assert attempt_of(database, learner, attempt_id).open_question == 1
    with pytest.raises(InvalidEntryError):
        keep_count(database, learner, attempt_id, 1, ["dragon"])
    done = end_field(database, learner, attempt_id, 1)
    assert done.finished
    assert done.counted() == {"neutrophil": 1, "lymphocyte": 1, "basophil": 1}
    assert done.to_count().total() == 30


def taken(database, test, name, right):
    """Let somebody take a test with so many right answers."""
    learner, _ = add_learner(database, name, test.id)
    attempt_id = begin(database, learner, test.rules, test.questions, test.id)
    assert begin(database, learner, test.rules, test.questions, test.id) == attempt_id
    for place, question in enumerate(test.questions):
        given = question.truth if place < right else wrong(question)
        answer(database, learner, attempt_id, place, given)
    return learner


def test_a_class_from_link_to_export(database):
    test, token = make_test(database, REVIEWER, "Week 3", RULES, QUESTIONS, days=2)
    assert follow_test(database, token) == test
    ana = taken(database, test, "=HYPERLINK(1)", 4)
    taken(database, test, "Ben", 1)
    add_learner(database, "Eve", test.id)
    results = class_results(database, REVIEWER, test.id)
    assert [r.learner.name for r in results.results] == ["=HYPERLINK(1)", "Ben", "Eve"]
    assert results.score().right == 5
    assert learners_table(results)["right"].tolist()[:2] == [4, 1]
    assert "'=HYPERLINK(1)" in class_csv(results).decode("utf-8-sig")
    book = openpyxl.load_workbook(io.BytesIO(class_xlsx(results)))
    assert book.sheetnames == ["Learners", "Types", "Matrix", "Answers"]
    cell = book["Learners"]["A2"]
    assert (cell.value, cell.data_type) == ("=HYPERLINK(1)", "s")
    (attempt,) = history(database, ana)
    pdf = pypdfium2.PdfDocument(certificate_pdf("Week 3", test.author, "Ana", attempt))
    said = pdf[0].get_textpage().get_text_bounded()
    for part in ("Ana", "Week 3", "4 of 4 cells named rightly", REVIEWER.name):
        assert part in said


def test_links_end_and_teachers_see_their_own_classes(database):
    test, token = make_test(database, REVIEWER, "T", RULES, QUESTIONS)
    assert [t.id for t, _ in class_tests(database, REVIEWER)] == [test.id]
    assert class_tests(database, SECOND) == ()
    assert [t.id for t, _ in class_tests(database, ADMIN)] == [test.id]
    for action in (class_results, close_test, delete_test):
        with pytest.raises(NotFoundError):
            action(database, SECOND, test.id)
        with pytest.raises(NotAllowedError):
            action(database, VIEWER, test.id)
    with pytest.raises(NotAllowedError):
        make_test(database, VIEWER, "T", RULES, QUESTIONS)
    with pytest.raises(InvalidEntryError, match="title"):
        make_test(database, REVIEWER, " ", RULES, QUESTIONS)
    close_test(database, REVIEWER, test.id)
    with pytest.raises(LinkError):
        follow_test(database, token)
    other, token = make_test(database, REVIEWER, "T", RULES, QUESTIONS)
    with database.writing() as session:
        session.get(ClassTestRow, other.id).expires = datetime.now(UTC) - timedelta(seconds=1)
    with pytest.raises(LinkError):
        follow_test(database, token)
    with database.reading() as session:
        stored = session.execute(text("SELECT token_hash FROM class_tests")).scalars().all()
    assert token not in stored


TABLES = (AnswerRow, AttemptRow, RepetitionRow, LearnerRow)


def rows(database):
    with database.reading() as session:
        return [len(session.scalars(select(table)).all()) for table in TABLES]


def test_a_class_a_learner_and_a_user_are_erased_with_all_answers(database):
    test, _ = make_test(database, REVIEWER, "T", RULES, QUESTIONS)
    taken(database, test, "Ana", 0)
    own, _ = add_learner(database, "Own")
    begin(database, own, RULES, QUESTIONS)
    set_role(database, ADMIN, "eve@lab", "viewer")
    eve = learner_of_user(database, user_of(database, "eve@lab"))
    assert learner_of_user(database, User("eve@lab", "viewer")) == eve
    begin(database, eve, RULES, QUESTIONS)
    assert rows(database) == [4, 3, 4, 3]
    assert delete_test(database, REVIEWER, test.id) == 1
    assert rows(database) == [0, 2, 0, 2]
    remove(database, ADMIN, "eve@lab", Settings(_env_file=None))
    assert rows(database) == [0, 1, 0, 1]
    erase_learner(database, own)
    assert rows(database) == [0, 0, 0, 0]
    with database.reading() as session:
        assert session.scalars(select(ClassTestRow)).all() == []


def test_learners_who_never_return_are_deleted(database):
    settings = Settings(_env_file=None, learner_days=30)
    opened, _ = make_test(database, REVIEWER, "Open", RULES, QUESTIONS)
    over, _ = make_test(database, REVIEWER, "Over", RULES, QUESTIONS)
    taken(database, opened, "Of an open test", 0)
    taken(database, over, "Of a test that is over", 0)
    close_test(database, REVIEWER, over.id)
    taken(database, over, "Answered this week", 1)
    own, _ = add_learner(database, "Began this week")
    begin(database, own, RULES, QUESTIONS)
    add_learner(database, "Never began")
    set_role(database, ADMIN, "eve@lab", "viewer")
    learner_of_user(database, user_of(database, "eve@lab"))
    assert expire_learners(database, settings) == 0
    long_ago = datetime.now(UTC) - timedelta(days=31)
    with database.writing() as session:
        session.execute(update(LearnerRow).values(made=long_ago))
        named = select(LearnerRow.id).where(LearnerRow.name.like("Of %"))
        old = select(AttemptRow.id).where(AttemptRow.learner_id.in_(named))
        session.execute(
            update(AnswerRow).where(AnswerRow.attempt_id.in_(old)).values(at=long_ago),
            execution_options={"synchronize_session": False},
        )
        session.execute(
            update(AttemptRow).where(AttemptRow.learner_id != own.id).values(started=long_ago)
        )
    assert expire_learners(database, settings) == 2
    with database.reading() as session:
        left = session.scalars(select(LearnerRow.name).order_by(LearnerRow.id)).all()
    assert left == ["Of an open test", "Answered this week", "Began this week", "eve@lab"]
    assert rows(database)[:2] == [8, 3]


def test_a_class_that_counts_fields_is_compared_type_by_type(database):
    rules = checked_rules(form="fields", number=20)
    questions = make_questions(rules, 1, get_atlas(), {})
    test, _ = make_test(database, REVIEWER, "Count", rules, questions)
    truth = None
    for name, more in (("Ana", 0), ("Ben", 3), ("Eve", None)):
        learner, _ = add_learner(database, name, test.id)
        attempt_id = begin(database, learner, rules, questions, test.id)
        truth = attempt_of(database, learner, attempt_id).to_count()
        if more is not None:
            cells = [*truth.elements(), *["basophil"] * more]
            keep_count(database, learner, attempt_id, 0, cells)
            end_field(database, learner, attempt_id, 0)
    results = class_results(database, REVIEWER, test.id)
    assert [learner.name for learner, _ in results.finished] == ["Ana", "Ben"]
    counts = {count.label: count for count in results.counts()}
    assert {label: count.truth for label, count in counts.items() if count.truth} == truth
    basophils = truth["basophil"]
    assert counts["basophil"].counted == (basophils, basophils + 3)
    table = count_differences(results)
    assert table["learner"].tolist() == ["Ana", "Ben"]
    assert table["Basophil"].tolist() == [0, 3]
    book = openpyxl.load_workbook(io.BytesIO(class_xlsx(results)))
    assert book.sheetnames == ["Learners", "Types", "Differences", "Answers"]


def test_a_backup_holds_classes_and_learners(database, settings, tmp_path):
    test, token = make_test(database, REVIEWER, "T", RULES, QUESTIONS)
    learner = taken(database, test, "Ana", 2)
    make_backup(database, tmp_path / "b.zip", settings)
    place = Settings(_env_file=None, store=tmp_path / "new", database_url=None)
    restore_backup(tmp_path / "b.zip", place)
    restored = open_database(place)
    assert follow_test(restored, token) == test
    assert history(restored, learner) == history(database, learner)
    assert rows(restored) == rows(database) == [4, 1, 2, 1]
    restored.engine.dispose()


def test_learners_are_limited(database, monkeypatch):
    monkeypatch.setattr(module, "MOST_NAMED", 1)
    monkeypatch.setattr(module, "MOST_ATTEMPTS", 1)
    learner, _ = add_learner(database, "Ana")
    with pytest.raises(InvalidEntryError, match="limit"):
        add_learner(database, "Ben")
    begin(database, learner, RULES, QUESTIONS)
    with pytest.raises(InvalidEntryError, match="limit"):
        begin(database, learner, RULES, QUESTIONS)
    for name in ("", "x" * 101, "a\u202eb"):
        with pytest.raises(InvalidEntryError):
            add_learner(database, name)
