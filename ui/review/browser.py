"""The two components of the review that run in the browser, and what they may send.

Each sends one message per action. A message is validated by its model here before use; its version
says which state of the sample the user saw.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

import streamlit as st
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from core.domain.agreement import LABELS
from core.settings import PROJECT_ROOT
from ui.review.session import run_review

_FOLDER = PROJECT_ROOT / "assets" / "components"
_MAX_CELLS = 5000

Mode = Literal["inspect", "add", "remove"]


def _is_label(label: str) -> str:
    if label not in LABELS:
        raise ValueError("no label of a cell")
    return label


class Message(BaseModel):
    """Fields of every message."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sample: int
    version: int


class Moved(Message):
    """Cells were dragged to another type."""

    label: Annotated[str, AfterValidator(_is_label)]
    ids: Annotated[list[int], Field(min_length=1, max_length=_MAX_CELLS)]


class Picked(Message):
    """A cell of the field was clicked."""

    mode: Mode
    id: int


class Placed(Message):
    """A missed cell was marked; its box in pixels of the image."""

    # JavaScript writes whole numbers without a decimal point.
    field: int
    x: Annotated[float, Field(strict=False, allow_inf_nan=False)]
    y: Annotated[float, Field(strict=False, allow_inf_nan=False)]
    width: Annotated[float, Field(strict=False, gt=0, allow_inf_nan=False)]
    height: Annotated[float, Field(strict=False, gt=0, allow_inf_nan=False)]


def gallery_component(key: str, data: dict[str, Any], on_moved: Callable[[Any], None]) -> None:
    """Mount the gallery with cells to drag; `on_moved` receives the message."""
    _mount("gallery", key, data, moved=on_moved)


def field_component(
    key: str,
    data: dict[str, Any],
    on_picked: Callable[[Any], None],
    on_placed: Callable[[Any], None],
) -> None:
    """Mount the field with cells to click; the callbacks receive the message."""
    _mount("field", key, data, picked=on_picked, placed=on_placed)


def _mount(name: str, key: str, data: dict[str, Any], **handlers: Callable[[Any], None]) -> None:
    def listener(event: str, handle: Callable[[Any], None]) -> Callable[[], None]:
        def changed() -> None:
            message = st.session_state[key].get(event)
            if message is not None:
                run_review(partial(handle, message))

        return changed

    # Declared in every run, because a declaration belongs to the running server.
    component = st.components.v2.component(
        f"leukoscope_{name}",
        js=(_FOLDER / f"{name}.js").read_text(encoding="utf-8"),
        css=(_FOLDER / f"{name}.css").read_text(encoding="utf-8"),
    )
    listeners: dict[str, Any] = {
        f"on_{event}_change": listener(event, handle) for event, handle in handlers.items()
    }
    component(key=key, data=data, **listeners)
