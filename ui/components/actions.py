"""What buttons do.

Any event may end a run early and start the page anew. A button's return value is lost then, its
callback is not. So a button never acts by its return value:

- `action_button` acts on what the visitor saw when they pressed.
- `kept_button` is for work that needs values of the run, or shows its progress: the press stays in
  the session until the run comes to the button.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from core.errors import LeukoscopeError
from ui.components.shared import plain
from ui.components.visitor import confirm


def run_action(key: str, action: Callable[[], object], *, for_everyone: bool = False) -> None:
    """Run `action`; keep its error for `show_action_error`.

    It is not run when the visitor's account changed since the page was drawn; pages `for_everyone`
    need no account.
    """
    st.session_state.pop(f"{key}_error", None)
    try:
        if not for_everyone:
            confirm()
        action()
    except LeukoscopeError as error:
        st.session_state[f"{key}_error"] = error


def action_error(key: str) -> LeukoscopeError | None:
    """Return why the last action of this key failed, if nobody was shown it yet."""
    error: LeukoscopeError | None = st.session_state.get(f"{key}_error")
    return error


def show_action_error(key: str) -> None:
    """Show once why the last action of this key failed."""
    if error := st.session_state.pop(f"{key}_error", None):
        st.error(plain(str(error)), icon=":material/error:")


def action_button(
    label: str,
    key: str,
    action: Callable[[], object],
    *,
    in_form: bool = False,
    for_everyone: bool = False,
    **options: Any,
) -> None:
    """Draw a button, or that of a form, that runs `action`, and why the last press failed.

    `options` are those of `st.button`.
    """
    draw: Callable[..., bool] = st.form_submit_button if in_form else st.button
    run = partial(run_action, key, action, for_everyone=for_everyone)
    draw(label, key=key, on_click=run, **options)
    show_action_error(key)


def kept_button(label: str, key: str, **options: Any) -> bool:
    """Draw a button; return whether it was pressed in this run or in one that was cut short.

    `options` are those of `st.button`.
    """
    pressed = f"{key}_pressed"
    st.button(label, key=key, on_click=st.session_state.update, args=({pressed: True},), **options)
    return bool(st.session_state.pop(pressed, False))
