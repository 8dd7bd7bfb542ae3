"""Tokens act for a person until they expire or are revoked."""

import argparse
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from core.cases import audit, tokens
from core.cases.database import get_database
from core.cases.orm import TokenRow
from core.cases.records import User
from core.cases.tokens import add_token, revoke_token, user_of_token
from core.cases.users import set_role, user_of
from core.errors import InvalidEntryError, NotAllowedError, NotFoundError, TokenError
from core.settings import get_settings
from tests.cases.made import ADMIN, REVIEWER


@pytest.fixture
def owner(database):
    return set_role(database, ADMIN, "ana@lab", "reviewer")


def test_a_token_acts_for_its_person(database, owner):
    token, text = add_token(database, ADMIN, owner, "scanner ")
    assert user_of_token(database, text) == owner
    assert (token.user, token.label, token.role) == ("ana@lab", "scanner", "reviewer")
    assert token.last_used is None
    (used,) = tokens.tokens(database)
    assert used.last_used is not None


def test_the_database_does_not_hold_the_token(database, owner):
    _, text = add_token(database, ADMIN, owner, "scanner")
    with database.reading() as session:
        row = session.scalars(select(TokenRow)).one()
    assert text.removeprefix("leuko_") not in repr(vars(row))
    assert len(text) > 40
    assert text not in repr(audit.latest(database))


def test_the_lower_role_holds(database, owner):
    _, narrow = add_token(database, ADMIN, User(owner.name, "viewer"), "dashboard")
    _, wide = add_token(database, ADMIN, owner, "scanner")
    assert user_of_token(database, narrow).role == "viewer"
    set_role(database, ADMIN, owner.name, "viewer")
    assert user_of_token(database, wide).role == "viewer"
    set_role(database, ADMIN, owner.name, "admin")
    assert user_of_token(database, wide).role == "reviewer"


def test_what_does_not_hold_opens_nothing(database, owner):
    revoked, first = add_token(database, ADMIN, owner, "first")
    revoke_token(database, ADMIN, revoked.id)
    expired, second = add_token(database, ADMIN, owner, "second", days=1)
    past = datetime.now(UTC) - timedelta(seconds=1)
    with database.writing() as session:
        session.execute(update(TokenRow).where(TokenRow.id == expired.id).values(expires=past))
    for text in (first, second, "leuko_unknown", "", "\0"):
        with pytest.raises(TokenError):
            user_of_token(database, text)


def test_the_time_of_use_is_not_written_each_time(database, owner):
    _, text = add_token(database, ADMIN, owner, "scanner")
    user_of_token(database, text)
    with database.writing():  # nobody else may write now
        assert user_of_token(database, text) == owner


def test_only_admins_give_tokens_and_not_any(database, owner):
    with pytest.raises(NotAllowedError):
        add_token(database, REVIEWER, owner, "scanner")
    with pytest.raises(NotAllowedError):
        revoke_token(database, REVIEWER, 1)
    with pytest.raises(NotFoundError):
        revoke_token(database, ADMIN, 1)
    for label, days in ((" ", 1), ("x" * 101, 1), ("scanner", 0)):
        with pytest.raises(InvalidEntryError):
            add_token(database, ADMIN, owner, label, days)


def test_the_command_line_adds_lists_and_revokes(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LEUKOSCOPE_STORE", str(tmp_path))
    monkeypatch.delenv("LEUKOSCOPE_DATABASE_URL", raising=False)
    get_settings.cache_clear()
    get_database.cache_clear()
    parser = argparse.ArgumentParser()
    tokens.add_arguments(parser)

    def run(*arguments):
        assert tokens.run(parser.parse_args(arguments)) == 0
        return capsys.readouterr().out

    text = run("add", "local", "--label", "scanner", "--role", "reviewer").strip()
    assert user_of_token(get_database(), text).role == "reviewer"
    assert "scanner\texpires" in run("list")
    run("revoke", "1")
    with pytest.raises(TokenError):
        user_of_token(get_database(), text)
    assert "revoked" in run("list")
    assert user_of(get_database()).role == "admin"
    get_settings.cache_clear()
    get_database.cache_clear()
