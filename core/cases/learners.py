"""Erasing learners with all that is known of them."""

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from core.cases.orm import AnswerRow, AttemptRow, LearnerRow, RepetitionRow


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
