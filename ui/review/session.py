"""What a reviewer did in this visit, and the buttons that change cases."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from core.cases.database import Database
from core.cases.records import MissedCell, Sample, User
from core.cases.reviews import Done, add_cell, label_cells, undo
from core.cases.samples import load_sample
from core.cases.users import require
from core.errors import NotAllowedError, StaleCaseError
from ui.components.actions import action_error, run_action, show_action_error
from ui.components.shared import plain

_ACTION = "review"
"""One key for all actions on cases: their errors are shown in one place of the page."""


@dataclass
class ReviewSession:
    """Decisions of one user in this visit."""

    database: Database
    user: User
    decisions: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    """Sample and reviews of every decision that can be undone."""
    seen: dict[int, Sample] = field(default_factory=dict)
    """Every sample as the page showed it last: a newer version is not overwritten unseen."""

    def saw(self, sample: Sample) -> None:
        """Remember the version of a sample that the page shows."""
        self.seen[sample.id] = sample

    def name_cells(self, seen: Sample, labels: Mapping[int, str], comment: str = "") -> None:
        """Name cells of a sample as it was seen."""
        self._keep(label_cells(self.database, self.user, seen, labels, comment))

    def add_cell(self, seen: Sample, missed: MissedCell) -> None:
        """Add a cell to a sample as it was seen."""
        self._keep(add_cell(self.database, self.user, seen, missed))

    def _keep(self, done: Done) -> None:
        sample, reviews = done
        self.saw(sample)
        self.decisions.append((sample.id, tuple(review.id for review in reviews)))

    def undo(self) -> None:
        """Undo the last decision."""
        sample_id, reviews = self.decisions[-1]
        seen = self.seen.get(sample_id) or load_sample(self.database, sample_id)
        sample, _ = undo(self.database, self.user, seen, reviews)
        self.saw(sample)
        self.decisions.pop()

    def barred_by_role(self) -> str | None:
        """Return why the user cannot change any case, or None when they may."""
        try:
            require(self.user, "reviewer")
        except NotAllowedError as error:
            return str(error)
        return None

    def why_not(self, sample: Sample) -> str | None:
        """Return why the user cannot change a sample, or None when they may."""
        if barred := self.barred_by_role():
            return barred
        if sample.state == "signed":
            return "The case is signed and read-only. To change it, reopen it with a reason."
        return None


def open_review_session(database: Database, user: User) -> ReviewSession:
    """Return the visitor's session; another user, or another role, starts a new one."""
    session: ReviewSession | None = st.session_state.get("review_session")
    if session is None or session.user != user:
        session = ReviewSession(database, user)
        st.session_state["review_session"] = session
    return session


def review_button(label: str, key: str, action: Callable[[], None], **options: Any) -> None:
    """Draw a button that changes cases; `show_review_error` shows why it failed.

    `options` are those of `st.button`.
    """
    st.button(label, key=key, on_click=run_action, args=(_ACTION, action), **options)


def run_review(action: Callable[[], None]) -> None:
    """Run an action that a component in the browser asked for."""
    run_action(_ACTION, action)


def show_review_error(session: ReviewSession) -> None:
    """Show why the last action failed.

    When somebody else changed the case, the page ends here until it is loaded again.
    """
    error = action_error(_ACTION)
    if isinstance(error, StaleCaseError):
        st.error(plain(str(error)), icon=":material/error:")
        review_button("Load again", "review_reload", session.seen.clear, icon=":material/refresh:")
        st.stop()
    show_action_error(_ACTION)


def undo_button(session: ReviewSession) -> None:
    """Offer to undo the last decision of this visit."""
    review_button(
        "Undo",
        "review_undo",
        session.undo,
        icon=":material/undo:",
        shortcut="U",
        disabled=not session.decisions,
        help=f"Decisions of this visit that can be undone: {len(session.decisions)}",
    )
