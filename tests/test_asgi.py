"""The server starts whatever state models and store are in."""

import asyncio
import logging
import subprocess
import sys
from datetime import date

import pytest

import asgi
from core.cases.database import get_database
from core.cases.patients import create_patient
from core.cases.people import person_of
from core.cases.records import PatientDetails, SampleDetails
from core.cases.samples import save_sample
from core.imaging.examples import made_slides
from core.settings import get_settings
from tests.cases.made import new_field, white
from tests.images import read_image


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Point the server at an empty store and no models, so that it starts at once."""
    monkeypatch.setenv("LEUKOSCOPE_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("LEUKOSCOPE_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("LEUKOSCOPE_DATABASE_URL", raising=False)
    get_settings.cache_clear()
    get_database.cache_clear()
    yield tmp_path / "store"
    get_settings.cache_clear()
    get_database.cache_clear()


def start() -> None:
    async def run() -> None:
        async with asgi.lifespan(asgi.app):
            pass

    asyncio.run(run())


def test_a_start_sweeps_what_a_cut_off_save_left(store, caplog):
    database = get_database()
    person = person_of(database)
    patient = create_patient(database, person, PatientDetails("P"))
    name, data = made_slides()[0]
    field = new_field(read_image(data, name), white())
    save_sample(database, person, patient.id, SampleDetails(date(2026, 3, 1)), [field])
    stray = database.pictures.path(64 * "a")
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(b"half a picture")
    with caplog.at_level(logging.WARNING):
        start()
    assert not stray.exists()
    assert len(list(database.pictures.root.glob("??/*"))) == 1
    assert "1 pictures without a case" in caplog.text


def test_a_store_that_cannot_be_opened_is_logged_and_the_server_starts(store, caplog):
    store.parent.joinpath("store").write_text("a file, no folder")
    start()
    assert "cannot be reached" in caplog.text


def test_a_damaged_database_is_logged_and_the_server_starts(store, caplog):
    get_database().engine.dispose()
    get_database.cache_clear()
    (store / "leukoscope.sqlite").write_bytes(b"no database " * 1000)
    start()
    assert "The case database is damaged" in caplog.text


ASK = """
import asgi
from core.api.app import create_server
from starlette.testclient import TestClient

for server in (asgi.app, create_server()):
    print(TestClient(server).get("/api/nothing").json()["instance"])
"""


def test_the_api_has_the_same_addresses_beside_the_pages_and_alone(store):
    # In a process of its own: Streamlit's runtime, once made, stays.
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["/api/nothing", "/api/nothing"]


def test_the_api_asks_for_tokens_where_single_sign_on_is_set_up(store, monkeypatch):
    assert not asgi.people_sign_in()
    monkeypatch.setattr(asgi.st, "secrets", {"auth": {"client_id": "x"}})
    assert asgi.people_sign_in()
