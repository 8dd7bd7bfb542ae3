"""Stores of earlier versions are brought up to date with what is in them."""

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import MetaData, delete, insert, select, text

from core.cases import audit
from core.cases import database as module
from core.cases.audit import latest, verify
from core.cases.database import migrate, open_database
from core.cases.listing import search_patients
from core.cases.mappers import cell_of
from core.cases.orm import CellRow, FieldRow
from core.cases.patients import find_patient, patients_alike
from core.cases.reviews import reviews_of
from core.errors import ChangeRefusedError

TYPED = {
    1: ("P-1", None),
    2: ("Mu\u0308  7", "Zoe\u0308"),  # alone in its form: normalised
    3: ("P-1\u202e", None),  # looks like the first: left to a person
    4: ("P-4\n", "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627"),
}


def test_identifiers_are_normalised_and_those_that_look_alike_listed(settings, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(module, "migrate", lambda connection: migrate(connection, "0006"))
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


def old_field(key):
    return {
        "id": key,
        "sample_id": 1,
        "picture": "p",
        "sha256": f"s{key}",
        "file": "a.tif",
        "width": 9,
        "height": 8,
        "properties": {},
        "seconds": 1.0,
        "models": {},
        "other_cells": [],
    }


def test_fields_and_their_cells_stay_when_pages_come(settings, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(module, "migrate", lambda connection: migrate(connection, "0007"))
        old = open_database(settings)
    changed = {"changed_by": "ana", "changed_at": datetime(2026, 1, 1)}  # noqa: DTZ001
    with old.writing() as session:
        tables = MetaData()
        tables.reflect(session.connection())
        for name, row in (
            ("patients", {"id": 1, "identifier": "P", "search": "p", **changed}),
            (
                "samples",
                {"id": 1, "patient_id": 1, "taken": date(2026, 1, 1), "material": "other"}
                | {"state": "draft", "version": 1, **changed},
            ),
            ("fields", old_field(3)),
            ("fields", old_field(5)),
            (
                "cells",
                {"id": 7, "field_id": 3, "number": 1, "origin": "model", "closed": False}
                | dict.fromkeys(("x", "y", "width", "height", "confidence"), 1.0)
                | {"detection_score": 1.0, "status": "classified"},
            ),
        ):
            session.execute(tables.tables[name].insert().values(row))
        session.execute(text("DELETE FROM fields WHERE id = 5"))
    old.engine.dispose()

    database = open_database(settings)
    with database.writing() as session:
        (stored,) = session.scalars(select(FieldRow))
        assert (stored.id, stored.page, stored.file, stored.width) == (3, 1, "a.tif", 9)
        assert session.scalars(select(CellRow.field_id)).all() == [3]
        if database.engine.dialect.name == "sqlite":  # ids are not given again
            made = text("UPDATE sqlite_sequence SET seq = seq WHERE name = 'fields' RETURNING seq")
            assert session.execute(made).all() == [(5,)]
    second = old_field(8) | {"sha256": "s3", "page": 2}
    with database.writing() as session:
        session.execute(insert(FieldRow).values(**second))
    for change in (insert(FieldRow).values(**second | {"id": 9}), delete(FieldRow)):
        with pytest.raises(ChangeRefusedError), database.writing() as session:
            session.execute(change)
    database.engine.dispose()


OLD_CASE = """
INSERT INTO patients (id, identifier, name, search, changed_by, changed_at)
VALUES (1, 'P-1', NULL, 'p-1', 'ana', '2026-01-01 00:00:00');
INSERT INTO samples (id, patient_id, taken, material, state, version, changed_by, changed_at)
VALUES (1, 1, '2026-01-01', 'peripheral_blood', 'draft', 1, 'ana', '2026-01-01 00:00:00');
INSERT INTO fields (id, sample_id, picture, sha256, page, file, width, height, properties, warnings,
  seconds, models, other_cells)
VALUES (1, 1, 'p', 's', 1, 'f', 9, 9, '{}', '[]', 0, '{}', '[]');
INSERT INTO cells (id, field_id, number, origin, x, y, width, height, type, status, confidence,
  detection_score, duplicate, label, reviewer, closed)
VALUES (1, 1, 1, 'model', 0, 0, 9, 9, 'monocyte', 'uncertain', 0.5, 1, false, 'suspected_blast', 'ana', false);
INSERT INTO reviews (id, cell_id, reviewer, at, label, comment)
VALUES (1, 1, 'ana', '2026-01-01 00:00:00', 'suspected_blast', '')
"""  # noqa: E501


def test_suspected_blasts_become_blasts_and_reviews_stay(settings, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(module, "migrate", lambda connection: migrate(connection, "0010"))
        old = open_database(settings)
    with old.writing() as session:
        for statement in OLD_CASE.split(";"):
            session.execute(text(statement))
    old.engine.dispose()

    database = open_database(settings)
    assert [review.label for review in reviews_of(database, 1)] == ["blast"]
    with database.reading() as session:
        assert session.scalars(text("SELECT label FROM reviews")).all() == ["suspected_blast"]
        cell = cell_of(session.get(CellRow, 1))
    assert (cell.type, cell.status, cell.subtype) == ("blast", "classified", None)
