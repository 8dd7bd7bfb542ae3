"""Learners, their attempts at quizzes, every answer as it is given, and what comes back.

A learner is a user, or a name with a random secret; the database keeps the SHA-256 of the secret.
Whatever is read here is read for one learner: nobody else's results can be asked for.

What was missed comes back by FSRS (open-spaced-repetition, MIT), the successor of SM-2: the next
day at first, then after growing intervals.
"""

import hashlib
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fsrs import Card, Rating, Scheduler
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.cases.database import Database, count, existing
from core.cases.learners import delete_learners, expire_learners
from core.cases.mappers import record_of
from core.cases.names import checked_name
from core.cases.orm import AnswerRow, AttemptRow, LearnerRow, RepetitionRow
from core.cases.records import User
from core.errors import CaseError, InvalidEntryError, LinkError, NotFoundError
from core.teaching.quiz import (
    Question,
    Rules,
    Score,
    dump_questions,
    load_question,
    rules_json,
    score,
    truth_of_field,
)

SCHEDULER = Scheduler(
    learning_steps=(timedelta(days=1),),
    relearning_steps=(timedelta(days=1),),
    maximum_interval=365,
    enable_fuzzing=False,
)
MOST_NAMED = 500
"""Learners without an account that may be added in a day, and in one class."""
MOST_ATTEMPTS = 100
"""Quizzes that a learner may begin in a day."""
MOST_COUNTED = 1000
"""Cells of one attempt at counting fields."""
_LONGEST_NAME = 100
_GRACE = 2.0
"""Seconds that an answer may take from the browser to here."""


@dataclass(frozen=True, slots=True)
class Learner:
    """Somebody who takes quizzes."""

    id: int
    name: str
    user: str | None
    """None for somebody without an account."""
    test_id: int | None
    """The class that they came by."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a question of an attempt."""

    number: int
    question: int
    given: str | None
    seconds: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """A quiz that a learner began, with the answers so far."""

    id: int
    test_id: int | None
    rules: Rules
    questions: tuple[Question, ...]
    started: datetime
    asked: datetime | None
    finished: datetime | None
    answers: tuple[Answer, ...]

    @property
    def is_count(self) -> bool:
        """Whether whole fields are counted."""
        return self.rules.form == "fields"

    @property
    def open_question(self) -> int | None:
        """The place of the question to answer now; None when all are answered."""
        if self.finished:
            return None
        done = sum(a.given is None for a in self.answers) if self.is_count else len(self.answers)
        return done if done < len(self.questions) else None

    @property
    def pairs(self) -> list[tuple[str, str | None]]:
        """Truth and answer of the single cells that were answered."""
        return [(self.questions[a.question].truth, a.given) for a in self.answers]

    @property
    def score(self) -> Score:
        """The answers to single cells compared with the truth."""
        # What comes back may have been missed at several levels.
        options = (label for question in self.questions for label in question.options)
        return score(self.pairs, tuple(dict.fromkeys((*self.rules.labels, *options))))

    def counted(self, question: int | None = None) -> Counter[str]:
        """Return what was counted on a field; None: on all."""
        return Counter(a.given for a in self.answers if a.given and question in (None, a.question))

    def to_count(self, question: int | None = None) -> Counter[str]:
        """Return what a field truly shows; None: all."""
        chosen = self.questions if question is None else [self.questions[question]]
        return sum((truth_of_field(self.rules, q) for q in chosen), Counter())

    @property
    def time_limit(self) -> float | None:
        """Seconds for the open question."""
        if self.rules.seconds is None or self.open_question is None:
            return None
        cells = self.questions[self.open_question].recipe().total if self.is_count else 1
        return float(self.rules.seconds * cells)

    def seconds_left(self, now: datetime | None = None) -> float | None:
        """Seconds until time runs out; None without a limit."""
        if self.time_limit is None:
            return None
        asked = self.asked or datetime.now(UTC)
        return self.time_limit - ((now or datetime.now(UTC)) - asked).total_seconds()


def learner_of_user(database: Database, user: User) -> Learner:
    """Return the learner that a user is, added at the first visit."""
    with database.reading() as session:
        row = session.scalars(select(LearnerRow).where(LearnerRow.user == user.name)).first()
        if row is not None:
            return record_of(Learner, row)
    with database.writing() as session:
        row = session.scalars(select(LearnerRow).where(LearnerRow.user == user.name)).first()
        if row is None:
            row = LearnerRow(name=user.name, user=user.name, made=datetime.now(UTC))
            session.add(row)
            session.flush()
        return record_of(Learner, row)


def add_learner(database: Database, name: str, test_id: int | None = None) -> tuple[Learner, str]:
    """Add somebody by the name they give; return them with their secret, which is shown once.

    Those who expired are deleted. Raises InvalidEntryError for no name, and when too many were
    added.
    """
    name = checked_name(name, "name")
    if not 0 < len(name) <= _LONGEST_NAME:
        raise InvalidEntryError(f"Give your name, in up to {_LONGEST_NAME} characters.")
    with suppress(CaseError):  # a lesson must not fail for what others left
        expire_learners(database)
    secret, now = secrets.token_urlsafe(24), datetime.now(UTC)
    with database.writing() as session:
        same = LearnerRow.test_id == test_id if test_id else LearnerRow.test_id.is_(None)
        added = select(LearnerRow.id).where(same, LearnerRow.secret_hash.is_not(None))
        if test_id is None:
            added = added.where(LearnerRow.made > now - timedelta(days=1))
        if count(session, added) >= MOST_NAMED:
            raise InvalidEntryError(
                f"{MOST_NAMED} learners were added here, the limit. Ask the teacher."
            )
        row = LearnerRow(name=name, secret_hash=_hash(secret), test_id=test_id, made=now)
        session.add(row)
        session.flush()
        return record_of(Learner, row), secret


def learner_of_secret(database: Database, secret: str) -> Learner:
    """Return whom a secret belongs to. Raises LinkError."""
    with database.reading() as session:
        row = session.scalars(
            select(LearnerRow).where(LearnerRow.secret_hash == _hash(secret))
        ).first()
        if row is None:
            raise LinkError
        return record_of(Learner, row)


def erase_learner(database: Database, learner: Learner) -> None:
    """Delete a learner with all answers and results."""
    with database.writing() as session:
        delete_learners(session, LearnerRow.id == learner.id)
    database.forget()


def begin(
    database: Database,
    learner: Learner,
    rules: Rules,
    questions: Sequence[Question],
    test_id: int | None = None,
) -> int:
    """Begin a quiz and return its id; a test that was begun goes on where it stopped.

    Raises InvalidEntryError without questions, and after too many in a day.
    """
    if not questions:
        raise InvalidEntryError("There is nothing to ask. Choose other types.")
    now = datetime.now(UTC)
    with database.writing() as session:
        own = select(AttemptRow.id).where(AttemptRow.learner_id == learner.id)
        if test_id is not None:
            begun = session.scalars(own.where(AttemptRow.test_id == test_id)).first()
            if begun is not None:
                return begun
        if count(session, own.where(AttemptRow.started > now - timedelta(days=1))) >= MOST_ATTEMPTS:
            raise InvalidEntryError(
                f"You began {MOST_ATTEMPTS} quizzes today, the limit. Go on tomorrow."
            )
        row = AttemptRow(
            learner_id=learner.id,
            test_id=test_id,
            rules=rules_json(rules),
            questions=dump_questions(questions),
            started=now,
        )
        session.add(row)
        session.flush()
        return row.id


def attempt_of(database: Database, learner: Learner, attempt_id: int) -> Attempt:
    """Return one of a learner's attempts. Raises NotFoundError, of those of others too."""
    with database.reading() as session:
        row = _own(session, learner, attempt_id)
        return read_attempts(session, [row])[0]


def history(database: Database, learner: Learner) -> tuple[Attempt, ...]:
    """Return a learner's attempts, the newest first."""
    with database.reading() as session:
        rows = session.scalars(
            select(AttemptRow)
            .where(AttemptRow.learner_id == learner.id)
            .order_by(AttemptRow.id.desc())
            .limit(MOST_ATTEMPTS)
        ).all()
        return read_attempts(session, rows)


def read_attempts(session: Session, rows: Sequence[AttemptRow]) -> tuple[Attempt, ...]:
    """Return attempts with their answers."""
    found: dict[int, list[Answer]] = {row.id: [] for row in rows}
    answers = select(AnswerRow).where(AnswerRow.attempt_id.in_(found)).order_by(AnswerRow.number)
    for answer in session.scalars(answers):
        found[answer.attempt_id].append(record_of(Answer, answer))
    return tuple(
        Attempt(
            id=row.id,
            test_id=row.test_id,
            rules=Rules.model_validate(row.rules),
            questions=tuple(map(load_question, row.questions)),
            started=row.started,
            asked=row.asked,
            finished=row.finished,
            answers=tuple(found[row.id]),
        )
        for row in rows
    )


def ask(database: Database, learner: Learner, attempt: Attempt) -> Attempt:
    """Start the clock of the open question, unless it runs."""
    if attempt.asked is not None or attempt.open_question is None:
        return attempt
    with database.writing() as session:
        row = _own(session, learner, attempt.id)
        row.asked = row.asked or datetime.now(UTC)
    return attempt_of(database, learner, attempt.id)


def answer(
    database: Database, learner: Learner, attempt_id: int, question: int, given: str | None
) -> Attempt:
    """Keep the answer to a single cell; None where time ran out. A second answer changes nothing.

    An answer that comes too late counts as none. Raises NotFoundError, and InvalidEntryError for
    what is no answer to this question.
    """
    with database.writing() as session:
        row = _own(session, learner, attempt_id)
        (attempt,) = read_attempts(session, [row])
        if attempt.open_question != question or attempt.is_count:
            return attempt
        asked = attempt.questions[question]
        if given is not None and given not in asked.options:
            raise InvalidEntryError("This is no answer to the question. Load the page again.")
        left = attempt.seconds_left()
        if left is not None and left < -_GRACE:
            given = None
        _keep(session, row, attempt, question, given)
        _schedule(session, learner, asked, right=given == asked.truth)
        row.asked = None
        if question + 1 == len(attempt.questions):
            row.finished = datetime.now(UTC)
    return attempt_of(database, learner, attempt_id)


def keep_count(
    database: Database,
    learner: Learner,
    attempt_id: int,
    question: int,
    presses: Sequence[str],
) -> Attempt:
    """Keep the cells counted on the open field: all key presses so far, in their order.

    What is stored follows the list: new presses are added, those taken back are deleted. Nothing
    changes for a field that is ended, or whose time is over. Raises NotFoundError, and
    InvalidEntryError for what is no type.
    """
    with database.writing() as session:
        row = _own(session, learner, attempt_id)
        (attempt,) = read_attempts(session, [row])
        left = attempt.seconds_left()
        is_late = left is not None and left < -_GRACE
        if attempt.open_question != question or not attempt.is_count or is_late:
            return attempt
        if not set(presses) <= set(attempt.questions[question].options):
            raise InvalidEntryError("This is no type to count. Load the page again.")
        kept = [a for a in attempt.answers if a.question == question]
        before = len(attempt.answers) - len(kept)
        if before + len(presses) > MOST_COUNTED:
            raise InvalidEntryError(f"{MOST_COUNTED:,} cells are counted, the limit.")
        pairs = zip(kept, presses, strict=False)
        same = next((n for n, (a, given) in enumerate(pairs) if a.given != given), None)
        start = min(len(kept), len(presses)) if same is None else same
        session.execute(
            delete(AnswerRow).where(
                AnswerRow.attempt_id == attempt_id, AnswerRow.number > before + start
            )
        )
        for place, given in enumerate(presses[start:], before + start + 1):
            _keep(session, row, attempt, question, given, number=place)
    return attempt_of(database, learner, attempt_id)


def end_field(database: Database, learner: Learner, attempt_id: int, question: int) -> Attempt:
    """End the count of a field; nothing changes for one that is ended. Raises NotFoundError."""
    with database.writing() as session:
        row = _own(session, learner, attempt_id)
        (attempt,) = read_attempts(session, [row])
        if attempt.open_question != question or not attempt.is_count:
            return attempt
        _keep(session, row, attempt, question, None)
        row.asked = None
        if question + 1 == len(attempt.questions):
            row.finished = datetime.now(UTC)
    return attempt_of(database, learner, attempt_id)


def due(database: Database, learner: Learner, now: datetime | None = None) -> list[Question]:
    """Return the missed cells that are due today, those due longest first."""
    end_of_day = (now or datetime.now(UTC)).replace(hour=23, minute=59, second=59)
    with database.reading() as session:
        rows = session.scalars(
            select(RepetitionRow)
            .where(RepetitionRow.learner_id == learner.id, RepetitionRow.due <= end_of_day)
            .order_by(RepetitionRow.due)
        )
        return [load_question(row.question) for row in rows]


def next_due(database: Database, learner: Learner) -> datetime | None:
    """Return when the next missed cell comes back; None when nothing was missed."""
    with database.reading() as session:
        return session.scalars(
            select(RepetitionRow.due)
            .where(RepetitionRow.learner_id == learner.id)
            .order_by(RepetitionRow.due)
            .limit(1)
        ).first()


def _schedule(session: Session, learner: Learner, question: Question, *, right: bool) -> None:
    """Bring a missed cell back the next day, and one that was missed before when FSRS says so.

    A cell that is right before it is due stays as it is.
    """
    now = datetime.now(UTC)
    row = session.scalars(
        select(RepetitionRow).where(
            RepetitionRow.learner_id == learner.id, RepetitionRow.item == question.item
        )
    ).first()
    if right and (row is None or row.due.date() > now.date()):
        return
    card = Card(card_id=0) if row is None else Card.from_dict(_card(row.card))
    card, _ = SCHEDULER.review_card(card, Rating.Good if right else Rating.Again, now)
    if row is None:
        (stored,) = dump_questions([question])
        row = RepetitionRow(learner_id=learner.id, item=question.item, question=stored)
        session.add(row)
    row.card, row.due = dict(card.to_dict()), card.due


def _card(stored: Mapping[str, Any]) -> Any:
    return dict(stored)


def _keep(  # noqa: PLR0913 - what an answer is made of
    session: Session,
    row: AttemptRow,
    attempt: Attempt,
    question: int,
    given: str | None,
    *,
    number: int | None = None,
) -> None:
    now = datetime.now(UTC)
    session.add(
        AnswerRow(
            attempt_id=row.id,
            number=number or len(attempt.answers) + 1,
            question=question,
            given=given,
            seconds=round((now - (attempt.asked or now)).total_seconds(), 2),
            at=now,
        )
    )
    session.flush()


def _own(session: Session, learner: Learner, attempt_id: int) -> AttemptRow:
    row = existing(session, AttemptRow, attempt_id, "quiz")
    if row.learner_id != learner.id:
        raise NotFoundError("quiz")
    return row


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
