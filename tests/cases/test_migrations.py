"""Stores of earlier versions are brought up to date with what is in them."""

from datetime import UTC, datetime

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from core.cases import audit
from core.cases import database as module
from core.cases.audit import latest, verify
from core.cases.database import open_database
from core.cases.listing import search_patients
from core.cases.patients import find_patient, patients_alike

TYPED = {
    1: ("P-1", None),
    2: ("Mu\u0308  7", "Zoe\u0308"),  # alone in its form: normalised
    3: ("P-1\u202e", None),  # looks like the first: left to a person
    4: ("P-4\n", "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627"),
}


def upgrade_to(connection, revision):
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(module._MIGRATIONS))
    command.upgrade(config, revision)


def test_identifiers_are_normalised_and_those_that_look_alike_listed(settings, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(module, "_migrate", lambda connection: upgrade_to(connection, "0006"))
        old = open_database(settings)
    with old.writing() as session:
        for key, (identifier, name) in TYPED.items():
            session.execute(
                text(
                    "INSERT INTO patients (id, identifier, name, search, changed_by, changed_at)"
                    " VALUES (:key, :identifier, :name, :search, 'ana', :at)"
                ),
                {
                    "key": key,
                    "identifier": identifier,
                    "name": name,
                    "search": f"{identifier}\n{name or ''}".casefold(),
                    "at": datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None),
                },
            )
        audit.record(session, "ana", "create patient", patient_id=1)
    old.engine.dispose()

    database = open_database(settings)
    found = {line.patient.id: line.patient for line in search_patients(database).items}
    assert {key: (p.identifier, p.name) for key, p in found.items()} == {
        1: ("P-1", None),
        2: ("M\u00fc 7", "Zo\u00eb"),
        3: ("P-1\u202e", None),
        4: ("P-4", TYPED[4][1]),
    }
    assert find_patient(database, "mu\u0308 7".title()).id == 2
    assert search_patients(database, "ZO\u00cb").items[0].patient.id == 2
    assert patients_alike(database) == ((found[1], found[3]),)
    told = {(entry.action, entry.patient_id) for entry in latest(database).items}
    assert told == {
        ("create patient", 1),
        ("normalise patient", 2),
        ("normalise patient", 4),
        ("patients look alike", 1),
        ("patients look alike", 3),
    }
    assert verify(database).broken is None
    database.engine.dispose()
