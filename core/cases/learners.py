"""Erasing learners with all that is known of them."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, or_, select
from sqlalchemy.orm import Session

from core.cases import audit
from core.cases.database import Database
from core.cases.orm import AnswerRow, AttemptRow, ClassTestRow, LearnerRow, RepetitionRow
from core.settings import Settings, get_settings

_AT_ONCE = 500
"""Learners deleted by one statement: databases limit its parameters."""


def delete_learners(session: Session, which: ColumnElement[bool]) -> int:
    """Delete learners with their attempts, answers and repetitions; return how many there were.

    `which` is a condition on `LearnerRow`. Call `Database.forget` once it is committed.
    """
    ids = list(session.scalars(select(LearnerRow.id).where(which)))
    attempts = select(AttemptRow.id).where(AttemptRow.learner_id.in_(ids))
    for table, condition in (
        (AnswerRow, AnswerRow.attempt_id.in_(attempts)),
        (AttemptRow, AttemptRow.learner_id.in_(ids)),
        (RepetitionRow, RepetitionRow.learner_id.in_(ids)),
        (LearnerRow, LearnerRow.id.in_(ids)),
    ):
        session.execute(
            delete(table).where(condition), execution_options={"synchronize_session": False}
        )
    return len(ids)


def expire_learners(database: Database, settings: Settings | None = None) -> int:
    """Delete learners without an account who answered nothing for the set time; return how many.

    Learners of a test whose link is open stay.
    """
    expired = select(LearnerRow.id).where(_expired(settings or get_settings()))
    with database.reading() as session:
        if session.scalar(expired.limit(1)) is None:
            return 0
    with database.writing() as session:
        ids = list(session.scalars(expired))
        for start in range(0, len(ids), _AT_ONCE):
            delete_learners(session, LearnerRow.id.in_(ids[start : start + _AT_ONCE]))
        audit.record(session, "nobody", "expire learners", learners=len(ids))
    database.forget()
    return len(ids)


def _expired(settings: Settings) -> ColumnElement[bool]:
    now = datetime.now(UTC)
    oldest = now - timedelta(days=settings.learner_days)
    began = select(AttemptRow.learner_id).where(AttemptRow.started > oldest)
    answered = select(AttemptRow.learner_id).join(AnswerRow).where(AnswerRow.at > oldest)
    open_tests = select(ClassTestRow.id).where(
        ClassTestRow.closed.is_(None), ClassTestRow.expires > now
    )
    return and_(
        LearnerRow.user.is_(None),
        LearnerRow.made <= oldest,
        LearnerRow.id.not_in(began),
        LearnerRow.id.not_in(answered),
        or_(LearnerRow.test_id.is_(None), LearnerRow.test_id.not_in(open_tests)),
    )
