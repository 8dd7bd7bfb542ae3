"""The page for admins: roles, ranges, settings in force, the audit trail."""

from datetime import date

import pytest
from sqlalchemy import text
from streamlit.testing.v1 import AppTest

from core.cases.database import get_database
from core.cases.patients import create_patient
from core.cases.range_tables import ranges_table, save_ranges
from core.cases.records import PatientDetails, SampleDetails
from core.cases.samples import load_case, save_sample
from core.cases.users import user_of, users
from core.domain.reference_ranges import read_table
from core.evaluation.report import MODEL_TITLES
from core.settings import Settings, get_settings
from tests.pages.app import button, checked, open_app


def tables(app: AppTest) -> dict[str, object]:
    """Tables by the name of their first column."""
    return {frame.value.columns[0]: frame.value for frame in app.dataframe}


def give_role(app: AppTest, name: str, role: str) -> AppTest:
    app.text_input(key="role_name").set_value(name)
    app.get("button_group")[0].set_value(role)
    return checked(button(app, "Give role").click().run())


def test_an_admin_adds_people_but_cannot_be_the_last_to_leave():
    app = give_role(open_app("settings"), "ana@lab", "reviewer")
    assert [(p.name, p.role) for p in users(get_database())] == [
        ("ana@lab", "reviewer"),
        ("local", "admin"),
    ]
    assert any("is now reviewer" in s.value for s in app.success)
    app = give_role(open_app("settings"), "local", "viewer")
    assert any("only admin" in e.value for e in app.error)
    assert user_of(get_database()).role == "admin"


def test_patients_that_look_alike_are_listed_and_merged_on_request():
    database = get_database()
    user = user_of(database)
    first, second = (create_patient(database, user, PatientDetails(name)) for name in "AB")
    sample = save_sample(database, user, second.id, SampleDetails(date(2026, 3, 1)))
    assert not any("look alike" in s.value for s in open_app("settings").header)
    with database.writing() as session:
        session.execute(text("UPDATE patients SET identifier = 'A\u202e' WHERE identifier = 'B'"))
    app = open_app("settings")
    shown = app.dataframe[1].value
    assert shown["Identifier"].tolist() == ["A", "A(U+202E)"]
    assert app.button(key=f"merge_{second.id}").disabled
    app.checkbox(key=f"merge_{second.id}_sure").check().run()
    checked(app.button(key=f"merge_{second.id}").click().run())
    assert not any("look alike" in s.value for s in app.header)
    assert load_case(database, sample.id).patient == first


@pytest.mark.parametrize("role", ["viewer", "reviewer"])
def test_others_see_nothing_but_a_sentence(role):
    database = get_database()
    user_of(database)
    with database.writing() as session:
        session.execute(text("UPDATE people SET role = :role"), {"role": role})
    app = open_app("settings")
    assert any("needs the role admin" in e.value for e in app.error)
    assert not app.dataframe
    assert not app.button


def test_ranges_and_settings_are_shown_without_secrets(monkeypatch):
    secret = "postgresql://user:hidden@nowhere/cases"  # noqa: S105 - made up
    app = open_app("settings")
    shown = tables(app)
    assert len(shown["laboratory"]) == len(read_table(get_settings().ranges))
    assert any("In force: **Adults**" in m.value for m in app.markdown)
    assert app.button(key="ranges_restore").disabled
    assert shown["laboratory"]["source"].str.len().min() > 0
    assert len(shown["Setting"]) == len(Settings.model_fields)
    assert shown["Setting"]["Meaning"].notna().all()
    assert set(MODEL_TITLES.values()) == set(shown["Model"]["Model"])
    assert shown["Model"]["Meaning"].str.len().min() > 0
    monkeypatch.setattr(get_settings(), "database_url", Settings(database_url=secret).database_url)
    values = tables(checked(app.run()))["Setting"]["Value"]
    assert not values.str.contains("hidden").any()


def test_one_click_goes_back_to_the_shipped_ranges():
    database = get_database()
    lines = read_table(get_settings().ranges)
    ours = [line.model_copy(update={"laboratory": "Ours"}) for line in lines[:3]]
    save_ranges(database, user_of(database), 0, ours)
    app = open_app("settings")
    assert any("**Ours**, from table 1, edited here" in m.value for m in app.markdown)
    checked(app.button(key="ranges_restore").click().run())
    assert any("**Adults**, from the file" in m.value for m in app.markdown)
    assert list(ranges_table(database).lines) == lines


def test_a_wrong_table_of_ranges_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("LEUKOSCOPE_RANGES", str(tmp_path / "none.csv"))
    get_settings.cache_clear()
    app = open_app("settings")
    assert any("is missing" in e.value for e in app.error)
    assert any(s.value == "Audit trail" for s in app.header)


def test_the_trail_is_shown_and_a_changed_entry_is_found():
    database = get_database()
    user = user_of(database)
    for number in range(60):
        create_patient(database, user, PatientDetails(f"P-{number}"))
    app = open_app("settings")
    assert list(tables(app)["No."]["No."])[:2] == [61, 60]
    app.get("pagination")[0].set_value(2).run()
    assert list(tables(app)["No."]["No."])[-1] == 1
    checked(button(app, "Verify the audit trail").click().run())
    assert any("intact: 61 entries" in s.value for s in app.success)
    with database.writing() as session:
        session.execute(text("DROP TRIGGER audit_no_update"))
        session.execute(text("UPDATE audit SET person = 'nobody' WHERE id = 7"))
    checked(button(app, "Verify the audit trail").click().run())
    assert any("broken at entry 7" in e.value for e in app.error)
