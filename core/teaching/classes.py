"""Tests of a class: a teacher makes one, learners take it by a link, the teacher reads the results.

The token of a link is random and shown once; the database keeps its SHA-256, as for the links to
cases. Teachers are reviewers and administrators; each sees the own tests, administrators see all.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.cases import audit
from core.cases.database import Database, count, existing
from core.cases.learners import delete_learners
from core.cases.mappers import record_of
from core.cases.names import checked_name
from core.cases.orm import AttemptRow, ClassTestRow, LearnerRow
from core.cases.records import User
from core.cases.users import require
from core.errors import InvalidEntryError, LinkError, NotFoundError
from core.teaching.learners import Attempt, Learner, read_attempts
from core.teaching.quiz import (
    Question,
    Rules,
    Score,
    compare_counts,
    dump_questions,
    load_question,
    rules_json,
    score,
)

TEST_DAYS = 14
LONGEST_DAYS = 366
_LONGEST_TITLE = 100
_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class ClassTest:
    """A test without its token."""

    id: int
    title: str
    author: str
    rules: Rules
    questions: tuple[Question, ...]
    made: datetime
    expires: datetime
    closed: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether its link still lets learners in."""
        return self.closed is None and self.expires > datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Result:
    """A learner of a class with the attempt at its test."""

    learner: Learner
    attempt: Attempt | None
    """None for somebody who came and began nothing."""


@dataclass(frozen=True, slots=True)
class ClassCount:
    """A type on the fields of a test: how many there are, and how many each learner counted."""

    label: str
    truth: int
    counted: tuple[int, ...]
    """In the order of `ClassResults.finished`."""
    near: int
    """Learners whose percentage has the true one within its exact 95 % limits."""


@dataclass(frozen=True, slots=True)
class ClassResults:
    """A test with all that its learners answered."""

    test: ClassTest
    results: tuple[Result, ...]

    @property
    def attempts(self) -> list[tuple[Learner, Attempt]]:
        """The learners who began."""
        return [(r.learner, r.attempt) for r in self.results if r.attempt]

    @property
    def finished(self) -> list[tuple[Learner, Attempt]]:
        """The learners who answered everything."""
        return [(learner, attempt) for learner, attempt in self.attempts if attempt.finished]

    def counts(self) -> list[ClassCount]:
        """Compare what the finished learners counted on whole fields with the truth, by type."""
        labels = self.test.rules.labels
        compared = [
            {line.label: line for line in compare_counts(a.to_count(), a.counted(), labels)}
            for _, a in self.finished
        ]
        return [
            ClassCount(
                label,
                truth=max(line.truth for line in lines if line),
                counted=tuple(line.counted if line else 0 for line in lines),
                near=sum(line is None or line.is_near for line in lines),
            )
            for label in labels
            if any(lines := [by_label.get(label) for by_label in compared])
        ]

    def score(self) -> Score:
        """Compare the answers of the whole class with the truth."""
        pairs = [pair for _, attempt in self.attempts for pair in attempt.pairs]
        return score(pairs, self.test.rules.labels)


def make_test(  # noqa: PLR0913 - what a test is made of
    database: Database,
    user: User,
    title: str,
    rules: Rules,
    questions: Sequence[Question],
    *,
    days: int = TEST_DAYS,
) -> tuple[ClassTest, str]:
    """Make a test; return it with the token of its link, which is shown once.

    Raises NotAllowedError, and InvalidEntryError for no title, no questions, or a time that is no
    number of days.
    """
    require(user, "reviewer")
    title = checked_name(title, "title")
    if not 0 < len(title) <= _LONGEST_TITLE:
        raise InvalidEntryError(f"Give the test a title, in up to {_LONGEST_TITLE} characters.")
    if not 1 <= days <= LONGEST_DAYS:
        raise InvalidEntryError(f"A link is valid for 1 to {LONGEST_DAYS} days.")
    if not questions:
        raise InvalidEntryError("The test has no questions. Choose cells or other rules.")
    token, now = secrets.token_urlsafe(_TOKEN_BYTES), datetime.now(UTC)
    with database.writing() as session:
        row = ClassTestRow(
            token_hash=_hash(token),
            title=title,
            author=user.name,
            rules=rules_json(rules),
            questions=dump_questions(questions),
            made=now,
            expires=now + timedelta(days=days),
        )
        session.add(row)
        session.flush()
        audit.record(session, user.name, "make class test", test=row.id, questions=len(questions))
        return _test(row), token


def follow_test(database: Database, token: str) -> ClassTest:
    """Return the test that a token opens. Raises LinkError when it is unknown, over or closed."""
    with database.reading() as session:
        row = session.scalars(
            select(ClassTestRow).where(ClassTestRow.token_hash == _hash(token))
        ).first()
        if row is None or not _test(row).is_open:
            raise LinkError
        return _test(row)


def class_tests(database: Database, user: User) -> tuple[tuple[ClassTest, int], ...]:
    """Return a teacher's tests with their numbers of learners, the newest first.

    Raises NotAllowedError.
    """
    require(user, "reviewer")
    with database.reading() as session:
        rows = session.scalars(select(ClassTestRow).order_by(ClassTestRow.id.desc())).all()
        return tuple(
            (_test(row), count(session, select(LearnerRow.id).where(LearnerRow.test_id == row.id)))
            for row in rows
            if _is_of(row, user)
        )


def class_results(database: Database, user: User, test_id: int) -> ClassResults:
    """Return what the learners of a test answered. Raises NotAllowedError, NotFoundError."""
    require(user, "reviewer")
    with database.reading() as session:
        test = _own(session, user, test_id)
        learners = session.scalars(
            select(LearnerRow).where(LearnerRow.test_id == test_id).order_by(LearnerRow.id)
        ).all()
        rows = session.scalars(select(AttemptRow).where(AttemptRow.test_id == test_id)).all()
        by_learner = {
            row.learner_id: attempt
            for row, attempt in zip(rows, read_attempts(session, rows), strict=True)
        }
        return ClassResults(
            _test(test),
            tuple(Result(record_of(Learner, row), by_learner.get(row.id)) for row in learners),
        )


def title_and_teacher(database: Database, learner: Learner) -> tuple[str, str]:
    """Return title and teacher of the test that a learner came by. Raises NotFoundError."""
    with database.reading() as session:
        row = existing(session, ClassTestRow, learner.test_id or 0, "test")
        return row.title, row.author


def close_test(database: Database, user: User, test_id: int) -> None:
    """Let nobody in by the link any more. Raises NotAllowedError, NotFoundError."""
    require(user, "reviewer")
    with database.writing() as session:
        row = _own(session, user, test_id)
        row.closed = row.closed or datetime.now(UTC)
        audit.record(session, user.name, "close class test", test=test_id)


def delete_test(database: Database, user: User, test_id: int) -> int:
    """Delete a test with its learners and all their answers; return how many learners there were.

    Raises NotAllowedError, NotFoundError.
    """
    require(user, "reviewer")
    with database.writing() as session:
        row = _own(session, user, test_id)
        learners = delete_learners(session, LearnerRow.test_id == test_id)
        session.delete(row)
        audit.record(session, user.name, "delete class test", test=test_id, learners=learners)
    database.forget()
    return learners


def _own(session: Session, user: User, test_id: int) -> ClassTestRow:
    row = existing(session, ClassTestRow, test_id, "test")
    if not _is_of(row, user):
        raise NotFoundError("test")
    return row


def _is_of(row: ClassTestRow, user: User) -> bool:
    return user.role == "admin" or row.author == user.name


def _test(row: ClassTestRow) -> ClassTest:
    return ClassTest(
        id=row.id,
        title=row.title,
        author=row.author,
        rules=Rules.model_validate(row.rules),
        questions=tuple(map(load_question, row.questions)),
        made=row.made,
        expires=row.expires,
        closed=row.closed,
    )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
