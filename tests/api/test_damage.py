"""The API over a damaged store: pictures are answered, cases get a sentence, health tells."""

import logging

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from core.api.app import create_app
from core.cases.database import open_database
from core.cases.orm import FieldRow
from core.cases.samples import load_case


@pytest.fixture
def sample(client, slides):
    patient = client.post("/patients", json={"identifier": "P-1"}).json()
    sample = client.post(f"/patients/{patient['id']}/samples", json={"taken": "2026-03-01"}).json()
    saved = client.post(
        f"/samples/{sample['id']}/fields",
        params={"version": sample["version"]},
        files={"file": slides[0]},
    )
    return saved.json()["sample"]


def test_pictures_are_answered_without_the_store(settings, database, fake, slides, caplog):
    database.engine.dispose()
    (settings.store / "leukoscope.sqlite").write_bytes(b"no database " * 1000)
    app = create_app(settings, analyzer=lambda: fake, database=lambda: open_database(settings))
    client = TestClient(app)
    for route in ("analyze", "predict", "stage"):
        assert client.post(f"/{route}", files={"file": slides[0]}).status_code == 200
    for route in ("patients", "patients/1", "samples/1", "samples/1/reports/pdf", "me"):
        answer = client.get(f"/{route}")
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:leukoscope:problem:store-damaged"
        assert "restore the database from a backup" in answer.json()["detail"]
    health = client.get("/health")
    assert health.status_code == 503
    assert health.json()["models"]["ready"]
    assert not health.json()["database"]["ready"]
    assert "damaged" in health.json()["database"]["detail"]
    assert "SQLITE_NOTADB" in caplog.text


def test_health_tells_of_damage_that_a_request_met(client, database, sample):
    with database.writing() as session:
        session.execute(text("UPDATE fields SET properties = '{'"))
    assert client.get(f"/samples/{sample['id']}").status_code == 503
    with database.writing() as session:
        session.execute(text("UPDATE fields SET properties = '{}'"))
    assert client.get("/health").status_code == 503


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/patients", '{"identifier": "P-\\ud800"}'),
        ("POST", "/patients", '{"identifier": "P-2", "name": "\\udfff"}'),
        ("POST", "/samples/1/reviews", '{"version": 1, "labels": {"\\ud800": "neutrophil"}}'),
        ("POST", "/samples/1/reviews", '{"version": 1, "labels": {"1": "\\ud800"}}'),
        (
            "POST",
            "/samples/1/reviews",
            '{"version": 2, "labels": {"1": "monocyte"}, "comment": "\\ud800"}',
        ),
    ],
)
def test_a_lone_surrogate_is_a_422(client, sample, method, path, body):
    answer = client.request(
        method, path, content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422, answer.text
    assert answer.json()["status"] == 422


def test_a_lone_surrogate_in_a_search_finds_nothing(client, sample):
    assert client.get("/patients?search=%ED%A0%80").json()["total"] == 0


def test_a_missing_picture_is_a_404_with_its_sentence(client, database, sample):
    load_case(database, sample["id"])
    with database.reading() as session:
        for field in session.query(FieldRow):
            database.images.path(field.image).unlink()
    answer = client.get(f"/samples/{sample['id']}/reports/pdf")
    assert answer.status_code == 404
    assert "Restore the store folder from its backup" in answer.json()["detail"]


def test_the_log_of_a_failure_quotes_no_value(client, database, sample, caplog):
    with database.writing() as session:
        session.execute(text("ALTER TABLE patients RENAME COLUMN search TO lost"))
    with caplog.at_level(logging.DEBUG):
        answer = client.get("/patients", params={"search": "Katarzyna"})
    assert answer.status_code == 503
    ours = " ".join(r.getMessage() for r in caplog.records if not r.name.startswith("httpx"))
    assert "the case database failed" in ours
    assert "katarzyna" not in ours.casefold()
