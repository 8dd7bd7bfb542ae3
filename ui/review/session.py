"""What a reviewer did in this visit; the buttons and browser components that change cases."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import streamlit as st
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from core.cases.database import Database
from core.cases.records import MissedCell, Sample, SampleField, User
from core.cases.reviews import (
    Done,
    add_cell,
    checked_box,
    label_cells,
    move_cell,
    split_cell,
    undo,
)
from core.cases.samples import load_sample
from core.cases.users import require
from core.domain.agreement import LABELS
from core.domain.boxes import Box
from core.domain.results import Cell
from core.domain.taxonomy import CELL_TYPES, NOT_A_WHITE_CELL
from core.errors import InvalidEntryError, NotAllowedError, NotFoundError, StaleCaseError
from ui.components.actions import action_error, run_action, show_action_error
from ui.components.browser import mount
from ui.components.shared import plain
from ui.components.stored import typed_cells

Mode = Literal["inspect", "add", "remove", "move", "split"]

KEYS = dict(zip(CELL_TYPES, "1234567890", strict=False)) | {NOT_A_WHITE_CELL: "X"}
"""Shortcut of each label, the same for every cell; types beyond the tenth have none."""
ACTION = "review"
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
    draft_id: int | None = None
    """The draft that is reviewed, and was opened by its key."""

    def saw(self, sample: Sample) -> None:
        """Remember the version of a sample that the page shows."""
        self.seen[sample.id] = sample

    def name_cells(self, seen: Sample, labels: Mapping[int, str], comment: str = "") -> None:
        """Name cells of a sample as it was seen."""
        self._keep(label_cells(self.database, self.user, seen, labels, comment))

    def add_cell(self, seen: Sample, missed: MissedCell) -> None:
        """Add a cell to a sample as it was seen."""
        self._keep(add_cell(self.database, self.user, seen, missed))

    def move_cell(self, seen: Sample, stored: SampleField, cell_id: int, box: Box) -> None:
        """Give a cell of a field another box; the model types it again."""
        (moved,) = self._typed(stored, [box])
        self._keep(move_cell(self.database, self.user, seen, cell_id, moved))

    def split_cell(
        self, seen: Sample, stored: SampleField, cell_id: int, boxes: tuple[Box, Box]
    ) -> None:
        """Make two cells of a field of one; the model types both."""
        first, second = self._typed(stored, boxes)
        self._keep(split_cell(self.database, self.user, seen, cell_id, (first, second)))

    def _typed(self, stored: SampleField, boxes: Sequence[Box]) -> tuple[Cell, ...]:
        require(self.user, "reviewer")
        size = stored.analysis.width, stored.analysis.height
        return typed_cells(stored, [checked_box(box, *size) for box in boxes])

    def _keep(self, done: Done) -> None:
        sample, reviews = done
        self.saw(sample)
        self.decisions.append((sample.id, tuple(review.id for review in reviews)))

    def undo(self) -> None:
        """Undo the last decision. One that cannot be undone is dropped, so that others can."""
        sample_id, reviews = self.decisions[-1]
        try:
            seen = self.seen.get(sample_id) or load_sample(self.database, sample_id, self.draft_id)
            sample, _ = undo(self.database, self.user, seen, reviews)
        except (InvalidEntryError, NotFoundError):
            self.decisions.pop()
            raise
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


def suggestion(cell: Cell) -> str | None:
    """Return the model's type of a cell, reviewed or not."""
    return cell.suggested if cell.reviewer else cell.type


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
    st.button(label, key=key, on_click=run_action, args=(ACTION, action), **options)


def show_review_error(session: ReviewSession) -> None:
    """Show why the last action failed.

    When somebody else changed the case, the page ends here until it is loaded again.
    """
    error = action_error(ACTION)
    if isinstance(error, StaleCaseError):
        st.error(plain(str(error)), icon=":material/error:")
        review_button("Load again", "review_reload", session.seen.clear, icon=":material/refresh:")
        st.stop()
    show_action_error(ACTION)


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


def _is_label(label: str) -> str:
    if label not in LABELS:
        raise ValueError("no label of a cell")
    return label


class Message(BaseModel):
    """Fields of every message of a component in the browser, which may be forged."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sample: int
    version: int
    """State of the sample that the user saw: the database rejects a change to an older one."""


M = TypeVar("M", bound=Message)


class Moved(Message):
    """Cells were dragged to another type, or labelled by a key."""

    label: Annotated[str, AfterValidator(_is_label)]
    ids: Annotated[list[int], Field(min_length=1, max_length=5000)]


class Picked(Message):
    """A cell of the field was clicked."""

    mode: Mode
    id: int


# JavaScript writes whole numbers without a decimal point.
Pixel = Annotated[float, Field(strict=False, allow_inf_nan=False)]
Side = Annotated[float, Field(strict=False, gt=0, allow_inf_nan=False)]


class Drawn(Message):
    """A box in pixels of the image."""

    x: Pixel
    y: Pixel
    width: Side
    height: Side

    @property
    def box(self) -> Box:
        """The box."""
        return Box(self.x, self.y, self.width, self.height)


class Placed(Drawn):
    """A missed cell was marked."""

    field: int


class Redrawn(Drawn):
    """The box of a cell was moved or resized."""

    id: int


class Divided(Message):
    """A line was drawn between two cells that share a box, from one point to another."""

    id: int
    start: Annotated[tuple[Pixel, Pixel], Field(strict=False)]
    end: Annotated[tuple[Pixel, Pixel], Field(strict=False)]


Handler = Callable[[Any], None]
"""Receives what the browser sent."""


def handler(model: type[M], sample: Sample, handle: Callable[[M, Sample], None]) -> Handler:
    """Return a handler of messages that ignores those that are invalid or of another sample.

    `handle` receives the message and the sample as the user saw it.
    """

    def received(message: Any) -> None:
        try:
            valid = model.model_validate(message)
        except ValidationError:
            return
        if valid.sample == sample.id:
            handle(valid, replace(sample, version=valid.version))

    return received


def browser_component(
    name: str, key: str, sample: Sample, data: Mapping[str, Any], **handlers: Handler
) -> None:
    """Mount a component of `assets/components` that runs in the browser, by its name.

    It sends one message per action; `handlers` receive them by event.
    """
    mount(
        name,
        key,
        {"sample": sample.id, "version": sample.version, **data},
        **{
            event: lambda message, handle=handle: run_action(ACTION, partial(handle, message))
            for event, handle in handlers.items()
        },
    )
