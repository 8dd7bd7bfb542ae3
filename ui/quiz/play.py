"""One question after the other: a cell, its answers by key, and the explanation."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from core.cases.database import Database
from core.errors import DataError
from core.synthetic.portraits import SIDE_MICROMETRES
from core.teaching.atlas import Atlas, difference, get_atlas
from core.teaching.learners import Answer, Attempt, Learner, answer, ask
from core.teaching.quiz import KEYS, Question, answer_name, likely_mistakes
from core.teaching.reference_cells import CREDIT
from ui.atlas.grid import PAGE as ATLAS
from ui.atlas.images import labelled_jpeg
from ui.components.actions import action_button, run_action, show_action_error
from ui.components.cases import errors_shown
from ui.components.shared import embed_image, plain
from ui.quiz.images import confusions, item_jpeg
from ui.quiz.layout import beside

_EXPLAINED = "quiz_explained"
"""Key in the session: attempt and number of the answer that is being explained."""


def show_question(database: Database, learner: Learner, attempt: Attempt) -> bool:
    """Show the explanation of the last answer, or the open question; False when neither is left."""
    explained = st.session_state.get(_EXPLAINED)
    last = attempt.answers[-1] if attempt.answers else None
    if last and explained == (attempt.id, last.number):
        _show_explanation(attempt, last)
        return True
    if attempt.open_question is None:
        return False
    with errors_shown(end_page=True):
        attempt = ask(database, learner, attempt)
    _ask(database, learner, attempt, attempt.open_question)
    return True


def _ask(database: Database, learner: Learner, attempt: Attempt, number: int | None) -> None:
    assert number is not None
    question = attempt.questions[number]
    _progress(attempt, number)

    def give(label: str | None) -> None:
        kept = answer(database, learner, attempt.id, number, label)
        if attempt.rules.feedback == "immediate" and kept.answers:
            st.session_state[_EXPLAINED] = attempt.id, kept.answers[-1].number

    picture, controls = beside("quiz_cell", 300, 300, "max(27rem, 62vh)")
    with picture:
        if not _show_cell(question):
            action_button("Go on without it", "quiz_skip", partial(give, None), for_everyone=True)
    with controls:
        st.markdown("**What is this cell?**")
        for place, label in enumerate(question.options):
            action_button(
                answer_name(label),
                f"quiz_answer_{label}",
                partial(give, label),
                for_everyone=True,
                shortcut=KEYS[place],
                width="stretch",
            )
        if attempt.time_limit is not None:
            show_clock(attempt, partial(give, None))


def show_clock(attempt: Attempt, out_of_time: Callable[[], None]) -> None:
    """Show the seconds left; when none is left, act and run the page anew."""

    @st.fragment(run_every=1.0)
    def clock() -> None:
        left, limit = attempt.seconds_left(), attempt.time_limit
        if left is None or limit is None:
            return
        if left <= 0:
            run_action("quiz_clock", out_of_time, for_everyone=True)
            st.rerun()
        st.progress(min(max(left / limit, 0.0), 1.0), f"{left:.0f} s left")

    clock()
    show_action_error("quiz_clock")


def _progress(attempt: Attempt, number: int) -> None:
    right = sum(truth == given for truth, given in attempt.pairs)
    text = f"Cell {number + 1} of {len(attempt.questions)}"
    if attempt.rules.feedback == "immediate" and attempt.answers:
        text += f" · {right} of {len(attempt.answers)} right"
    st.progress(number / len(attempt.questions), text)


def _show_cell(question: Question) -> bool:
    try:
        jpeg = item_jpeg(question.item)
    except DataError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return False
    embed_image(jpeg, width="stretch", alt="The cell to name")
    if question.is_real:
        st.caption(f"{CREDIT} {SIDE_MICROMETRES:g} µm wide.")
    else:
        st.caption(f"Synthetic, {SIDE_MICROMETRES:g} µm wide, with red cells of 7.5 µm.")
    return True


def _show_explanation(attempt: Attempt, last: Answer) -> None:
    question = attempt.questions[last.question]
    number = last.question
    _progress(attempt, number)

    def go_on() -> None:
        st.session_state.pop(_EXPLAINED, None)

    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container(width="stretch"):
            verdict(question, last.given)
        is_last = attempt.open_question is None
        st.button(
            "See the result" if is_last else "Next",
            key="quiz_next",
            type="primary",
            shortcut="Enter",
            on_click=go_on,
        )
    explain(attempt, question, last.given)


def verdict(question: Question, given: str | None) -> None:
    """Say whether an answer was right."""
    truth = answer_name(question.truth)
    if given == question.truth:
        st.success(f"Right: {truth}.", icon=":material/check:")
    elif given is None:
        st.warning(f"No answer. It is: {truth}.", icon=":material/timer_off:")
    else:
        st.error(f"It is: {truth}. You said: {answer_name(given)}.", icon=":material/close:")


def explain(attempt: Attempt, question: Question, given: str | None) -> None:
    """Show the cell beside drawings of its type and of the look-alike, and how to tell them."""
    atlas = get_atlas()
    other = look_alike(atlas, attempt, question, given)
    labels = [question.truth, *filter(None, [other])]
    with st.grid(1 + len(labels), min_column_width=150):
        with st.container():
            try:
                embed_image(
                    item_jpeg(question.item), width="stretch", alt="The cell that was asked"
                )
                st.caption("The cell that was asked")
            except DataError as error:
                st.caption(plain(str(error)))
        for label in labels:
            with st.container():
                jpeg, notes = labelled_jpeg(_drawing(question, label), 3, 400)
                embed_image(
                    jpeg, width="stretch", alt=f"Labelled synthetic drawing: {answer_name(label)}"
                )
                st.markdown(f"**{answer_name(label)}**")
                st.caption(" · ".join(f"{n} {note}" for n, note in enumerate(notes, 1)))
    entry = atlas.entries[question.truth]
    st.markdown(f"**{entry.name}**: {entry.summary}")
    if other:
        against = atlas.entries[other]
        told_apart = difference(entry, against) or against.summary
        st.markdown(f"**Or {against.phrase}?** {told_apart}")
        st.page_link(
            ATLAS,
            label=f"Compare in the atlas: {entry.name} and {against.phrase}",
            icon=":material/compare:",
            query_params={"cell": question.truth, "with": other},
        )


def _drawing(question: Question, label: str) -> str:
    """Return the portrait of a label: for the truth that of the very stage that was drawn."""
    kind, drawing, *_ = question.item.split("/")
    return drawing if kind == "synthetic" and label == question.truth else label


def look_alike(atlas: Atlas, attempt: Attempt, question: Question, given: str | None) -> str | None:
    """Return what the learner took the cell for, or what it is most often taken for."""
    if given is not None and given != question.truth:
        return given
    likely = likely_mistakes(question.truth, attempt.rules.level, atlas, confusions())
    return next((label for label in likely if label in question.options), None)
