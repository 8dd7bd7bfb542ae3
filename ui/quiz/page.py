"""Which part of the quiz a visitor sees: a test, an open quiz, or one of the views."""

import streamlit as st

from core.access import get_access
from core.cases.database import Database, get_database
from core.errors import LinkError
from core.teaching.classes import ClassTest, follow_test
from core.teaching.learners import Learner, attempt_of, begin, history
from core.teaching.quiz import LEVELS
from ui.components.actions import action_button
from ui.components.cases import errors_shown, local_time, number_in_address
from ui.components.shared import number_of, plain
from ui.components.visitor import admit_by_link
from ui.quiz.classes import show_classes
from ui.quiz.count import show_count
from ui.quiz.field import show_field_maker
from ui.quiz.learner import ask_name, current_learner, shown_name
from ui.quiz.play import show_question
from ui.quiz.results import show_history, show_result
from ui.quiz.start import show_start

_VIEW = "quiz_view"
VIEWS = ("Practise", "My results", "Classes", "Make a field")


def show_page() -> None:
    """Show what the address asks for."""
    with errors_shown(end_page=True):
        database = get_database()
        token = st.query_params.get("test")
        test = _open_test(database, token) if token else None
        learner = current_learner(database)
    if test is not None and (learner is None or learner.test_id != test.id):
        _offer_test(test)
        ask_name(database, test.id)
        return
    if learner is None:
        st.header("Learn to name cells")
        ask_name(database)
        return
    if learner.test_id is not None:
        admit_by_link()  # for the certificate
    attempt_id = number_in_address("attempt")
    if attempt_id is not None:
        _show_attempt(database, learner, attempt_id)
    elif test is not None:
        _show_test(database, learner, test)
    else:
        _show_views(database, learner)


def _open_test(database: Database, token: str) -> ClassTest | None:
    """Return the test of a link. A learner who came by it reads the own results when it is over."""
    try:
        return follow_test(database, token)
    except LinkError:
        if "learner" not in st.query_params:
            raise
        st.info("The test is over. Your results stay here.", icon=":material/event_busy:")
        return None


def _show_attempt(database: Database, learner: Learner, attempt_id: int) -> None:
    with errors_shown(end_page=True):
        attempt = attempt_of(database, learner, attempt_id)
    show = show_count if attempt.is_count else show_question
    if not show(database, learner, attempt):
        show_result(database, learner, attempt)


def _show_views(database: Database, learner: Learner) -> None:
    asked = st.query_params.get("view")

    def changed() -> None:
        # Not bound to the address: nobody could leave the page, or be forgotten, by a button then.
        st.query_params["view"] = st.session_state[_VIEW]

    view = st.segmented_control(
        "View",
        VIEWS,
        default=asked if asked in VIEWS else VIEWS[0],
        required=True,
        key=_VIEW,
        on_change=changed,
        label_visibility="collapsed",
    )
    if view == "Practise":
        show_start(database, learner)
    elif view == "My results":
        show_history(database, learner)
    elif view == "Classes":
        show_classes(database)
    else:
        show_field_maker()
    if get_access().sign_in or learner.user is None:
        shown_name(learner)


def _offer_test(test: ClassTest) -> None:
    st.header(plain(test.title))
    rules = test.rules
    what = (
        f"{number_of(len(test.questions), 'field')} to count, "
        + number_of(test.rules.number, "white cell")
        if rules.form == "fields"
        else number_of(len(test.questions), "cell")
    )
    time = f"{rules.seconds} s a cell" if rules.seconds else "no time limit"
    told = "after each answer" if rules.feedback == "immediate" else "at the end"
    st.markdown(
        f"{what} · {LEVELS[rules.level].name.lower()} · {time} · explanations {told} · "
        f"by {plain(test.author)}, until {local_time(test.expires)}"
    )


def _show_test(database: Database, learner: Learner, test: ClassTest) -> None:
    begun = [a for a in history(database, learner) if a.test_id == test.id]
    _offer_test(test)

    def start() -> None:
        attempt = begin(database, learner, test.rules, test.questions, test.id)
        st.query_params["attempt"] = str(attempt)

    finished = begun and begun[0].open_question is None
    label = "See your result" if finished else "Go on" if begun else "Begin"
    action_button(label, "quiz_test", start, type="primary", shortcut="Enter", for_everyone=True)
    shown_name(learner)
