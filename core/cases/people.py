"""Who uses the app and what they may do.

Roles include one another: a viewer reads and comments, a reviewer also adds, labels and signs, an
admin also deletes patients and gives roles. Functions that change anything take a `Person` and
check the role; ask `person_of` anew for every visit, so that a changed role holds.
"""

from datetime import UTC, datetime
from typing import get_args

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.cases import audit
from core.cases.database import Database
from core.cases.names import checked_name
from core.cases.records import Person, Role
from core.cases.tables import PersonRow
from core.errors import InvalidEntryError, NotAllowedError, UnknownPersonError
from core.settings import Settings, get_settings

LOCAL_PERSON = "local"
"""Who everybody is without single sign-on."""
_RANKS: tuple[Role, ...] = get_args(Role)


def require(person: Person, role: Role) -> None:
    """Raise NotAllowedError unless the person has this role or a higher one."""
    if _RANKS.index(person.role) < _RANKS.index(role):
        raise NotAllowedError(person.name, person.role, role)


def lower_role(one: Role, other: Role) -> Role:
    """Return the role that allows less."""
    return min(one, other, key=_RANKS.index)


def person_of(
    database: Database, name: str = LOCAL_PERSON, settings: Settings | None = None
) -> Person:
    """Return the person who signed in under a name, adding newcomers where the settings allow it.

    Raises UnknownPersonError for a newcomer who is not let in.
    """
    with database.reading() as session:
        known = session.get(PersonRow, name)
        if known is not None:
            return _person(known)
    settings = settings or get_settings()
    if name not in settings.admins and not settings.admit_newcomers:
        raise UnknownPersonError(name)
    role: Role = "admin" if name in settings.admins else "viewer"
    if database.read_only:
        return Person(name, role)
    with database.writing() as session:
        return _person(session.get(PersonRow, name) or _add(session, name, role, by=name))


def set_role(database: Database, admin: Person, name: str, role: Role) -> Person:
    """Give a person a role, adding them when they are new.

    Raises NotAllowedError, and InvalidEntryError when no admin would be left.
    """
    require(admin, "admin")
    name = checked_name(name, "name")
    if not name:
        raise InvalidEntryError("A person needs a name.")
    with database.writing() as session:
        row = session.get(PersonRow, name)
        if row is None:
            return _person(_add(session, name, role, by=admin.name))
        if row.role == "admin" and role != "admin" and _admins(session) == 1:
            raise InvalidEntryError(f"{name} is the only admin. Make somebody else admin first.")
        row.role = role
        audit.record(session, admin.name, "set role", name=name, role=role)
        return _person(row)


def people(database: Database) -> tuple[Person, ...]:
    """Return everybody, by name."""
    with database.reading() as session:
        return tuple(map(_person, session.scalars(select(PersonRow).order_by(PersonRow.name))))


def _add(session: Session, name: str, role: Role, by: str) -> PersonRow:
    row = PersonRow(name=name, role=role, since=datetime.now(UTC))
    session.add(row)
    audit.record(session, by, "add person", name=name, role=role)
    return row


def _admins(session: Session) -> int:
    return (
        session.scalar(select(func.count()).select_from(PersonRow).where(PersonRow.role == "admin"))
        or 0
    )


def _person(row: PersonRow) -> Person:
    return Person(row.name, row.role)
