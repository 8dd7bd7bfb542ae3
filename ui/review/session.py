"""What a reviewer's session remembers: what can be undone, and what went wrong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import streamlit as st

from core.cases.database import Database
from core.cases.records import MissedCell, Sample, User
from core.cases.reviews import Done, add_cell, label_cells, undo
from core.cases.samples import load_case
from core.cases.users import require
from core.errors import LeukoscopeError, NotAllowedError, StaleCaseError
from ui.components.shared import plain
from ui.components.visitor import confirm

T = TypeVar("T")


@dataclass
class ReviewSession:
    """One person's work on cases, as the buttons of the page need it."""

    database: Database
    user: User
    steps: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    """Sample and reviews of every decision that can be taken back."""
    seen: dict[int, Sample] = field(default_factory=dict)
    """Every sample as it was shown last: what nobody has seen is not overwritten."""
    problem: LeukoscopeError | None = None

    def saw(self, sample: Sample) -> None:
        """Remember the state of a sample that the page shows."""
        self.seen[sample.id] = sample

    def attempt(self, deed: Callable[[], T]) -> T | None:
        """Do something with the database; keep what goes wrong for `show_problem`."""
        self.problem = None
        try:
            confirm()
            return deed()
        except LeukoscopeError as error:
            self.problem = error
            return None

    def name_cells(self, seen: Sample, labels: Mapping[int, str], comment: str = "") -> bool:
        """Name cells of a sample as it was seen; tell whether that was done."""
        return self._decide(lambda: label_cells(self.database, self.user, seen, labels, comment))

    def add_cell(self, seen: Sample, missed: MissedCell) -> bool:
        """Add a cell to a sample as it was seen; tell whether that was done."""
        return self._decide(lambda: add_cell(self.database, self.user, seen, missed))

    def _decide(self, deed: Callable[[], Done]) -> bool:
        done = self.attempt(deed)
        if done is None:
            return False
        sample, reviews = done
        self.saw(sample)
        self.steps.append((sample.id, tuple(review.id for review in reviews)))
        return True

    def undo(self) -> None:
        """Take the last decision back."""
        sample_id, reviews = self.steps[-1]

        def take_back() -> Done:
            seen = self.seen.get(sample_id) or load_case(self.database, sample_id).sample
            return undo(self.database, self.user, seen, reviews)

        done = self.attempt(take_back)
        if done is not None:
            self.saw(done[0])
            self.steps.pop()

    def load_again(self) -> None:
        """Forget what was seen: what others changed is shown, and may be changed, from now on."""
        self.problem = None
        self.seen.clear()

    def change(self, deed: Callable[[], Sample]) -> bool:
        """Bring a case into another state; tell whether that was done."""
        sample = self.attempt(deed)
        if sample is not None:
            self.saw(sample)
        return sample is not None

    def barred_by_role(self) -> str | None:
        """Return why the person cannot change any case, or None when they can."""
        try:
            require(self.user, "reviewer")
        except NotAllowedError as error:
            return str(error)
        return None

    def why_not(self, sample: Sample) -> str | None:
        """Return why the person cannot change a sample, or None when they can."""
        if barred := self.barred_by_role():
            return barred
        if sample.state == "signed":
            return "The case is signed and so read-only. To change it, reopen it with a reason."
        return None


def open_session(database: Database, user: User) -> ReviewSession:
    """Return the session's work; another person, or another role, starts anew."""
    session: ReviewSession | None = st.session_state.get("review_session")
    if session is None or session.user != user:
        session = ReviewSession(database, user)
        st.session_state["review_session"] = session
    return session


def show_problem(session: ReviewSession) -> None:
    """Say what went wrong last. After somebody else's change nothing follows until it is loaded."""
    problem = session.problem
    if problem is None:
        return
    st.error(plain(str(problem)), icon=":material/error:")
    if isinstance(problem, StaleCaseError):
        st.button(
            "Load again",
            icon=":material/refresh:",
            key="review_reload",
            on_click=session.load_again,
        )
        st.stop()
    session.problem = None


def undo_button(session: ReviewSession) -> None:
    """Offer to take the last decision of this session back."""
    st.button(
        "Undo",
        icon=":material/undo:",
        shortcut="U",
        key="review_undo",
        on_click=session.undo,
        disabled=not session.steps,
        help=f"Decisions of this visit that can be taken back: {len(session.steps)}",
    )
