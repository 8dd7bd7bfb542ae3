"""Who uses the app and what they may do.

With single sign-on a user is whom the provider's issuer and subject name, nothing else: e-mail
addresses change hands, and some providers let anybody enter any. An address counts when the
provider says it is verified, and once: it finds the account that was added under it, which is bound
to issuer and subject from then on.

Roles include one another: a viewer reads and comments, a reviewer also adds, labels and signs, an
admin also deletes patients and gives roles. Functions that change anything take a `User` and
check the role; ask `user_of` anew for every visit, so that a changed role holds.
"""

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, get_args

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from core.cases import audit
from core.cases.database import Database, count, existing, get_database
from core.cases.learners import delete_learners
from core.cases.mappers import record_of
from core.cases.names import checked_name
from core.cases.orm import (
    DraftRow,
    EndedSessionRow,
    LearnerRow,
    TokenRow,
    UnfinishedTextRow,
    UserRow,
)
from core.cases.records import Role, User
from core.errors import (
    InvalidEntryError,
    NotAllowedError,
    NotFoundError,
    SignInError,
    UnknownPersonError,
)
from core.settings import Settings, get_settings

LOCAL_USER = "local"
"""The user of every session without single sign-on."""
_ENDED_KEPT_FOR = timedelta(days=32)
"""Longer than any sign-in holds: Streamlit's cookie expires after 31 days."""
_RANKS: tuple[Role, ...] = get_args(Role)


def require(user: User, role: Role) -> None:
    """Raise NotAllowedError unless the user has this role or a higher one."""
    if _RANKS.index(user.role) < _RANKS.index(role):
        raise NotAllowedError(user.name, user.role, role)


def folder_of(name: str) -> str:
    """Return the name of a user's folder of uploaded slides; it says nothing of the user."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def lower_role(one: Role, other: Role) -> Role:
    """Return the role that allows less."""
    return min(one, other, key=_RANKS.index)


def user_of(database: Database, name: str = LOCAL_USER, settings: Settings | None = None) -> User:
    """Return the user who signed in under a name, added now where the settings allow sign-ups.

    Raises UnknownPersonError for somebody who may not sign up.
    """
    with database.reading() as session:
        known = session.get(UserRow, name)
        if known is not None:
            return _user(known)
    settings = settings or get_settings()
    if name not in settings.admins and not settings.admit_newcomers:
        raise UnknownPersonError(name)
    role: Role = "admin" if name in settings.admins else "viewer"
    if database.read_only:
        return User(name, role)
    with database.writing() as session:
        return _user(session.get(UserRow, name) or _add(session, name, role, by=name))


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a provider signed in."""

    issuer: str
    subject: str
    email: str | None
    """Only when the provider verified it."""
    session: str
    """Identifies this sign-in."""
    expires: datetime

    @property
    def key(self) -> str:
        """Issuer and subject as a name: `https://provider.example#1234`."""
        return f"{self.issuer}#{self.subject}"

    @property
    def names(self) -> tuple[str, ...]:
        """Names that the account may have been added under, the first to be shown."""
        return (self.key,) if self.email is None else (self.email, self.key)


def identity_of(claims: Mapping[str, Any], longest: timedelta) -> Identity:
    """Return whom the claims of an ID token name; the sign-in holds `longest` from its issue.

    Raises SignInError for claims without issuer, subject or time of issue, and when it is over.
    """
    issuer, subject, issued = (claims.get(name) for name in ("iss", "sub", "iat"))
    complete = all(isinstance(text, str) and text for text in (issuer, subject))
    if claims.get("is_logged_in") is not True or not complete or type(issued) is not int:
        raise SignInError
    expires = datetime.fromtimestamp(issued, UTC) + longest
    if expires <= datetime.now(UTC):
        raise SignInError("Your session is over.")
    email = claims.get("email")
    is_address = isinstance(email, str) and "@" in email and "://" not in email
    verified = is_address and claims.get("email_verified") is True
    told = json.dumps([issuer, subject, issued, claims.get("nonce")])
    return Identity(
        issuer=str(issuer),
        subject=str(subject),
        email=str(email) if verified else None,
        session=hashlib.sha256(told.encode()).hexdigest(),
        expires=expires,
    )


def user_of_identity(
    database: Database, identity: Identity, settings: Settings | None = None
) -> User:
    """Return whom a sign-in belongs to, adding users as `user_of` does.

    Raises SignInError when it was ended, UnknownPersonError for somebody who may not sign up.
    """
    settings = settings or get_settings()
    with database.reading() as session:
        if session.get(EndedSessionRow, identity.session) is not None:
            raise SignInError("You signed out.")
        bound = _bound(session, identity.issuer, identity.subject)
        if bound is not None:
            return _user(bound)
        free = _free_names(session, identity)
        added = _first_added(session, free)
        is_admin = not settings.admins.isdisjoint(free)
        if not free or not (added or is_admin or settings.admit_newcomers):
            raise UnknownPersonError(identity.names[0])
        role: Role = "admin" if is_admin else "viewer"
        if database.read_only:
            return _user(added) if added else User(free[0], role)
    with database.writing() as session:
        bound = _bound(session, identity.issuer, identity.subject)
        if bound is not None:  # by another tab, just now
            return _user(bound)
        if _free_names(session, identity) != free:
            raise UnknownPersonError(identity.names[0])
        row = _first_added(session, free) or _add(session, free[0], role, by=free[0])
        _bind(session, row, identity.issuer, identity.subject, by=row.name)
        return _user(row)


def end_session(database: Database, identity: Identity) -> None:
    """End a sign-in for good, wherever else it is used."""
    now = datetime.now(UTC)
    with database.writing() as session:
        session.execute(delete(EndedSessionRow).where(EndedSessionRow.at < now - _ENDED_KEPT_FOR))
        session.merge(EndedSessionRow(key=identity.session, at=now))


def bind(database: Database, admin: User, name: str, key: str) -> None:
    """Bind a user to issuer and subject, as `Identity.key` writes them.

    Raises NotAllowedError, NotFoundError, and InvalidEntryError for a key that is none or that
    another user is bound to.
    """
    require(admin, "admin")
    issuer, _, subject = key.partition("#")
    if not (issuer and subject):
        raise InvalidEntryError("Name the sign-in as issuer#subject, such as https://id.example#7.")
    with database.writing() as session:
        row = existing(session, UserRow, name, "user")
        if name == LOCAL_USER:
            raise NotFoundError("user")
        holder = _bound(session, issuer, subject)
        if holder is not None and holder.name != name:
            raise InvalidEntryError(f"{holder.name} is bound to this sign-in. Release them first.")
        _bind(session, row, issuer, subject, by=admin.name)


def release(database: Database, admin: User, name: str) -> None:
    """Unbind a user: the next sign-in with their verified address is theirs.

    Raises NotAllowedError, NotFoundError.
    """
    require(admin, "admin")
    with database.writing() as session:
        row = existing(session, UserRow, name, "user")
        row.issuer = row.subject = None
        audit.record(session, admin.name, "release user", name=name)


def remove(database: Database, admin: User, name: str, settings: Settings | None = None) -> int:
    """Remove a user with their tokens and return how many those were.

    What they did stays, but for what only they have seen: their quizzes, uploaded slides, and
    comments that they did not add yet.

    Raises NotAllowedError, NotFoundError, and InvalidEntryError for the only admin and for a name
    that the settings would add again.
    """
    require(admin, "admin")
    settings = settings or get_settings()
    with database.writing() as session:
        row = existing(session, UserRow, name, "user")
        if not settings.admins.isdisjoint({name, f"{row.issuer}#{row.subject}"}):
            raise InvalidEntryError(
                f"LEUKOSCOPE_ADMINS names {name}, so the next sign-in would add them again. Take "
                "the name out of the setting, start the server again, then remove them."
            )
        _keep_an_admin(session, row)
        of_user = TokenRow.user == name
        tokens = count(session, select(TokenRow.id).where(of_user))
        session.execute(delete(TokenRow).where(of_user))
        delete_learners(session, LearnerRow.user == name)
        # Another user may get the name: drafts open for nobody, and are deleted in their time;
        # conclusions that they did not sign stay for other reviewers.
        session.execute(update(DraftRow).where(DraftRow.owner == name).values(owner=None))
        written = UnfinishedTextRow.author == name
        session.execute(
            delete(UnfinishedTextRow).where(written, UnfinishedTextRow.kind == "comment")
        )
        session.execute(update(UnfinishedTextRow).where(written).values(author=None))
        session.delete(row)
        audit.record(session, admin.name, "remove user", name=name, tokens=tokens)
    shutil.rmtree(settings.slide_uploads / folder_of(name), ignore_errors=True)
    database.forget()
    return tokens


def set_role(database: Database, admin: User, name: str, role: Role) -> User:
    """Give a user a role, adding them when they are new.

    Raises NotAllowedError, and InvalidEntryError when no admin would be left.
    """
    require(admin, "admin")
    name = checked_name(name, "name")
    if not name:
        raise InvalidEntryError("A user needs a name.")
    with database.writing() as session:
        row = session.get(UserRow, name)
        if row is None:
            return _user(_add(session, name, role, by=admin.name))
        if role != "admin":
            _keep_an_admin(session, row)
        row.role = role
        audit.record(session, admin.name, "set role", name=name, role=role)
        return _user(row)


def users(database: Database) -> tuple[User, ...]:
    """Return all users by name."""
    with database.reading() as session:
        return tuple(map(_user, session.scalars(select(UserRow).order_by(UserRow.name))))


def _bound(session: Session, issuer: str, subject: str) -> UserRow | None:
    return session.scalars(
        select(UserRow).where(UserRow.issuer == issuer, UserRow.subject == subject)
    ).first()


def _free_names(session: Session, identity: Identity) -> list[str]:
    """Return the names of a sign-in whose accounts no other sign-in is bound to."""
    rows = {name: session.get(UserRow, name) for name in identity.names}
    return [name for name, row in rows.items() if row is None or row.subject is None]


def _first_added(session: Session, names: Iterable[str]) -> UserRow | None:
    return next(filter(None, (session.get(UserRow, name) for name in names)), None)


def _bind(session: Session, row: UserRow, issuer: str, subject: str, by: str) -> None:
    row.issuer, row.subject = issuer, subject
    audit.record(session, by, "bind user", name=row.name, issuer=issuer, subject=subject)


def _add(session: Session, name: str, role: Role, by: str) -> UserRow:
    row = UserRow(name=name, role=role, since=datetime.now(UTC))
    session.add(row)
    audit.record(session, by, "add person", name=name, role=role)
    return row


def _keep_an_admin(session: Session, row: UserRow) -> None:
    """Raise InvalidEntryError when a user is the only admin."""
    admins = select(UserRow.name).where(UserRow.role == "admin")
    if row.role == "admin" and count(session, admins) == 1:
        raise InvalidEntryError(f"{row.name} is the only admin. Make somebody else admin first.")


_user = partial(record_of, User)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe `python -m core users`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="list all users with their roles and sign-ins")
    for action, does in (
        ("bind", "bind a user to a sign-in"),
        ("release", "unbind a user from their sign-in"),
        ("remove", "remove a user and their tokens"),
    ):
        command = actions.add_parser(action, help=does)
        command.add_argument("name", help="as the user is named here")
        if action == "bind":
            command.add_argument(
                "sign_in", metavar="ISSUER#SUBJECT", help="whom the provider names"
            )


def run(options: argparse.Namespace) -> int:
    """Do what was asked; who can run commands on the server is an administrator here."""
    database = get_database()
    operator = User(LOCAL_USER, "admin")
    if options.action == "bind":
        bind(database, operator, options.name, options.sign_in)
        sys.stderr.write(f"{options.name} signs in as {options.sign_in}.\n")
    elif options.action == "release":
        release(database, operator, options.name)
        sys.stderr.write(f"The next sign-in with the address {options.name} is theirs.\n")
    elif options.action == "remove":
        tokens = remove(database, operator, options.name)
        sys.stderr.write(f"{options.name} and {tokens} tokens were removed.\n")
    else:
        with database.reading() as session:
            for row in session.scalars(select(UserRow).order_by(UserRow.name)):
                sign_in = f"{row.issuer}#{row.subject}" if row.subject else "not bound"
                sys.stdout.write(f"{row.name}\t{row.role}\t{sign_in}\n")
    return 0
