"""Who is at the page, and what nobody gets to see."""

import pytest
from streamlit import user_info

from core.cases.database import get_database
from core.cases.patients import create_patient
from core.cases.people import person_of, set_role
from core.cases.records import PatientDetails
from core.errors import UnknownPersonError
from pages import case_parts
from tests.pages.app import go_to, open_app

CASE_PAGES = ("patients", "settings")


@pytest.fixture
def database():
    """Give a database with one patient and two people."""
    opened = get_database()
    admin = person_of(opened)
    create_patient(opened, admin, PatientDetails("SECRET-1"))
    set_role(opened, admin, "ana@lab", "reviewer")
    return opened


@pytest.mark.parametrize("page", CASE_PAGES)
def test_with_single_sign_on_a_visitor_signs_in_before_seeing_anything(database, page, monkeypatch):
    monkeypatch.setattr(user_info, "get_secrets_auth_section", lambda: {"client_id": "x"})
    app = open_app()
    assert not any(s.value == "Latest cases" for s in app.subheader)
    go_to(app, page)
    assert [b.label for b in app.button] == ["Sign in"]
    assert not app.dataframe
    assert not any("SECRET" in link.label for link in app.get("page_link"))


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ({}, "local"),
        ({"is_logged_in": True, "email": "ana@lab", "sub": "7"}, "ana@lab"),
        ({"is_logged_in": True, "email": "ana@lab", "email_verified": True}, "ana@lab"),
    ],
)
def test_a_person_is_known_by_the_signed_in_address(database, monkeypatch, user, name):
    monkeypatch.setattr(case_parts.st, "user", user)
    assert case_parts.current_person(database).name == name


@pytest.mark.parametrize(
    ("user", "sentence"),
    [
        (
            {"is_logged_in": True, "email": "ana@lab", "email_verified": False, "sub": "7"},
            "7 has no account",
        ),
        ({"is_logged_in": False}, "not signed in"),
    ],
)
def test_nobody_passes_by_an_unchecked_address_or_without_signing_in(
    database, monkeypatch, user, sentence
):
    monkeypatch.setattr(case_parts.st, "user", user)
    with pytest.raises(UnknownPersonError, match=sentence):
        case_parts.current_person(database)
