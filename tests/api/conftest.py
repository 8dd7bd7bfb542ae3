"""The API over a store of its own, with models that know their answers."""

import pytest
from starlette.testclient import TestClient

from core.access import access_of
from core.api.app import create_app
from core.cases.database import open_database
from core.settings import Settings
from core.synthetic.examples import synthetic_slides
from tests.api.fake_analyzer import FakeAnalyzer
from tests.cases.stores import put_migrated


@pytest.fixture
def settings(tmp_path):
    return Settings(_env_file=None, store=tmp_path, database_url=None)


@pytest.fixture
def database(settings):
    put_migrated(settings.store)
    opened = open_database(settings)
    yield opened
    opened.engine.dispose()


@pytest.fixture
def fake():
    return FakeAnalyzer()


@pytest.fixture
def open_client(settings, database, fake):
    """Give a function that opens the API, with some settings changed."""

    def opened(*, sign_in=False, **changed):
        set_so = settings.model_copy(update=changed)
        app = create_app(
            set_so,
            analyzer=lambda: fake,
            database=lambda: database,
            access=access_of(set_so, {} if sign_in else None),
        )
        return TestClient(app, raise_server_exceptions=False)

    return opened


@pytest.fixture
def client(open_client):
    return open_client()


@pytest.fixture(scope="session")
def slides():
    """Give the made slides as they would be uploaded: name and bytes."""
    return list(synthetic_slides())
