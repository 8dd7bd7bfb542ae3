"""Tokens for the API: each acts for one user, with at most the role it was created with.

A token is random and shown once; the database keeps its SHA-256, so that a copy of the database
opens nothing.
"""

import argparse
import hashlib
import secrets
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import get_args

from sqlalchemy import select

from core.cases import audit
from core.cases.database import Database, existing, get_database
from core.cases.mappers import record_of
from core.cases.names import checked_name
from core.cases.orm import TokenRow
from core.cases.records import Role, User
from core.cases.users import LOCAL_USER, lower_role, require, user_of
from core.errors import InvalidEntryError, TokenError
from core.settings import Settings

TOKEN_DAYS = 365
LONGEST_LABEL = 100
_PREFIX = "leuko_"
"""Shows readers, and scanners for leaked secrets, what it is."""
_BYTES = 32
_USE_KEPT_FOR = timedelta(minutes=10)
"""The time of use is written at most this often: each write waits for the write lock."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its text."""

    id: int
    user: str
    label: str
    role: Role
    made: datetime
    """UTC, as all times here."""
    expires: datetime
    last_used: datetime | None
    """Within ten minutes."""
    revoked: datetime | None


def add_token(
    database: Database, admin: User, owner: User, label: str, days: int = TOKEN_DAYS
) -> tuple[Token, str]:
    """Create a token that acts for a user, at most in the role given here; return it and its text.

    The token is shown once. Raises NotAllowedError, InvalidEntryError.
    """
    require(admin, "admin")
    label = checked_name(label, "label")
    if not 0 < len(label) <= LONGEST_LABEL:
        raise InvalidEntryError(f"Say what the token is for, in up to {LONGEST_LABEL} characters.")
    if days < 1:
        raise InvalidEntryError("A token is valid for at least one day.")
    text = _PREFIX + secrets.token_urlsafe(_BYTES)
    now = datetime.now(UTC)
    with database.writing() as session:
        row = TokenRow(
            token_hash=_hash(text),
            user=owner.name,
            label=label,
            role=owner.role,
            made=now,
            expires=now + timedelta(days=days),
        )
        session.add(row)
        session.flush()
        audit.record(
            session, admin.name, "add token", token=row.id, owner=owner.name, role=row.role
        )
        return record_of(Token, row), text


def revoke_token(database: Database, admin: User, token_id: int) -> None:
    """Revoke a token. Raises NotAllowedError, NotFoundError."""
    require(admin, "admin")
    with database.writing() as session:
        row = existing(session, TokenRow, token_id, "token")
        row.revoked = row.revoked or datetime.now(UTC)
        audit.record(session, admin.name, "revoke token", token=token_id)


def tokens(database: Database) -> tuple[Token, ...]:
    """Return all tokens, expired and revoked ones too."""
    with database.reading() as session:
        rows = session.scalars(select(TokenRow).order_by(TokenRow.id))
        return tuple(record_of(Token, row) for row in rows)


def user_of_token(database: Database, text: str, settings: Settings | None = None) -> User:
    """Return whom a token acts for, in the lower of the user's role and the token's.

    Raises TokenError when it is unknown, expired or revoked, and UnknownPersonError.
    """
    now = datetime.now(UTC)
    with database.reading() as session:
        row = session.scalars(select(TokenRow).where(TokenRow.token_hash == _hash(text))).first()
    if row is None or row.revoked is not None or row.expires <= now:
        raise TokenError
    noted = row.last_used is not None and now - row.last_used <= _USE_KEPT_FOR
    if not noted and not database.read_only:
        with database.writing() as session:
            session.get_one(TokenRow, row.id).last_used = now
    user = user_of(database, row.user, settings)
    return User(user.name, lower_role(user.role, row.role))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe `python -m core token`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="create a token and print it once")
    add.add_argument("user", help="name of the user it acts for")
    add.add_argument("--label", required=True, help="what it is for")
    add.add_argument("--role", choices=get_args(Role), help="at most this role (that of the user)")
    add.add_argument(
        "--days", type=int, default=TOKEN_DAYS, help="days until it expires (%(default)s)"
    )
    actions.add_parser("list", help="list all tokens")
    revoke = actions.add_parser("revoke", help="make a token worthless")
    revoke.add_argument("id", type=int, help="number in the list")


def run(options: argparse.Namespace) -> int:
    """Add, list or revoke; who can run commands on the server is an administrator here."""
    database = get_database()
    operator = User(LOCAL_USER, "admin")
    if options.action == "add":
        user = user_of(database, options.user)
        owner = User(user.name, lower_role(user.role, options.role or user.role))
        token, text = add_token(database, operator, owner, options.label, options.days)
        sys.stderr.write(f"Token {token.id} of {token.user} ({token.role}), shown only now:\n")
        sys.stdout.write(f"{text}\n")
    elif options.action == "list":
        for token in tokens(database):
            sys.stdout.write(f"{_line(token)}\n")
    else:
        revoke_token(database, operator, options.id)
        sys.stderr.write(f"Token {options.id} is revoked.\n")
    return 0


def _line(token: Token) -> str:
    state = f"expires {token.expires:%Y-%m-%d}"
    if token.revoked:
        state = f"revoked {token.revoked:%Y-%m-%d}"
    used = f"last used {token.last_used:%Y-%m-%d}" if token.last_used else "never used"
    return "\t".join((str(token.id), token.user, token.role, token.label, state, used))
