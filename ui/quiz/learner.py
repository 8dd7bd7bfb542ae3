"""Who learns: a user, or somebody with a name and a secret in the address."""

import streamlit as st

from core.cases.database import Database
from core.cases.users import LOCAL_USER
from core.errors import SignInError, UnknownPersonError
from core.settings import get_settings
from core.teaching.learners import Learner, add_learner, learner_of_secret, learner_of_user
from ui.components.actions import action_button
from ui.components.shared import number_of, plain
from ui.components.visitor import current_user

PARAMETER = "learner"
"""Parameter of the address that holds a learner's secret."""
_NAME = "quiz_name"


def current_learner(database: Database) -> Learner | None:
    """Return who learns; None for somebody who has not said who they are.

    Raises LinkError for a wrong secret, and the errors of the store.
    """
    if secret := st.query_params.get(PARAMETER):
        return learner_of_secret(database, secret)
    if "test" in st.query_params:
        return None
    try:
        return learner_of_user(database, current_user(database))
    except (SignInError, UnknownPersonError):
        return None


def ask_name(database: Database, test_id: int | None = None) -> None:
    """Ask somebody without an account for a name."""

    def join() -> None:
        _, secret = add_learner(database, st.session_state[_NAME], test_id)
        st.query_params[PARAMETER] = secret

    with st.form("quiz_join", border=False):
        st.text_input("Your name", key=_NAME, max_chars=100, width=360)
        st.caption(
            (
                "No account is needed. The teacher sees your name and answers."
                if test_id
                else "No account is needed. Nobody else sees your answers."
            )
            + f" They are deleted {number_of(get_settings().learner_days, 'day')} after the last "
            "one, or when you erase them."
        )
        action_button("Go in", "quiz_join", join, in_form=True, for_everyone=True, type="primary")


def shown_name(learner: Learner) -> None:
    """Say as whom somebody learns, and that the address is the way back."""
    if learner.user == LOCAL_USER:
        return
    if learner.user is not None:
        st.caption(f"You learn as {plain(learner.name)}.")
    else:
        st.caption(
            f"You learn as {plain(learner.name)}. The address of this page is your way back: keep "
            "it, and show it to nobody."
        )


def in_address(**more: object) -> dict[str, str]:
    """Return the parameters of a link within the quiz: the learner stays."""
    kept = {name: st.query_params[name] for name in (PARAMETER, "test") if name in st.query_params}
    return kept | {name: str(value) for name, value in more.items()}
