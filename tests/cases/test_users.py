from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.cases.audit import verify
from core.cases.database import open_database
from core.cases.orm import UserRow
from core.cases.records import User
from core.cases.tokens import add_token, user_of_token
from core.cases.users import (
    bind,
    end_session,
    identity_of,
    release,
    remove,
    set_role,
    user_of,
    user_of_identity,
    users,
)
from core.errors import (
    InvalidEntryError,
    NotAllowedError,
    NotFoundError,
    SignInError,
    TokenError,
    UnknownPersonError,
)
from tests.cases.made import REVIEWER


def test_without_sign_on_there_is_one_admin(database, settings):
    assert user_of(database, settings=settings) == User("local", "admin")
    assert users(database) == (User("local", "admin"),)


def test_newcomers_are_viewers_where_allowed(database, settings):
    with pytest.raises(UnknownPersonError, match="eve@lab has no account"):
        user_of(database, "eve@lab", settings)
    settings = settings.model_copy(update={"admit_newcomers": True})
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: user_of(database, "eve@lab", settings), range(4)))
    assert found == {User("eve@lab", "viewer")}


def test_admins_give_roles(database, settings):
    admin = user_of(database, settings=settings)
    set_role(database, admin, "ana@lab", "viewer")
    set_role(database, admin, "ana@lab", "reviewer")
    assert user_of(database, "ana@lab", settings) == User("ana@lab", "reviewer")
    with pytest.raises(NotAllowedError, match="needs the role admin"):
        set_role(database, REVIEWER, REVIEWER.name, "admin")
    with pytest.raises(InvalidEntryError):
        set_role(database, admin, " ", "viewer")


def test_one_admin_stays(database, settings):
    admin = user_of(database, settings=settings)
    with pytest.raises(InvalidEntryError, match="only admin"):
        set_role(database, admin, admin.name, "viewer")
    set_role(database, admin, "ada@lab", "admin")
    assert set_role(database, admin, admin.name, "viewer").role == "viewer"


ISSUER = "https://id.example"
LONGEST = timedelta(hours=12)


def claims(subject="7", **said):
    now = int(datetime.now(UTC).timestamp())
    return {"is_logged_in": True, "iss": ISSUER, "sub": subject, "iat": now, "nonce": "n", **said}


def identity(subject="7", email=None, *, verified=True, **said):
    told = {} if email is None else {"email": email, "email_verified": verified}
    return identity_of(claims(subject, **told, **said), LONGEST)


@pytest.fixture
def lab(settings):
    """Settings of a laboratory whose administrator is named by address."""
    return settings.model_copy(update={"admins": frozenset({"local", "ada@lab"})})


def test_a_verified_address_finds_its_account_once(database, lab):
    ada = identity("7", "ada@lab")
    assert user_of_identity(database, ada, lab) == User("ada@lab", "admin")
    renamed = identity("7", "married@lab")
    assert user_of_identity(database, renamed, lab) == User("ada@lab", "admin")
    assert user_of_identity(database, identity("7"), lab).name == "ada@lab"
    heir = identity("8", "ada@lab")  # the address went to somebody else
    with pytest.raises(UnknownPersonError):
        user_of_identity(database, heir, lab)


@pytest.mark.parametrize("verified", [False, None, "false", "true", 1, "", []])
def test_an_address_that_is_not_verified_claims_nothing(database, lab, verified):
    set_role(database, user_of(database, settings=lab), "ben@lab", "reviewer")
    for address in ("ada@lab", "ben@lab"):
        with pytest.raises(UnknownPersonError, match=r"id\.example#7 has no account"):
            user_of_identity(database, identity("7", address, verified=verified), lab)
    without = claims("7", email="ada@lab")  # as Entra ID sends it
    with pytest.raises(UnknownPersonError):
        user_of_identity(database, identity_of(without, LONGEST), lab)


@pytest.mark.parametrize("subject", ["ada@lab", "local", "LOCAL", "https://id.example#1"])
def test_a_subject_claims_no_name(database, lab, subject):
    user_of(database, settings=lab)
    set_role(database, User("local", "admin"), "ada@lab", "admin")
    with pytest.raises(UnknownPersonError):
        user_of_identity(database, identity(subject), lab)
    admitting = lab.model_copy(update={"admit_newcomers": True})
    came = user_of_identity(database, identity(subject), admitting)
    assert came == User(f"{ISSUER}#{subject}", "viewer")


@pytest.mark.parametrize("address", ["local", "https://id.example#1@x"])
def test_what_is_no_address_is_none_though_verified(address):
    assert identity("7", address).email is None


def test_another_provider_claims_no_account(database, lab):
    user_of_identity(database, identity("7", "ada@lab"), lab)
    other = identity("7", "ada@lab", iss="https://other.example")
    with pytest.raises(UnknownPersonError):
        user_of_identity(database, other, lab)


def test_users_without_a_verified_address_are_named_by_issuer_and_subject(database, lab):
    named = lab.model_copy(update={"admins": frozenset({f"{ISSUER}#42"})})
    assert user_of_identity(database, identity("42"), named).role == "admin"
    set_role(database, User("local", "admin"), f"{ISSUER}#43", "reviewer")
    assert user_of_identity(database, identity("43", "x@lab"), named).role == "reviewer"


def test_newcomers_of_a_provider_are_viewers_where_allowed(database, lab):
    admitting = lab.model_copy(update={"admit_newcomers": True})
    with ThreadPoolExecutor(4) as pool:
        came = pool.map(
            lambda _: user_of_identity(database, identity("9", "eve@lab"), admitting), range(4)
        )
    assert set(came) == {User("eve@lab", "viewer")}
    second = user_of_identity(database, identity("10", "eve@lab"), admitting)
    assert second == User(f"{ISSUER}#10", "viewer")


@pytest.mark.parametrize(
    "wrong",
    [
        {"is_logged_in": False},
        {"is_logged_in": "true"},
        {"iss": None},
        {"iss": ""},
        {"sub": ""},
        {"sub": 7},
        {"iat": None},
        {"iat": "1"},
        {"iat": True},
    ],
)
def test_claims_that_lack_something_sign_nobody_in(wrong):
    with pytest.raises(SignInError, match="Sign in to continue"):
        identity_of({**claims(), **wrong}, LONGEST)


def test_a_sign_in_ends_after_its_time():
    issued = int((datetime.now(UTC) - LONGEST).timestamp())
    assert identity("7", iat=issued + 60).expires > datetime.now(UTC)
    with pytest.raises(SignInError, match="session is over"):
        identity("7", iat=issued - 1)


def test_a_sign_out_ends_the_sign_in_wherever_it_is_used(database, lab):
    here, elsewhere = identity("7", "ada@lab"), identity("7", "ada@lab", nonce="other")
    user_of_identity(database, here, lab)
    end_session(database, here)
    end_session(database, here)
    with pytest.raises(SignInError, match="signed out"):
        user_of_identity(database, here, lab)
    assert user_of_identity(database, elsewhere, lab).name == "ada@lab"


def test_operators_bind_and_release(database, lab):
    admin = user_of(database, settings=lab)
    set_role(database, admin, "ben@lab", "reviewer")
    set_role(database, admin, "eve@lab", "viewer")
    bind(database, admin, "ben@lab", f"{ISSUER}#7")
    assert user_of_identity(database, identity("7"), lab).name == "ben@lab"
    with pytest.raises(InvalidEntryError, match="ben@lab is bound"):
        bind(database, admin, "eve@lab", f"{ISSUER}#7")
    for name in ("local", "nobody@lab"):
        with pytest.raises(NotFoundError):
            bind(database, admin, name, f"{ISSUER}#8")
    with pytest.raises(InvalidEntryError, match="issuer#subject"):
        bind(database, admin, "eve@lab", "7")
    with pytest.raises(NotAllowedError):
        bind(database, REVIEWER, "eve@lab", f"{ISSUER}#8")
    release(database, admin, "ben@lab")
    with pytest.raises(UnknownPersonError):
        user_of_identity(database, identity("7"), lab)
    assert user_of_identity(database, identity("8", "ben@lab"), lab).name == "ben@lab"


def test_a_removed_user_is_nobody_and_their_tokens_are_worthless(database, lab):
    admin = user_of(database, settings=lab)
    ben = set_role(database, admin, "ben@lab", "reviewer")
    assert user_of_identity(database, identity("7", "ben@lab"), lab) == ben
    _, token = add_token(database, admin, ben, "a script")
    assert remove(database, admin, "ben@lab", lab) == 1
    with pytest.raises(UnknownPersonError):
        user_of_identity(database, identity("7", "ben@lab"), lab)
    with pytest.raises(TokenError):
        user_of_token(database, token, lab)
    assert verify(database).whole
    with pytest.raises(NotFoundError):
        remove(database, admin, "ben@lab", lab)
    with pytest.raises(NotAllowedError):
        remove(database, REVIEWER, admin.name, lab)


def test_whom_the_settings_would_add_again_is_not_removed(database, lab):
    admin = user_of(database, settings=lab)
    ada = user_of_identity(database, identity("1", "ada@lab"), lab)
    with pytest.raises(InvalidEntryError, match="LEUKOSCOPE_ADMINS names ada@lab"):
        remove(database, admin, ada.name, lab)
    by_key = lab.model_copy(update={"admins": {f"{ISSUER}#1"}})
    with pytest.raises(InvalidEntryError, match="LEUKOSCOPE_ADMINS names ada@lab"):
        remove(database, admin, ada.name, by_key)
    nobody = lab.model_copy(update={"admins": frozenset()})
    assert remove(database, ada, admin.name, nobody) == 0
    with pytest.raises(InvalidEntryError, match="only admin"):
        remove(database, ada, ada.name, nobody)


def test_users_of_an_older_store_are_bound_with_their_next_sign_in(database, lab):
    with database.writing() as session:  # as migration 0009 leaves them
        session.add(UserRow(name="ben@lab", role="reviewer", since=datetime.now(UTC)))
        session.add(UserRow(name="7", role="admin", since=datetime.now(UTC)))
    assert user_of_identity(database, identity("7", "ben@lab"), lab).role == "reviewer"
    with database.reading() as session:
        row = session.get_one(UserRow, "ben@lab")
        assert (row.issuer, row.subject) == (ISSUER, "7")


def test_a_store_that_is_read_only_lets_its_users_in(settings, lab):
    writable = open_database(settings)
    set_role(writable, user_of(writable, settings=lab), "ben@lab", "reviewer")
    reading = replace(writable, read_only=True)
    assert user_of_identity(reading, identity("7", "ben@lab"), lab).role == "reviewer"
    assert user_of_identity(reading, identity("8", "ada@lab"), lab).role == "admin"
    with pytest.raises(UnknownPersonError):
        user_of_identity(reading, identity("9", "eve@lab"), lab)
    assert all(user.name != "ada@lab" for user in users(writable))
    writable.engine.dispose()
