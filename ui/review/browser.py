"""The two components of the review that run in the browser, and what they may send.

Both send one message for one deed. Nothing in it is trusted before it passed its model here; the
version says which state of the sample the person saw.
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
_MOST_CELLS = 5000

Mode = Literal["inspect", "add", "remove"]


def _is_label(label: str) -> str:
    if label not in LABELS:
        raise ValueError("no label of a cell")
    return label


class Message(BaseModel):
    """What every message carries."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sample: int
    version: int


class Moved(Message):
    """Cells were dragged to another type."""

    label: Annotated[str, AfterValidator(_is_label)]
    ids: Annotated[list[int], Field(min_length=1, max_length=_MOST_CELLS)]


class Picked(Message):
    """A cell of the field was clicked."""

    mode: Mode
    id: int


class Placed(Message):
    """A missed cell was marked; its box in pixels of the picture."""

    # JavaScript writes whole numbers without a point.
    field: int
    x: Annotated[float, Field(strict=False, allow_inf_nan=False)]
    y: Annotated[float, Field(strict=False, allow_inf_nan=False)]
    width: Annotated[float, Field(strict=False, gt=0, allow_inf_nan=False)]
    height: Annotated[float, Field(strict=False, gt=0, allow_inf_nan=False)]


def gallery_component(key: str, data: dict[str, Any], on_moved: Callable[[Any], None]) -> None:
    """Mount the gallery whose cells can be dragged; `on_moved` gets what the browser sent."""
    _mount("gallery", key, data, moved=on_moved)


def field_component(
    key: str,
    data: dict[str, Any],
    on_picked: Callable[[Any], None],
    on_placed: Callable[[Any], None],
) -> None:
    """Mount the field whose cells can be clicked; the callbacks get what the browser sent."""
    _mount("field", key, data, picked=on_picked, placed=on_placed)


def _mount(name: str, key: str, data: dict[str, Any], **heard: Callable[[Any], None]) -> None:
    def listener(event: str, hear: Callable[[Any], None]) -> Callable[[], None]:
        def changed() -> None:
            message = st.session_state[key].get(event)
            if message is not None:
                run_review(partial(hear, message))

        return changed

    # Declared at every run: a declaration belongs to the running server, not to this module.
    component = st.components.v2.component(
        f"leukoscope_{name}",
        js=(_FOLDER / f"{name}.js").read_text(encoding="utf-8"),
        css=(_FOLDER / f"{name}.css").read_text(encoding="utf-8"),
    )
    listeners: dict[str, Any] = {
        f"on_{event}_change": listener(event, hear) for event, hear in heard.items()
    }
    component(key=key, data=data, **listeners)
