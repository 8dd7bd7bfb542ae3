"""The first screen of the quiz: what comes back today, and what to practise."""

import secrets
from collections.abc import Callable

import streamlit as st

from core.cases.database import Database
from core.domain.taxonomy import label_name
from core.synthetic.smears import DIFFERENTIALS, STAINS
from core.teaching.learners import Learner, begin, due, history, next_due
from core.teaching.quiz import LEVELS, LevelKey, Rules, checked_rules, repetition
from ui.components.actions import action_button
from ui.components.cases import errors_shown
from ui.components.shared import number_of
from ui.quiz.images import new_questions, real_cells
from ui.quiz.learner import in_address

PAGE = "pages/quiz.py"
_FORMS = {"cells": "Single cells", "fields": "Whole fields"}
_SOURCES = {"synthetic": "Synthetic", "real": "Real (PBC)", "both": "Both"}
_TOLD = {"immediate": "After each answer", "final": "At the end"}
_SURPRISE = "Surprise me"
_NUMBERS = {"cells": (5, 10, 20, 30, 50, 100), "fields": (20, 40, 60, 100, 200)}
_SECONDS = (None, 3, 5, 10, 20, 30)
MOST_REPEATED = 20


def show_start(database: Database, learner: Learner) -> None:
    """Offer the missed cells of today, a quiz that was left, and a new one."""
    with errors_shown(end_page=True):
        _offer_open(database, learner)
        _offer_repetition(database, learner)
    st.header("New quiz")
    rules = choose_rules("quiz")

    def start() -> None:
        chosen = rules()
        open_attempt(begin(database, learner, chosen, new_questions(chosen, secrets.randbits(31))))

    action_button(
        "Start",
        "quiz_start",
        start,
        icon=":material/play_arrow:",
        type="primary",
        shortcut="Enter",
        for_everyone=True,
    )


def open_attempt(attempt_id: int) -> None:
    """Show an attempt in the next run; call it from a callback."""
    st.query_params["attempt"] = str(attempt_id)


def _offer_open(database: Database, learner: Learner) -> None:
    left = next((a for a in history(database, learner) if a.open_question is not None), None)
    if left is None:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        done = left.open_question
        st.markdown(
            f"You left a quiz at {'field' if left.is_count else 'cell'} {1 + (done or 0)} of "
            f"{len(left.questions)}.",
            width="stretch",
        )
        st.page_link(
            PAGE,
            label="Go on",
            icon=":material/resume:",
            query_params=in_address(attempt=left.id),
        )


def _offer_repetition(database: Database, learner: Learner) -> None:
    """Offer what was missed: the same cells, and for each type one that the learner never saw."""
    missed = due(database, learner)[:MOST_REPEATED]
    if not missed:
        when = next_due(database, learner)
        if when:
            st.caption(f"Missed cells come back on {when:%Y-%m-%d}.")
        return

    def repeat() -> None:
        rules, questions = repetition(missed, secrets.randbits(31))
        open_attempt(begin(database, learner, rules, questions))

    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**{number_of(len(missed), 'cell')} that you missed "
            f"{'is' if len(missed) == 1 else 'are'} due today.** Each type comes with a new "
            "cell, too.",
            width="stretch",
        )
        action_button(
            "Repeat",
            "quiz_repeat",
            repeat,
            icon=":material/replay:",
            for_everyone=True,
        )


def choose_rules(key: str) -> Callable[[], Rules]:
    """Draw the choices of a quiz; return a function that reads them.

    The function raises InvalidEntryError for choices that do not fit.
    """
    form = st.segmented_control(
        "What",
        list(_FORMS),
        default="cells",
        required=True,
        format_func=_FORMS.__getitem__,
        key=f"{key}_form",
        persist_state="session",
    )
    level = st.segmented_control(
        "Level",
        [name for name in LEVELS if form == "cells" or name != "look_alikes"],
        default="main",
        required=True,
        format_func=lambda name: LEVELS[name].name,
        key=f"{key}_level_{form}",
        persist_state="session",
        help="  \n".join(f"{level.name}: {level.about}" for level in LEVELS.values()),
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Cells" if form == "cells" else "Cells to count",
            _NUMBERS[form],
            1 if form == "cells" else 3,
            key=f"{key}_number_{form}",
            persist_state="session",
            width=150,
        )
        st.selectbox(
            "Time",
            _SECONDS,
            format_func=lambda s: f"{s} s a cell" if s else "No limit",
            key=f"{key}_seconds",
            persist_state="session",
            width=150,
        )
    more = _cell_choices(key, level) if form == "cells" else _field_choices(key)
    state = st.session_state  # of the press, which may come before the run of the last change

    def chosen() -> Rules:
        number, seconds = state[f"{key}_number_{form}"], state[f"{key}_seconds"]
        return checked_rules(form=form, level=level, number=number, seconds=seconds, **more())

    return chosen


def _cell_choices(key: str, level: LevelKey) -> Callable[[], dict[str, object]]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "Explanations",
            list(_TOLD),
            default="immediate",
            required=True,
            format_func=_TOLD.__getitem__,
            key=f"{key}_feedback",
            persist_state="session",
        )
        if real_cells() is not None:
            st.segmented_control(
                "Cells from",
                list(_SOURCES),
                default="synthetic",
                required=True,
                format_func=_SOURCES.__getitem__,
                key=f"{key}_source",
                persist_state="session",
            )
    if real_cells() is None:
        st.caption("Cells are synthetic. Real ones (PBC) can be fetched on the page Atlas.")
    st.multiselect(
        "Only these types",
        LEVELS[level].labels,
        format_func=label_name,
        key=f"{key}_types_{level}",
        placeholder="All",
        persist_state="session",
    )
    state = st.session_state
    return lambda: {
        "feedback": state[f"{key}_feedback"],
        "cells": state.get(f"{key}_source", "synthetic"),
        "types": tuple(state[f"{key}_types_{level}"]),
    }


def _field_choices(key: str) -> Callable[[], dict[str, object]]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Blood picture",
            [_SURPRISE, *DIFFERENTIALS],
            key=f"{key}_differential",
            persist_state="session",
            width=220,
        )
        st.selectbox(
            "Stain",
            list(STAINS),
            format_func=str.capitalize,
            key=f"{key}_stain",
            persist_state="session",
            width=150,
        )
        st.slider(
            "Out of focus, µm",
            0.0,
            1.0,
            0.0,
            0.1,
            key=f"{key}_blur",
            persist_state="session",
            width=220,
        )
    st.caption("The fields are synthetic, so that the exact count is known.")

    def chosen() -> dict[str, object]:
        state = st.session_state
        name = state[f"{key}_differential"]
        known = secrets.choice(list(DIFFERENTIALS)) if name == _SURPRISE else name
        return {
            "differential": DIFFERENTIALS[known],
            "stain": state[f"{key}_stain"],
            "blur": state[f"{key}_blur"],
        }

    return chosen
