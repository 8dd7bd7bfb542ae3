"""Texts that are kept on the server while they are written: conclusion and comment of a case."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st

from core.cases.names import LONGEST_COMMENT
from core.cases.records import TextKind, UnfinishedText
from ui.components.actions import run_action
from ui.components.browser import mount
from ui.components.cases import local_time
from ui.review.session import ACTION, ReviewSession, review_button, text_key


def send_while_typing(user: str) -> None:
    """Have texts sent at each pause of typing, and not only when their text area is left."""
    mount("send_texts", "review_send_texts", {"user": user})


def write_text(  # noqa: PLR0913 - options by name
    session: ReviewSession,
    kind: TextKind,
    sample_id: int,
    stored: Sequence[UnfinishedText],
    label: str,
    *,
    kept: str,
    start: str = "",
    **options: Any,
) -> None:
    """Draw the text area of a text of the user, which is kept as they leave it.

    `stored` are the texts of all users. One that was never kept begins as `start`. `kept` says what
    else is to be done with it; `options` are those of `st.text_area`. The state of the widget has
    the key `text_key`.
    """
    key, name = text_key(kind, sample_id), session.user.name
    own = next((text for text in stored if text.author == name), UnfinishedText(None, name, ""))
    if not own.version:
        own = replace(own, text=start)
    shown, typed = session.texts.get(key), st.session_state.get(key)
    if shown is None or typed in {None, shown.text, own.text}:  # nothing new was typed here
        if typed != own.text:
            st.session_state[key] = own.text
        session.texts[key] = shown = own
    st.text_area(
        label,
        key=key,
        max_chars=LONGEST_COMMENT,
        on_change=run_action,
        args=(ACTION, partial(session.keep_text, kind, sample_id)),
        **options,
    )
    if shown is not own:
        _offer_both(session, kind, sample_id, own, is_newer=own.version != shown.version)
    elif own.at and own.text.strip():
        st.caption(f"Kept {local_time(own.at)}. {kept}")


def _offer_both(
    session: ReviewSession, kind: TextKind, sample_id: int, own: UnfinishedText, *, is_newer: bool
) -> None:
    """Say that the text on the page is not kept, and let the user choose where there is another."""
    if is_newer and own.at:
        st.warning(
            f"Another window changed this {kind} on {local_time(own.at)}, to the text below. What "
            "you see above is not kept.",
            icon=":material/sync_problem:",
        )
        with st.container(border=True):
            st.text(own.text or "Empty.")
    else:
        st.warning(f"This {kind} is not kept yet.", icon=":material/sync_problem:")

    def use_other() -> None:
        st.session_state[text_key(kind, sample_id)] = own.text

    with st.container(horizontal=True):
        review_button(
            "Keep the text above",
            f"review_keep_{kind}",
            partial(session.keep_text, kind, sample_id, own.version),
            icon=":material/save:",
        )
        if is_newer:
            review_button("Use the text below", f"review_use_{kind}", use_other)
