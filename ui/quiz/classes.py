"""Tests of a class: make one, share its link, read what the learners answered."""

import secrets
from functools import partial
from statistics import median

import streamlit as st

from core.cases.database import Database
from core.cases.records import User
from core.cases.users import require
from core.errors import LeukoscopeError, NotAllowedError, SignInError, UnknownPersonError
from core.exports.classes import (
    certificate_pdf,
    class_csv,
    class_xlsx,
    count_difference,
    count_differences,
    learners_table,
)
from core.exports.registry import XLSX
from core.settings import get_settings
from core.teaching.classes import (
    TEST_DAYS,
    ClassResults,
    ClassTest,
    class_results,
    class_tests,
    close_test,
    delete_test,
    make_test,
)
from core.teaching.quiz import LEVELS, Question, Rules, answer_name
from ui.components.actions import action_button
from ui.components.cases import errors_shown, local_time
from ui.components.shared import data_table, embed_image, metrics, number_of, plain
from ui.components.visitor import current_user
from ui.quiz.images import item_jpeg, new_questions
from ui.quiz.results import show_counts, show_score
from ui.quiz.start import choose_rules

_FRESH = "quiz_fresh_link"
_CANDIDATES = "quiz_candidates"
_TITLE, _DAYS, _BY_HAND = "quiz_test_title", "quiz_test_days", "quiz_test_by_hand"
_WHOLE_CLASS = "Whole class"


def show_classes(database: Database) -> None:
    """Show a teacher's tests and a form to make one."""
    try:
        user = current_user(database)
        require(user, "reviewer")
    except (SignInError, UnknownPersonError, NotAllowedError):
        st.info(
            "Teachers make tests here: reviewers and administrators who are signed in. To take a "
            "test, open the link that your teacher sent.",
            icon=":material/school:",
        )
        return
    except LeukoscopeError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    with errors_shown(end_page=True):
        tests = class_tests(database, user)
    with st.expander("Make a test", icon=":material/add:", expanded=not tests):
        _make(database, user)
    fresh: tuple[ClassTest, str] | None = st.session_state.get(_FRESH)
    if fresh:
        base = (st.context.url or "").partition("?")[0]
        st.success(f"Send this link to the class: {plain(fresh[0].title)}", icon=":material/link:")
        st.code(f"{base}?test={fresh[1]}", language=None, wrap_lines=True)
        st.caption("Copy the link now: it is shown once.")
    if tests:
        _show_tests(database, user, [test for test, _ in tests], {t.id: n for t, n in tests})


def _make(database: Database, user: User) -> None:
    st.text_input("Title", key=_TITLE, max_chars=100, placeholder="Blood course, week 3")
    rules = choose_rules("quiz_class")
    st.number_input("The link is valid for, days", 1, 366, TEST_DAYS, key=_DAYS, width=220)
    st.toggle(
        "Choose the cells one by one",
        key=_BY_HAND,
        help="Shows twice as many cells as the test has; keep those that you want.",
    )
    candidates: tuple[Rules, tuple[Question, ...]] | None = st.session_state.get(_CANDIDATES)

    def draw() -> None:
        chosen = rules()
        twice = chosen.model_copy(update={"number": min(2 * chosen.number, 60)})
        st.session_state[_CANDIDATES] = chosen, new_questions(twice, secrets.randbits(31))

    def create() -> None:
        chosen = rules()
        questions = new_questions(chosen, secrets.randbits(31))
        if st.session_state.get(_BY_HAND) and chosen.form == "cells" and candidates:
            chosen = candidates[0]
            questions = tuple(
                question
                for place, question in enumerate(candidates[1])
                if st.session_state.get(f"quiz_keep_{place}")
            )
            chosen = chosen.model_copy(update={"number": max(len(questions), 1)})
        st.session_state[_FRESH] = make_test(
            database,
            user,
            st.session_state[_TITLE],
            chosen,
            questions,
            days=st.session_state[_DAYS],
        )
        st.session_state.pop(_CANDIDATES, None)

    if st.session_state.get(_BY_HAND):
        action_button("Show cells to choose from", "quiz_draw", draw, icon=":material/refresh:")
        if candidates:
            _choose_cells(candidates[1])
    action_button("Make the test", "quiz_make", create, type="primary", icon=":material/add:")


def _choose_cells(questions: tuple[Question, ...]) -> None:
    with st.grid("auto", min_column_width=120):
        for place, question in enumerate(questions):
            with st.container(border=True, gap="xsmall"):
                embed_image(item_jpeg(question.item, 160), width="stretch", alt=f"Cell {place + 1}")
                st.checkbox(answer_name(question.truth), value=True, key=f"quiz_keep_{place}")


def _show_tests(
    database: Database, user: User, tests: list[ClassTest], learners: dict[int, int]
) -> None:
    st.header("Your tests")
    by_id = {test.id: test for test in tests}
    chosen: int = st.selectbox(
        "Test",
        list(by_id),
        format_func=lambda key: (
            f"{by_id[key].title} · {by_id[key].made:%Y-%m-%d} · "
            + number_of(learners[key], "learner")
        ),
        key="quiz_test",
        persist_state="session",
    )
    test = by_id[chosen]
    what = number_of(len(test.questions), "field" if test.rules.form == "fields" else "cell")
    state = f"open until {local_time(test.expires)}" if test.is_open else "closed"
    st.markdown(f"{what} · {LEVELS[test.rules.level].name.lower()} · {state}")
    with errors_shown():
        _show_results(class_results(database, user, chosen))
    st.caption(
        "Learners without an account are deleted with their results "
        f"{number_of(get_settings().learner_days, 'day')} after their last answer. Export what you "
        "keep longer."
    )
    with st.container(horizontal=True):
        if test.is_open:
            action_button(
                "Close the test",
                "quiz_close",
                partial(close_test, database, user, chosen),
                icon=":material/event_busy:",
                help="Lets nobody in by the link any more. Results stay.",
            )
        with st.popover("Delete the class", icon=":material/delete:"):
            st.markdown(
                f"The test, its {number_of(learners[chosen], 'learner')} and all their answers are "
                "deleted for good."
            )
            action_button(
                "Delete them",
                "quiz_delete",
                partial(delete_test, database, user, chosen),
                type="primary",
            )


def _show_class_counts(results: ClassResults) -> None:
    """Show how the learners who finished counted the fields: by type, then each of them."""
    finished, counts = results.finished, results.counts()
    begun = f"{len(finished)} of {len(results.attempts)}"
    if not counts:
        st.info("Nobody has finished yet. Choose a learner.", icon=":material/hourglass_empty:")
        return
    metrics(
        {
            "Finished": (begun, "learners who began", None),
            "Median difference": (
                f"{median(count_difference(attempt) for _, attempt in finished):g}",
                f"of {sum(count.truth for count in counts)} cells",
                "Cells that a learner counted too many or too few, over all types.",
            ),
        },
        150,
    )
    st.table(
        {
            "Type": [answer_name(count.label) for count in counts],
            "Truth": [str(count.truth) for count in counts],
            "Median": [f"{median(count.counted):g}" for count in counts],
            "Lowest": [str(min(count.counted)) for count in counts],
            "Highest": [str(max(count.counted)) for count in counts],
            "Within limits": [f"{count.near} of {len(finished)}" for count in counts],
        },
        border="horizontal",
        hide_index=True,
        alt="Cells counted by the class beside the truth",
    )
    st.caption(
        "Cells on all fields, of the learners who finished. Within limits: the true percentage "
        "lies within the exact 95 % limits of the learner's percentage (Rümke)."
    )
    st.header("Counted minus truth")
    data_table(count_differences(results), alt="Counted minus truth by learner")


def _show_results(results: ClassResults) -> None:
    if not results.attempts:
        st.info("Nobody has begun yet.", icon=":material/hourglass_empty:")
        return
    of_learner = {learner.id: (learner, attempt) for learner, attempt in results.attempts}
    chosen = st.selectbox(
        "Results of",
        [None, *of_learner],
        format_func=lambda key: (
            _WHOLE_CLASS if key is None else f"{of_learner[key][0].name} ({key})"
        ),
        key=f"quiz_of_{results.test.id}",
    )
    if chosen is None:
        if results.test.rules.form == "cells":
            show_score(results.score(), "quiz_class")
        else:
            _show_class_counts(results)
    else:
        learner, attempt = of_learner[chosen]
        if attempt.is_count:
            show_counts(attempt)
        elif attempt.answers:
            show_score(attempt.score, "quiz_learner")
        if attempt.finished:
            st.download_button(
                "Certificate, PDF",
                lambda: certificate_pdf(
                    results.test.title, results.test.author, learner.name, attempt
                ),
                f"leukoscope_certificate_{learner.id}.pdf",
                "application/pdf",
                icon=":material/workspace_premium:",
                on_click="ignore",
                key=f"quiz_certificate_{learner.id}",
            )
    st.header("Learners")
    data_table(learners_table(results), alt="Class results by learner")
    with st.container(horizontal=True):
        for label, write, name, media in (
            ("All answers, CSV", class_csv, "answers.csv", "text/csv"),
            ("Workbook, XLSX", class_xlsx, "class.xlsx", XLSX),
        ):
            st.download_button(
                label,
                partial(write, results),
                f"leukoscope_{name}",
                media,
                icon=":material/download:",
                on_click="ignore",
                key=f"quiz_{name}",
            )
