"""Access to the pages: who may see them, signing in and out."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import streamlit as st

from core.access import VISITOR_COOKIE, get_access, is_loopback, visitors
from core.cases import users
from core.cases.database import Database, get_database
from core.cases.records import User
from core.domain.taxonomy import RESEARCH_NOTICE
from core.errors import CaseError, LeukoscopeError, SignInError
from ui.components.shared import plain

SHOWN_TO = "shown_to"
"""Key in the session of the user whom the page was drawn for."""
LINK_HOURS = timedelta(hours=1)
"""How long after a page was shown the files of a linked case can be fetched."""


def admit(*, for_everyone: bool) -> None:
    """Let a visitor see a page, or show what is missing and end it.

    With single sign-on a page is for users with an account, unless it is `for_everyone`.
    """
    access = get_access()
    if access.open_to_all:
        st.warning(
            "Open access: anyone who reaches this server can see and change all data.",
            icon=":material/lock_open:",
        )
    if not visitors.guarded and not _is_local():
        st.error(
            "Only this machine can open this page. For other machines or single sign-on, start "
            "the server with `python -m core serve`.",
            icon=":material/lock:",
        )
        st.stop()
    if not access.sign_in:
        return
    try:
        user = current_user(get_database())
    except LeukoscopeError as error:
        if for_everyone:
            return
        _offer_sign_in(error)
        st.stop()
    identity = current_identity()
    visitors.admit(
        _visitor(), identity.expires, "fetch", "send", "slides", sign_in=identity.session, user=user
    )
    st.session_state[SHOWN_TO] = user
    with st.sidebar:
        st.caption(f"Signed in: {plain(user.name)}")
        st.button("Sign out", icon=":material/logout:", type="tertiary", on_click=sign_out)


def confirm() -> None:
    """Raise SignInError when the account changed since the page was drawn."""
    if get_access().sign_in and current_user(get_database()) != st.session_state.get(SHOWN_TO):
        raise SignInError("Your account changed. Nothing was done.")


def admit_by_link() -> None:
    """Let a visitor fetch the files of a case or a test that a link opened to them."""
    visitors.admit(_visitor(), datetime.now(UTC) + LINK_HOURS, "fetch")


def current_user(database: Database) -> User:
    """Return who is signed in, or the local person where there is no single sign-on.

    Raises SignInError, UnknownPersonError for somebody who is not let in, StoreUnavailableError.
    """
    if not get_access().sign_in:
        return users.user_of(database, users.LOCAL_USER)
    return users.user_of_identity(database, current_identity())


def slide_owner() -> str | None:
    """Return whose uploaded slides the visitor sees; None when nobody is known."""
    with suppress(LeukoscopeError):
        return current_user(get_database()).name
    return None


def current_identity() -> users.Identity:
    """Return whom the provider signed in. Raises SignInError."""
    return users.identity_of(st.user.to_dict(), get_access().session)


def sign_out() -> None:
    """End the sign-in: in this tab, in all others, and wherever its cookie was copied to."""
    with suppress(CaseError, SignInError):  # the browser is signed out anyway
        identity = current_identity()
        visitors.dismiss(identity.session)
        users.end_session(get_database(), identity)
    st.logout()


def _offer_sign_in(error: LeukoscopeError) -> None:
    st.title("Leukoscope")
    st.caption(RESEARCH_NOTICE)
    if isinstance(error, SignInError):
        st.info(str(error), icon=":material/lock:")
        st.button("Sign in", icon=":material/login:", type="primary", on_click=st.login)
        return
    st.error(plain(str(error)), icon=":material/error:")
    st.button("Sign out", icon=":material/logout:", on_click=sign_out)


def _visitor() -> str | None:
    return st.context.cookies.get(VISITOR_COOKIE)


def _is_local() -> bool:
    """Return whether the request comes from this machine; needed where the server has no guard."""
    headers = st.context.headers
    host = headers.get("Host")
    if host is None:  # no server at all: a test runs the script
        return True
    origin = urlsplit(headers.get("Origin") or f"//{host}")
    return (
        not get_access().sign_in
        and origin.netloc == host
        and is_loopback(urlsplit(f"//{host}").hostname)
        and is_loopback(st.context.ip_address or "localhost")
    )
