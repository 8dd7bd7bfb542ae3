from concurrent.futures import ThreadPoolExecutor

import pytest

from core.cases.people import people, person_of, set_role
from core.cases.records import Person
from core.errors import InvalidEntryError, NotAllowedError, UnknownPersonError
from tests.cases.made import REVIEWER


def test_without_sign_on_there_is_one_admin(database, settings):
    assert person_of(database, settings=settings) == Person("local", "admin")
    assert people(database) == (Person("local", "admin"),)


def test_newcomers_are_viewers_where_allowed(database, settings):
    with pytest.raises(UnknownPersonError, match="eve@lab has no account"):
        person_of(database, "eve@lab", settings)
    settings = settings.model_copy(update={"admit_newcomers": True})
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: person_of(database, "eve@lab", settings), range(4)))
    assert found == {Person("eve@lab", "viewer")}


def test_admins_give_roles(database, settings):
    admin = person_of(database, settings=settings)
    set_role(database, admin, "ana@lab", "viewer")
    set_role(database, admin, "ana@lab", "reviewer")
    assert person_of(database, "ana@lab", settings) == Person("ana@lab", "reviewer")
    with pytest.raises(NotAllowedError, match="needs the role admin"):
        set_role(database, REVIEWER, REVIEWER.name, "admin")
    with pytest.raises(InvalidEntryError):
        set_role(database, admin, " ", "viewer")


def test_one_admin_stays(database, settings):
    admin = person_of(database, settings=settings)
    with pytest.raises(InvalidEntryError, match="only admin"):
        set_role(database, admin, admin.name, "viewer")
    set_role(database, admin, "ada@lab", "admin")
    assert set_role(database, admin, admin.name, "viewer").role == "viewer"
