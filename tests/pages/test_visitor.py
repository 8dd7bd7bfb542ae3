"""Who is at the page, and what nobody gets to see."""

import ast
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import streamlit as st

from core import access
from core.access import VISITOR_COOKIE, Visitors, new_visitor
from core.cases.database import get_database
from core.cases.listing import search_patients
from core.cases.patients import create_patient
from core.cases.records import PatientDetails
from core.cases.sharing import share
from core.cases.users import end_session, identity_of, set_role, user_of, user_of_identity
from core.errors import SignInError
from core.settings import PROJECT_ROOT, get_settings
from core.slides.folders import SlideFolders
from core.teaching.tours import SlideStep, Tour
from tests.pages.app import component_data, go_to, open_app
from tests.slides import made
from ui.components import visitor

PAGES = sorted(script.stem for script in (PROJECT_ROOT / "pages").glob("*.py"))
OPEN_PAGES = {
    "about": "Models",
    "atlas": "Maturation of the granulocytes",
    "attributes": "How often, by type",
    "quiz": "Learn to name cells",
}
"""Pages about the program and about cells, with a heading of each."""
QUIET = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
"""Statements of a page that show nothing."""


def claims(**said):
    return {
        "is_logged_in": True,
        "iss": "https://id.example",
        "sub": "7",
        "iat": int(datetime.now(UTC).timestamp()),
        "email": "ana@lab",
        "email_verified": True,
        **said,
    }


@pytest.fixture
def database():
    """Give a database with one patient and two users."""
    opened = get_database()
    admin = user_of(opened)
    create_patient(opened, admin, PatientDetails("SECRET-1"))
    set_role(opened, admin, "ana@lab", "reviewer")
    return opened


@pytest.mark.parametrize("page", PAGES)
def test_every_page_begins_with_its_header_which_is_the_gate(page):
    script = ast.parse((PROJECT_ROOT / "pages" / f"{page}.py").read_text())
    _docstring, *shown = [
        ast.unparse(node)
        for node in script.body
        if not isinstance(node, QUIET) or "compact_header(" in ast.unparse(node)
    ]
    if shown[0].startswith("if "):
        _, first, *others, last = (line.strip() for line in shown[0].splitlines())
        assert first.startswith("header(")
        if others == ["else:"]:  # one header or the other
            assert last.startswith("row = compact_header(")
            return
        assert last == "st.stop()"  # another page at the same address, which ends there
        shown.pop(0)
    assert shown[0].startswith(("header(", "bar = compact_header("))


@pytest.mark.parametrize("page", [page for page in PAGES if page not in OPEN_PAGES])
def test_every_page_asks_to_sign_in(database, sign_in, page):
    app = open_app(page)
    assert [b.label for b in app.button] == ["Sign in"]
    assert not app.file_uploader
    assert not app.dataframe
    assert not any("SECRET" in link.label for link in app.get("page_link"))


@pytest.mark.parametrize("page", OPEN_PAGES)
def test_a_page_without_patients_is_open(sign_in, page):
    app = open_app(page)
    assert any(s.value == OPEN_PAGES[page] for s in app.header)
    # The first asks for an administrator when it is pressed, the second for a name only.
    assert {b.label for b in app.button} <= {"Get this set", "Go in"}


def test_slides_of_a_tour_are_shown_to_users_alone(database, sign_in, tmp_path, monkeypatch):
    made.svs(made.a_slide(), tmp_path / "0042.svs")
    monkeypatch.setenv("LEUKOSCOPE_SLIDE_FOLDERS", json.dumps([str(tmp_path)]))
    get_settings.cache_clear()
    (slide,) = SlideFolders([tmp_path]).slides().values()
    step = SlideStep(slide=slide.id, version=slide.version, x=700, y=500, zoom=0.5)
    app = open_app("lecture", tour="granulocytes")  # which needs no account
    app.session_state["my_tour"] = Tour(title="Mine", steps=(step,))
    go_to(app, "lecture", tour="mine")
    shown = component_data(app, "own")
    assert shown["field"] is None
    assert "Sign in" in shown["problem"]
    sign_in(**claims())
    go_to(app, "lecture", tour="mine")
    assert component_data(app, "own")["field"]["width"] == 800


@pytest.mark.parametrize("page", ["atlas", "attributes"])
def test_pictures_of_an_open_page_need_no_sign_in(sign_in, page):
    pictures = [url for image in open_app(page).get("image") for url in image.value]
    assert pictures
    assert all(url.startswith("data:image/jpeg") for url in pictures)


def test_a_user_with_an_account_uploads_and_signs_out(database, sign_in, monkeypatch):
    said = claims()
    sign_in(**said)
    left = []
    monkeypatch.setattr(st, "logout", lambda: left.append("browser"))
    app = open_app("wbc_count")
    assert app.file_uploader
    assert any("ana@lab" in c.value for c in app.sidebar.caption)
    identity = identity_of(said, timedelta(hours=1))
    next(b for b in app.button if b.label == "Sign out").click()
    app.run()
    assert left == ["browser"]
    assert [b.label for b in app.button] == ["Sign in"]  # as any other tab of this sign-in
    with pytest.raises(SignInError):
        user_of_identity(database, identity)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"email_verified": False}, "has no account here"),
        ({"email_verified": "true"}, "has no account here"),
        ({"email": "eve@lab"}, "has no account here"),
        ({"iat": int((datetime.now(UTC) - timedelta(hours=13)).timestamp())}, "session is over"),
        ({"iss": None}, "not signed in"),
    ],
)
def test_others_get_no_further(database, sign_in, said, sentence):
    sign_in(**claims(**said))
    for page in ("wbc_count", "patients"):
        app = open_app(page)
        assert sentence in [*app.error, *app.info][0].value
        assert not app.file_uploader


def test_a_session_ends_while_its_page_is_open(database, sign_in):
    sign_in(**claims())
    app = open_app("patients")
    assert any("SECRET" in link.label for link in app.get("page_link"))
    sign_in(**claims(iat=int((datetime.now(UTC) - timedelta(hours=13)).timestamp())))
    app.run()
    assert not any("SECRET" in link.label for link in app.get("page_link"))
    assert [b.label for b in app.button] == ["Sign in"]


@pytest.mark.parametrize("change", ["role", "sign-out", "time"])
def test_a_button_of_a_page_that_stayed_open_does_nothing(database, sign_in, change):
    said = claims()
    sign_in(**said)
    app = open_app("patients")
    app.text_input(key="add_identifier").input("P-2")
    if change == "role":
        set_role(database, user_of(database), "ana@lab", "viewer")
    elif change == "sign-out":
        end_session(database, identity_of(said, timedelta(hours=1)))
    else:
        sign_in(**claims(iat=int((datetime.now(UTC) - timedelta(hours=13)).timestamp())))
    next(b for b in app.button if b.label == "Add").click()
    app.run()
    assert search_patients(database, "P-2").total == 0


@pytest.mark.parametrize(("token", "shown"), [(True, True), (False, False)])
def test_a_link_opens_its_case_without_an_account_and_nothing_else(
    database, sample, sign_in, token, shown
):
    admin = user_of(database)
    link = share(database, admin, sample.id)[1] if token else "wrong"
    app = open_app("review", link=link)
    assert any("by a link" in i.value for i in app.info) == shown
    assert not any(b.label == "Sign in" for b in app.button)
    assert [b.label for b in open_app("patients", link=link).button] == ["Sign in"]


def test_the_browser_of_a_user_is_admitted_to_files_and_no_other(database, sign_in, monkeypatch):
    known = Visitors(guarded=True)
    monkeypatch.setattr(visitor, "visitors", known)
    browser = new_visitor()
    monkeypatch.setattr(visitor, "_visitor", lambda: browser)
    open_app("wbc_count")
    assert not known.may(browser, "fetch")
    sign_in(**claims())
    open_app("wbc_count")
    assert known.may(browser, "send")
    assert not known.may(new_visitor(), "fetch")


def test_a_banner_says_that_everybody_may_come_in(monkeypatch):
    monkeypatch.setenv("LEUKOSCOPE_OPEN_ACCESS", "true")
    for page in PAGES:
        assert any("Open access" in w.value for w in open_app(page).warning), page
    monkeypatch.delenv("LEUKOSCOPE_OPEN_ACCESS")
    access.get_access.cache_clear()
    visitor.get_access.cache_clear()


@pytest.mark.parametrize(
    ("headers", "address", "served"),
    [
        ({"Host": "localhost:8501", "Origin": "http://localhost:8501"}, None, True),
        ({"Host": "127.0.0.1:8501"}, None, True),
        ({"Host": "localhost:8501", "Origin": "http://localhost:3000"}, None, False),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, None, False),
        ({"Host": "localhost:8501"}, "10.0.0.7", False),
    ],
)
def test_without_a_guard_pages_serve_this_machine_only(monkeypatch, headers, address, served):
    """As `streamlit run streamlit_app.py` serves them."""
    context = SimpleNamespace(headers=headers, ip_address=address, cookies={}, url=None)
    monkeypatch.setattr(visitor.st, "context", context)
    monkeypatch.setattr(access.visitors, "guarded", False)
    app = open_app("about")
    assert bool(app.header) == served
    assert any("python -m core serve" in e.value for e in app.error) != served


def test_without_a_guard_nobody_signs_in(sign_in, database, monkeypatch):
    sign_in(**claims())
    context = SimpleNamespace(
        headers={"Host": "localhost"}, ip_address=None, cookies={VISITOR_COOKIE: "x"}, url=None
    )
    monkeypatch.setattr(visitor.st, "context", context)
    monkeypatch.setattr(access.visitors, "guarded", False)
    assert any("python -m core serve" in e.value for e in open_app("patients").error)
