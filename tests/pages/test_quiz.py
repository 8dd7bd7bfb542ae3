from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from core import access
from core.cases.orm import AttemptRow, RepetitionRow
from core.synthetic.smears import FieldRecipe
from core.teaching.classes import class_results, class_tests, make_test
from core.teaching.learners import (
    add_learner,
    answer,
    begin,
    end_field,
    history,
    keep_count,
    learner_of_user,
)
from core.teaching.quiz import answer_name, checked_rules
from tests.pages.app import button, checked, open_app, press, texts
from ui.quiz.images import new_questions

QUIZ = "quiz"


def open_question(app):
    """Return the labels of the answers that are offered."""
    prefix = "quiz_answer_"
    return [b.key.removeprefix(prefix) for b in app.button if (b.key or "").startswith(prefix)]


@pytest.fixture
def learner(database, user):
    return learner_of_user(database, user)


def start(database, learner, **rules):
    chosen = checked_rules(**rules)
    questions = new_questions(chosen, 1)
    return begin(database, learner, chosen, questions), questions


def test_a_quiz_from_start_to_result_and_what_was_missed_comes_back(database, learner):
    app = open_app(QUIZ)
    app.selectbox(key="quiz_number_cells").select(5)
    press(app, "quiz_start")
    (attempt,) = history(database, learner)
    for place, question in enumerate(attempt.questions):
        assert open_question(app) == list(question.options)
        assert "likeliest" not in texts(app)  # nothing of the model
        others = [label for label in question.options if label != question.truth]
        press(app, f"quiz_answer_{others[0] if place else question.truth}")
        if place:
            assert answer_name(question.truth) in app.error[0].value
            assert "Or " in texts(app)
        else:
            assert "Right" in app.success[0].value
        press(app, "quiz_next")
    assert {"Answers", "By type", "Your errors"} <= {s.value for s in app.header}
    assert [m.value for m in app.metric][:2] == ["1 of 5", "20 %"]
    assert len([e for e in app.error if "You said" in e.value]) == 4
    assert "Missed cells come back on" in texts(open_app(QUIZ))
    with database.writing() as session:
        session.execute(update(RepetitionRow).values(due=datetime.now(UTC) - timedelta(hours=1)))
    app = open_app(QUIZ)
    assert "4 cells that you missed" in texts(app)
    press(app, "quiz_repeat")
    repeated = history(database, learner)[0]
    missed = {q.item for q in attempt.questions[1:]}
    assert missed < {q.item for q in repeated.questions}
    assert len(repeated.questions) == 8


def test_a_reload_goes_on_and_final_feedback_says_nothing_before(database, learner):
    attempt_id, questions = start(database, learner, number=2, feedback="final", seconds=30)
    answer(database, learner, attempt_id, 0, questions[0].truth)
    app = open_app(QUIZ, attempt=attempt_id)
    assert open_question(app) == list(questions[1].options)
    assert "right" not in texts(app).lower()
    assert "You left a quiz at cell 2 of 2" in texts(open_app(QUIZ))
    with database.writing() as session:
        session.execute(update(AttemptRow).values(asked=datetime.now(UTC) - timedelta(minutes=5)))
    app.run()
    (done,) = history(database, learner)
    assert done.answers[1].given is None


def test_counted_fields_are_compared_with_the_truth(database, learner):
    attempt_id, _ = start(database, learner, form="fields", number=20)
    keep_count(database, learner, attempt_id, 0, ["neutrophil"] * 3)
    app = open_app(QUIZ, attempt=attempt_id)
    press(app, "quiz_count_next")
    assert (app.metric[0].value, app.metric[0].delta) == ("3", "20 are there")
    assert any("Neutrophil" in table.value.to_string() for table in app.table)


def test_a_teacher_sees_how_a_class_counts_fields(database, user):
    rules = checked_rules(form="fields", number=20)
    test, _ = make_test(database, user, "Count", rules, new_questions(rules, 1))
    ana, _ = add_learner(database, "Ana", test.id)
    attempt_id = begin(database, ana, rules, test.questions, test.id)
    assert "Nobody has finished yet" in open_app(QUIZ, view="Classes").info[0].value
    keep_count(database, ana, attempt_id, 0, ["basophil"] * 3)
    end_field(database, ana, attempt_id, 0)
    app = open_app(QUIZ, view="Classes")
    assert [m.value for m in app.metric] == ["1 of 1", "23"]
    assert "Counted minus truth" in [s.value for s in app.header]
    assert "Basophil" in app.table[0].value.to_string()


def test_nothing_counted_is_said(database, learner):
    attempt_id, _ = start(database, learner, form="fields", number=20)
    app = open_app(QUIZ, attempt=attempt_id)
    press(app, "quiz_count_next")
    assert "Nothing is counted" in app.error[0].value


def test_a_learner_erases_all_results(database, user, learner):
    attempt_id, questions = start(database, learner, number=2)
    answer(database, learner, attempt_id, 0, questions[0].truth)
    app = open_app(QUIZ, view="My results")
    assert "1 of 1 right" in texts(app)
    press(app, "quiz_erase")
    assert history(database, learner_of_user(database, user)) == ()


def test_attempts_of_others_stay_closed(database, learner):
    other, _ = add_learner(database, "Ben")
    attempt_id, _ = start(database, other, number=2)
    app = open_app(QUIZ, attempt=attempt_id)
    assert "does not exist" in app.error[0].value
    assert "wrong, expired" in open_app(QUIZ, learner="wrong").error[0].value


def test_a_teacher_makes_a_test_from_chosen_cells_and_a_learner_takes_it(database, user):
    app = open_app(QUIZ, view="Classes")
    app.text_input(key="quiz_test_title").input("Week 3")
    app.selectbox(key="quiz_class_number_cells").select(5)
    app.toggle(key="quiz_test_by_hand").set_value(True)
    checked(app.run())
    press(app, "quiz_draw")
    kept = [c for c in app.checkbox if c.key.startswith("quiz_keep_")]
    assert len(kept) == 10
    for box in kept[2:]:
        box.uncheck()
    press(app, "quiz_make")
    link = app.code[0].value
    ((test, learners),) = class_tests(database, user)
    assert (test.title, len(test.questions), learners) == ("Week 3", 2, 0)

    token = link.partition("?test=")[2]
    app = open_app(QUIZ, test=token)
    assert "by local" in texts(app)
    app.text_input(key="quiz_name").input("Ana [x](http://y)")
    press(app, "quiz_join")
    press(app, "quiz_test")
    for question in test.questions:
        press(app, f"quiz_answer_{question.truth}")
        press(app, "quiz_next")
    assert app.metric[0].value == "2 of 2"
    assert any("Certificate" in b.proto.label for b in app.get("download_button"))

    app = open_app(QUIZ, view="Classes")
    assert "Answers" in [s.value for s in app.header]
    labels = [b.proto.label for b in app.get("download_button")]
    assert {"All answers, CSV", "Workbook, XLSX"} <= set(labels)
    assert class_results(database, user, test.id).score().right == 2
    press(app, "quiz_close")
    assert "expired" in open_app(QUIZ, test=token).error[0].value
    press(app, "quiz_delete")
    assert class_tests(database, user) == ()


def test_without_an_account_one_learns_by_name_and_makes_no_class(monkeypatch):
    monkeypatch.setattr(access, "auth_section", lambda: {"client_id": "x"})
    monkeypatch.setattr(access.visitors, "guarded", True)
    app = open_app(QUIZ)
    app.text_input(key="quiz_name").input("Ana")
    press(app, "quiz_join")
    assert button(app, "Start")
    assert "You learn as Ana" in texts(app)
    press(app, "quiz_start")
    press(app, f"quiz_answer_{open_question(app)[0]}")
    app.session_state["quiz_view"] = "My results"
    del app.query_params["attempt"]
    checked(app.run())
    assert "What you miss most" in [s.value for s in app.header]
    assert not app.get("download_button")  # the server would refuse the file
    app.session_state["quiz_view"] = "Classes"
    app.run()
    assert "Teachers make tests here" in app.info[0].value


def test_a_field_is_made_and_opened_in_the_count(database):
    app = open_app(QUIZ, view="Make a field")
    app.selectbox(key="quiz_field_picture").select("Acute leukaemia")
    app.slider(key="quiz_field_cells").set_value(5)
    checked(app.run())
    press(app, "quiz_field_make")
    recipe = app.session_state["quiz_field_recipe"]
    assert isinstance(recipe, FieldRecipe)
    assert recipe.counts["blast"] == 3
    assert "3 blast" in texts(app)
    press(app, "quiz_field_open")
    assert app.title[0].value == "WBC count"
    assert [m.value for m in app.metric if m.label == "White cells"] == ["5"]
    app = open_app(QUIZ, view="Make a field")
    app.selectbox(key="quiz_field_picture").select("Own counts")
    checked(app.run())
    press(app, "quiz_field_make")
    assert "cannot be made" in app.error[0].value
