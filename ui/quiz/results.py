"""The result of a quiz: score, matrix, a review of the errors; and a learner's history."""

from collections import Counter

import pandas as pd
import streamlit as st

from core.cases.database import Database
from core.charts.confusion import agreement_figure
from core.domain.intervals import proportion
from core.exports.classes import certificate_pdf
from core.teaching.classes import title_and_teacher
from core.teaching.learners import Attempt, Learner, erase_learner, history, next_due
from core.teaching.quiz import LEVELS, Score, answer_name, compare_counts
from ui.components.actions import action_button
from ui.components.cases import errors_shown, local_time
from ui.components.shared import chart, data_table, embed_image, metrics, number_of
from ui.quiz.images import field_jpeg
from ui.quiz.layout import beside
from ui.quiz.learner import in_address
from ui.quiz.play import explain, verdict
from ui.quiz.start import PAGE


def show_result(database: Database, learner: Learner, attempt: Attempt) -> None:
    """Show what a finished quiz says, and the errors to learn from."""
    with st.container(horizontal=True):
        st.page_link(
            PAGE, label="Back to the quiz", icon=":material/arrow_back:", query_params=in_address()
        )
        if attempt.test_id is not None and attempt.finished:
            _offer_certificate(database, learner, attempt)
    if attempt.is_count:
        show_counts(attempt)
        for number, question in enumerate(attempt.questions, 1):
            with st.expander(f"Field {number} with its cells named", expanded=number == 1):
                embed_image(
                    field_jpeg(question.recipe().model_dump_json(), attempt.rules.level),
                    width="stretch",
                    alt=f"Field {number} with its cells boxed and named",
                )
        return
    found = attempt.score
    show_score(found, "quiz_result")
    errors = [a for a in attempt.answers if a.given != attempt.questions[a.question].truth]
    if not errors:
        st.success("No errors.", icon=":material/check:")
        return
    st.header("Your errors")
    with errors_shown():
        when = next_due(database, learner)
        if when:
            st.caption(f"Missed cells come back from {when:%Y-%m-%d} on, under Practise.")
    for wrong in errors:
        question = attempt.questions[wrong.question]
        with st.container(border=True):
            st.caption(f"Cell {wrong.question + 1}")
            verdict(question, wrong.given)
            explain(attempt, question, wrong.given)


def _offer_certificate(database: Database, learner: Learner, attempt: Attempt) -> None:
    assert attempt.test_id is not None
    with errors_shown():
        title, teacher = title_and_teacher(database, learner)
        st.download_button(
            "Certificate, PDF",
            lambda: certificate_pdf(title, teacher, learner.name, attempt),
            "leukoscope_certificate.pdf",
            "application/pdf",
            icon=":material/workspace_premium:",
            on_click="ignore",
            key="quiz_certificate",
        )


def show_score(found: Score, key: str) -> None:
    """Show the share of right answers, kappa with its interval, types and the matrix."""
    kappa = found.agreement.kappa
    metrics(
        {
            "Right": (f"{found.right} of {found.agreement.total}", None, None),
            "Percent right": (
                f"{found.share.value:.0f} %",
                f"95 %: {found.share.low:.0f}-{found.share.high:.0f}",
                "Exact interval (Clopper-Pearson): so sure is a quiz of this length.",
            ),
            "Cohen's kappa": (
                f"{kappa.value:.2f}" if kappa else "undefined",
                f"95 %: {kappa.low:.2f} to {kappa.high:.2f}" if kappa else None,
                "Agreement with the reference beyond chance: 1 is full, 0 is guessing.",
            ),
        },
        150,
    )
    left, right = beside(key, 440, 350, "56rem")
    with left:
        st.header("Answers")
        figure = agreement_figure(
            found.agreement,
            "Truth",
            "Answer",
            dark=st.context.theme.type == "dark",
            name=answer_name,
        )
        chart(figure, f"{key}_matrix", "Confusion matrix: truth down, answers across")
    with right:
        st.header("By type")
        show_types(found, key)


def show_types(found: Score, key: str) -> None:
    """List right answers by type with their interval."""
    rows = [
        (answer_name(label), f"{right} of {cells}", proportion(right, cells, per=100).text(" %", 0))
        for label, (right, cells) in found.by_label.items()
    ]
    st.table(
        {
            "Type": [name for name, _, _ in rows],
            "Right": [of for _, of, _ in rows],
            "% (95 %)": [share for _, _, share in rows],
        },
        border="horizontal",
        hide_index=True,
        alt=f"Right answers by type, {key}",
    )


def show_counts(attempt: Attempt) -> None:
    """Compare what was counted with the truth."""
    truth, counted = attempt.to_count(), attempt.counted()
    lines = compare_counts(truth, counted, attempt.rules.labels)
    off = sum(abs(line.counted - line.truth) for line in lines)
    near = sum(line.is_near for line in lines)
    metrics(
        {
            "Counted": (f"{counted.total()}", f"{truth.total()} are there", None),
            "Difference": (
                number_of(off, "cell"),
                "over all types",
                "Cells counted too many or too few, type by type.",
            ),
            "Types within limits": (
                f"{near} of {len(lines)}",
                "95 % limits of the count",
                "The true percentage lies within the exact limits of your percentage (Rümke).",
            ),
        },
        150,
    )
    st.table(
        {
            "Type": [answer_name(line.label) for line in lines],
            "You": [str(line.counted) for line in lines],
            "Truth": [str(line.truth) for line in lines],
            "Difference": [f"{line.counted - line.truth:+d}" for line in lines],
            "Your % (95 %)": [line.percent.text(" %", 0) for line in lines],
            "True %": [
                f"{line.truth_percent:.0f} %" if line.is_near else f"**{line.truth_percent:.0f} %**"
                for line in lines
            ],
        },
        border="horizontal",
        hide_index=True,
        alt="Counted cells beside the truth",
    )
    st.caption("Percent of all white cells of the fields. Bold: outside the limits of your count.")


def show_history(database: Database, learner: Learner) -> None:
    """Show a learner's quizzes and what they miss most."""
    with errors_shown(end_page=True):
        attempts = history(database, learner)
    if not attempts:
        st.info("No quiz yet. Start one under Practise.", icon=":material/school:")
        return
    st.header("Your quizzes")
    for attempt in attempts[:20]:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(_line(attempt), width="stretch")
            st.page_link(
                PAGE,
                label="Open" if attempt.open_question is None else "Go on",
                icon=":material/open_in_full:",
                query_params=in_address(attempt=attempt.id),
            )
    _show_missed(attempts)
    with st.popover("Erase all my results", icon=":material/delete:"):
        st.markdown("All your answers and results are deleted for good, in classes too.")

        def erase() -> None:
            erase_learner(database, learner)
            st.query_params.clear()

        action_button("Erase them", "quiz_erase", erase, for_everyone=True, type="primary")


def _line(attempt: Attempt) -> str:
    what = LEVELS[attempt.rules.level].name
    when = local_time(attempt.started)
    if attempt.is_count:
        cells = number_of(attempt.counted().total(), "cell")
        done = f"{cells} counted on {number_of(len(attempt.questions), 'field')}"
        return f"{when} · Whole fields, {what.lower()} · {done}"
    found = attempt.score
    kappa = found.agreement.kappa
    told = f" · κ {kappa.value:.2f}" if kappa and attempt.finished else ""
    if attempt.rules.feedback == "final" and not attempt.finished:
        return f"{when} · {what} · {len(attempt.answers)} of {len(attempt.questions)} answered"
    return f"{when} · {what} · **{found.right} of {found.agreement.total} right**{told}"


def _show_missed(attempts: tuple[Attempt, ...]) -> None:
    """List the types by how often they were missed."""
    told = [a for a in attempts if not a.is_count and (a.finished or a.rules.feedback != "final")]
    totals: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for attempt in told:
        for label, (good, cells) in attempt.score.by_label.items():
            totals[label] += cells
            right[label] += good
    rows = [
        (answer_name(label), totals[label], right[label], 100 * right[label] / totals[label])
        for label in sorted(totals, key=lambda label: right[label] / totals[label])
    ]
    if rows:
        st.header("What you miss most")
        data_table(
            pd.DataFrame(rows, columns=["Type", "Cells", "Right", "% right"]).round(0),
            alt="Quiz results by type",
        )
