"""Counting the white cells of whole fields by key."""

from collections.abc import Sequence
from typing import Any

import streamlit as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.cases.database import Database
from core.errors import InvalidEntryError
from core.teaching.learners import (
    MOST_COUNTED,
    Attempt,
    Learner,
    ask,
    attempt_of,
    end_field,
    keep_count,
)
from core.teaching.quiz import KEYS, answer_name
from ui.components.actions import action_button, run_action, show_action_error
from ui.components.browser import mount
from ui.components.cases import errors_shown
from ui.components.shared import embed_image
from ui.quiz.images import field_jpeg
from ui.quiz.layout import beside
from ui.quiz.play import show_clock

_ACTION = "quiz_count"


class _Counted(BaseModel):
    """What the browser sends after each key press; it may be forged."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    attempt: int
    question: int
    presses: list[str] = Field(max_length=MOST_COUNTED)


def show_count(database: Database, learner: Learner, attempt: Attempt) -> bool:
    """Show the open field and the keys to count on; False when all fields are counted."""
    number = attempt.open_question
    if number is None:
        return False
    with errors_shown(end_page=True):
        attempt = ask(database, learner, attempt)
    question = attempt.questions[number]
    st.progress(
        number / len(attempt.questions),
        f"Field {number + 1} of {len(attempt.questions)}. Count every white cell by its key.",
    )
    picture, controls = beside("quiz_field", 480, 310, "132vh")
    with picture:
        embed_image(
            field_jpeg(question.recipe().model_dump_json()),
            width="stretch",
            alt="A synthetic field to count",
        )
        st.caption("Synthetic field, 160 × 120 µm. The edge cuts no white cell.")
    with controls:
        _keys(database, learner, attempt.id, number)
        if attempt.time_limit is not None:
            show_clock(attempt, lambda: _end(database, learner, attempt.id, number))
    return True


def _key(attempt_id: int, number: int) -> str:
    return f"quiz_tally_{attempt_id}_{number}"


def _sent(attempt_id: int, number: int) -> Sequence[str] | None:
    """Return the presses that the browser sent last for a field."""
    state = st.session_state.get(_key(attempt_id, number))
    try:
        counted = _Counted.model_validate(state["presses"] if state else None)
    except (ValidationError, KeyError, TypeError):
        return None
    return counted.presses if (counted.attempt, counted.question) == (attempt_id, number) else None


def _keep(database: Database, learner: Learner, attempt_id: int, number: int) -> None:
    presses = _sent(attempt_id, number)
    if presses is not None:
        keep_count(database, learner, attempt_id, number, presses)


def _end(database: Database, learner: Learner, attempt_id: int, number: int) -> None:
    _keep(database, learner, attempt_id, number)
    end_field(database, learner, attempt_id, number)


@st.fragment
def _keys(database: Database, learner: Learner, attempt_id: int, number: int) -> None:
    with errors_shown(end_page=True):
        attempt = attempt_of(database, learner, attempt_id)
    if attempt.open_question != number:
        st.rerun()
    kept = [a.given for a in attempt.answers if a.question == number]

    def pressed(_presses: Any) -> None:
        run_action(_ACTION, lambda: _keep(database, learner, attempt_id, number), for_everyone=True)

    mount(
        "tally",
        _key(attempt_id, number),
        {
            "attempt": attempt_id,
            "question": number,
            "presses": kept,
            "before": len(attempt.answers) - len(kept) - number,
            "wanted": attempt.to_count().total(),
            "types": [
                {"label": label, "name": answer_name(label), "key": KEYS[place]}
                for place, label in enumerate(attempt.questions[number].options)
            ],
        },
        presses=pressed,
    )
    show_action_error(_ACTION)

    def finish() -> None:
        _keep(database, learner, attempt_id, number)
        if not attempt_of(database, learner, attempt_id).counted(number):
            raise InvalidEntryError("Nothing is counted on this field yet.")
        _end(database, learner, attempt_id, number)

    action_button(
        "Finish" if number + 1 == len(attempt.questions) else "Next field",
        "quiz_count_next",
        finish,
        for_everyone=True,
        type="primary",
        shortcut="Enter",
    )
    st.caption("Each press is kept: after a reload the count goes on.")
