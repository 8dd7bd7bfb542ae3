"""What a reviewer did in this visit; the buttons and browser components that change cases."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any, Literal, TypeVar
from uuid import uuid4

import streamlit as st
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from core.cases.database import Database
from core.cases.records import (
    MissedCell,
    Review,
    Sample,
    SampleField,
    TextKind,
    UnfinishedText,
    User,
)
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
from core.cases.unfinished import keep_text
from core.cases.users import require
from core.domain.agreement import LABELS
from core.domain.boxes import Box
from core.domain.results import Cell
from core.domain.taxonomy import CELL_TYPES, NOT_A_WHITE_CELL
from core.errors import (
    InvalidEntryError,
    LeukoscopeError,
    NotAllowedError,
    NotFoundError,
    StaleCaseError,
)
from ui.components.actions import action_error, run_action, show_action_error
from ui.components.browser import mount
from ui.components.shared import number_of, plain
from ui.components.stored import typed_cells
from ui.components.visitor import confirm

Mode = Literal["inspect", "add", "remove", "move", "split"]

KEYS = dict(zip(CELL_TYPES, "1234567890", strict=False)) | {NOT_A_WHITE_CELL: "X"}
"""Shortcut of each label, the same for every cell; types beyond the tenth have none."""
ACTION = "review"
"""One key for all actions on cases: their errors are shown in one place of the page."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What one press or drag changed, and one press of Undo takes back."""

    id: str
    sample_id: int
    reviews: tuple[Review, ...]

    @property
    def cells(self) -> tuple[int, ...]:
        """Ids of the cells."""
        return tuple(review.cell_id for review in self.reviews)

    @property
    def text(self) -> str:
        """What was done in words, such as `basophil` or `3 cells`."""
        first = self.reviews[0]
        if len(self.reviews) == 1 or first.action == "split":
            return first.sentence
        cells = number_of(len(self.reviews), "cell")
        is_one = len({review.label for review in self.reviews}) == 1
        return f"{cells}, {first.sentence}" if is_one else cells


@dataclass
class ReviewSession:
    """Decisions of one user in this visit."""

    database: Database
    user: User
    decisions: list[Decision] = field(default_factory=list)
    """Every decision that can be undone, the last one last."""
    seen: dict[int, Sample] = field(default_factory=dict)
    """Every sample as the page showed it last: a newer version is not overwritten unseen."""
    own: dict[tuple[int, int], int] = field(default_factory=dict)
    """The version of a sample that a change of this visit made, by sample and version before."""
    answers: dict[str, str | None] = field(default_factory=dict)
    """Why each decision that the browser still sends was not saved, by id; None: it was."""
    texts: dict[str, UnfinishedText] = field(default_factory=dict)
    """Every unfinished text as the page showed it last, by the key of its widget."""
    draft_id: int | None = None
    """The draft that is reviewed, and was opened by its key."""

    def saw(self, sample: Sample) -> None:
        """Remember the version of a sample that the page shows."""
        self.seen[sample.id] = sample

    def name_cells(
        self, seen: Sample, labels: Mapping[int, str], comment: str = "", *, decision: str = ""
    ) -> None:
        """Name cells of a sample as it was seen; `decision` is the id if the browser gave one."""
        done = label_cells(self.database, self.user, seen, labels, comment)
        self._keep(seen, done, decision)

    def add_cell(self, seen: Sample, missed: MissedCell) -> None:
        """Add a cell to a sample as it was seen."""
        self._keep(seen, add_cell(self.database, self.user, seen, missed))

    def move_cell(self, seen: Sample, stored: SampleField, cell_id: int, box: Box) -> None:
        """Give a cell of a field another box; the model types it again."""
        (moved,) = self._typed(stored, [box])
        self._keep(seen, move_cell(self.database, self.user, seen, cell_id, moved))

    def split_cell(
        self, seen: Sample, stored: SampleField, cell_id: int, boxes: tuple[Box, Box]
    ) -> None:
        """Make two cells of a field of one; the model types both."""
        first, second = self._typed(stored, boxes)
        done = split_cell(self.database, self.user, seen, cell_id, (first, second))
        self._keep(seen, done)

    def _typed(self, stored: SampleField, boxes: Sequence[Box]) -> tuple[Cell, ...]:
        require(self.user, "reviewer")
        size = stored.analysis.width, stored.analysis.height
        return typed_cells(stored, [checked_box(box, *size) for box in boxes])

    def _keep(self, seen: Sample, done: Done, decision: str = "") -> None:
        sample, reviews = done
        self._changed(seen, sample)
        self.decisions.append(Decision(decision or uuid4().hex, sample.id, reviews))

    def _changed(self, seen: Sample, sample: Sample) -> None:
        self.own[sample.id, seen.version] = sample.version
        self.saw(sample)

    def undo(self, decision: str) -> None:
        """Undo the last decision. One that cannot be undone is dropped, so that others can.

        Raises as `core.cases.reviews.undo`, and InvalidEntryError when the last one is another.
        """
        if not self.decisions or self.decisions[-1].id != decision:
            raise InvalidEntryError("This decision is not the last one. Nothing was undone.")
        last = self.decisions[-1]
        ids = [review.id for review in last.reviews]
        try:
            seen = self.seen.get(last.sample_id) or load_sample(
                self.database, last.sample_id, self.draft_id
            )
            done, _ = undo(self.database, self.user, seen, ids)
        except (InvalidEntryError, NotFoundError):
            self.decisions.pop()
            raise
        self._changed(seen, done)
        self.decisions.pop()

    def receive(self, outbox: Sequence["Sent"]) -> None:
        """Do what the browser sent and was not done yet, in its order; keep the answers.

        The browser draws a decision at once and sends it until it is answered. A decision is of
        the version that the browser knew; changes of this visit since then are no surprise to the
        user, changes by others are, and reject it.
        """
        self.answers = {
            sent.id: self.answers[sent.id] for sent in outbox if sent.id in self.answers
        }
        for sent in outbox:
            if sent.id not in self.answers:
                self.answers[sent.id] = self._answer(sent)

    def _answer(self, sent: "Sent") -> str | None:
        try:
            confirm()
            if isinstance(sent, SentUndo):
                self.undo(sent.undo)
                return None
            version = sent.version
            while (sent.sample, version) in self.own:
                version = self.own[sent.sample, version]
            seen = load_sample(self.database, sent.sample, self.draft_id)
            labels = {one.cell: one.label for one in sent.labels}
            at_version = replace(seen, version=version)
            self.name_cells(at_version, labels, sent.comment, decision=sent.id)
        except StaleCaseError as error:
            # The answer comes with the case as it is now: nothing is to be loaded again.
            return f"{str(error).partition(', after')[0]}. You see it as it is now: decide again."
        except LeukoscopeError as error:
            return str(error)
        return None

    def keep_text(self, kind: TextKind, sample_id: int, seen: int | None = None) -> None:
        """Keep a text as it was typed, unless another window kept one after the version `seen`.

        Raises as `core.cases.unfinished.keep_text`.
        """
        key = text_key(kind, sample_id)
        typed, version = st.session_state[key], self.texts[key].version if seen is None else seen
        kept = keep_text(self.database, self.user, sample_id, kind, typed, version)
        if kept.text == typed:
            self.texts[key] = kept

    def kept_text(self, kind: TextKind, sample_id: int) -> str:
        """Return a text that the user sees. Raises InvalidEntryError unless it is kept so."""
        key = text_key(kind, sample_id)
        typed: str = st.session_state[key]
        if typed != self.texts[key].text:
            raise InvalidEntryError(f"The {kind} on the page is not kept. Keep it first.")
        return typed

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


def text_key(kind: TextKind, sample_id: int) -> str:
    """Return the key of the text area of an unfinished text."""
    return f"review_{kind}_{sample_id}"


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


def show_rejected(session: ReviewSession) -> None:
    """Show why decisions were rejected whose answer the workbench, now gone, did not show."""
    for why in filter(None, session.answers.values()):
        st.error(plain(f"A label was not saved. {why}"), icon=":material/error:")
    session.answers.clear()


def undo_button(session: ReviewSession) -> None:
    """Offer to undo the last decision of this visit.

    The key has its id: a second press that was made before the page showed what the first one
    undid undoes nothing more.
    """
    last = session.decisions[-1] if session.decisions else None

    def take_back() -> None:
        if last is not None and last in session.decisions:
            session.undo(last.id)
            st.toast(f"Undone: {last.text}", icon=":material/undo:")

    review_button(
        "Undo" if last is None else f"Undo: {last.text}",
        f"review_undo_{last.id if last else ''}",
        take_back,
        icon=":material/undo:",
        shortcut="U",
        disabled=last is None,
        help=f"Decisions of this visit that can be undone: {len(session.decisions)}",
    )


def _is_label(label: str) -> str:
    if label not in LABELS:
        raise ValueError("no label of a cell")
    return label


Id = Annotated[str, Field(pattern="^[0-9a-f]{16,32}$")]
Label = Annotated[str, AfterValidator(_is_label)]


class FromBrowser(BaseModel):
    """What a component in the browser sends, which may be forged."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class NamedCell(FromBrowser):
    """A cell and its label."""

    cell: int
    label: Label


class SentLabels(FromBrowser):
    """A decision on cells of one sample."""

    id: Id
    sample: int
    version: int
    """State of the sample that the user saw."""
    labels: Annotated[list[NamedCell], Field(min_length=1, max_length=5000)]
    comment: str


class SentUndo(FromBrowser):
    """Undo of a decision."""

    id: Id
    undo: Id


Sent = SentLabels | SentUndo


class Message(FromBrowser):
    """Fields of every message on one sample."""

    sample: int
    version: int
    """State of the sample that the user saw: the database rejects a change to an older one."""


M = TypeVar("M", bound=Message)


class Picked(Message):
    """A cell of the field was clicked."""

    field: int
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
