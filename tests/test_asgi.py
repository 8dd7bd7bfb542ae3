"""The server starts whatever state models and store are in."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from datetime import date

import pytest

import asgi
from core.access import access_of
from core.cases.database import get_database
from core.cases.patients import create_patient
from core.cases.records import PatientDetails, SampleDetails
from core.cases.samples import save_sample
from core.cases.users import set_role, user_of
from core.settings import PROJECT_ROOT, get_settings
from core.synthetic.examples import synthetic_slides
from tests.browser.conftest import free_port
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
    user = user_of(database)
    patient = create_patient(database, user, PatientDetails("P"))
    name, data = synthetic_slides()[0]
    field = new_field(read_image(data, name), white())
    save_sample(database, user, patient.id, SampleDetails(date(2026, 3, 1)), [field])
    stray = database.images.path(64 * "a")
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(b"half an image")
    with caplog.at_level(logging.WARNING):
        start()
    assert not stray.exists()
    assert len(list(database.images.root.glob("??/*"))) == 1
    assert "1 images without a case" in caplog.text


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


@pytest.mark.parametrize("named", [[], ["ada@lab.example"]])
def test_a_sign_in_without_an_administrator_is_logged(store, monkeypatch, caplog, named):
    monkeypatch.setenv("LEUKOSCOPE_ADMINS", json.dumps(["local", *named]))
    get_settings.cache_clear()
    monkeypatch.setattr(asgi, "get_access", lambda: access_of(get_settings(), {"client_id": "x"}))
    said = "Nobody who signs in is an administrator"
    start()
    assert (said in caplog.text) == (not named)
    local = user_of(get_database())
    set_role(get_database(), local, "bea@lab.example", "admin")
    caplog.clear()
    start()
    assert said not in caplog.text


EVERYWHERE = "0.0.0.0"  # noqa: S104
ASK = """
import asgi
from core.api.app import create_server
from starlette.testclient import TestClient

for server in (asgi.app, create_server()):
    client = TestClient(server, "http://127.0.0.1", client=("127.0.0.1", 5))
    print(client.get("/api/nothing").json()["instance"])
    print(client.get("/api/me").status_code, client.get("/api/patients").status_code)
    for path in ("/api/me", "/_stcore/metrics", "/"):
        print(TestClient(server, "http://10.1.2.3").get(path).status_code)
"""


SECRETS = """[auth]
redirect_uri = "http://10.1.2.3/oauth2callback"
cookie_secret = "for this test only, and long enough"
client_id = "leukoscope"
client_secret = "not used here"
server_metadata_url = "http://10.1.2.3/.well-known/openid-configuration"
"""


def asked(**environment: str) -> list[str]:
    """Ask both servers, in a process of its own: Streamlit's runtime, once made, stays."""
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return done.stdout.split()


def test_the_api_is_the_same_beside_the_pages_and_alone(store):
    """Without sign-in it is served to this machine only."""
    beside = alone = ["/api/nothing", "200", "200", "403", "403", "403"]
    assert asked() == [*beside, *alone]


def test_single_sign_on_closes_the_api_beside_the_pages_and_alone(store, tmp_path):
    home = tmp_path / "home"
    secrets = home / ".streamlit" / "secrets.toml"
    secrets.parent.mkdir(parents=True)
    secrets.write_text(SECRETS)
    beside = ["/api/nothing", "401", "401", "401", "403", "200"]
    alone = ["/api/nothing", "401", "401", "401", "403", "404"]
    assert asked(HOME=str(home)) == [*beside, *alone]


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "core", "serve", "--host", EVERYWHERE, "--port"],
        ["-m", "streamlit", "run", "asgi.py", "--server.address", EVERYWHERE, "--server.port"],
    ],
)
def test_no_start_that_would_let_in_everybody(store, command):
    assert "LEUKOSCOPE_OPEN_ACCESS=true" in refused_to_start(command)


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "core", "serve", "--port"],
        ["-m", "uvicorn", "asgi:app", "--port"],
    ],
)
def test_no_start_with_a_sign_in_that_nobody_can_use_or_anybody_forge(store, tmp_path, command):
    secrets = tmp_path / ".streamlit" / "secrets.toml"
    secrets.parent.mkdir()
    secrets.write_text(SECRETS.replace("for this test only, and long enough", "xxx"))
    assert "sign-ins could be forged" in refused_to_start(command, HOME=str(tmp_path))
    secrets.write_text("[auth]\nclient_id = ")
    assert "its file is damaged" in refused_to_start(command, HOME=str(tmp_path))


@pytest.mark.parametrize("command", [["asgi:app"], ["--factory", "core.api.app:create_server"]])
def test_a_setting_that_cannot_be_used_is_a_sentence(store, command):
    shown = refused_to_start(["-m", "uvicorn", *command, "--port"], LEUKOSCOPE_HOSTS="odd")
    assert "LEUKOSCOPE_HOSTS cannot be used" in shown


def refused_to_start(command: list[str], **environment: str) -> str:
    """Return what a server says that does not start; the command ends where its port belongs."""
    done = subprocess.run(
        [sys.executable, *command, str(free_port())],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=PROJECT_ROOT,
        env={**os.environ, **environment},
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr + done.stdout
    return done.stderr
