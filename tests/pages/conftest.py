from datetime import date
from functools import cache
from types import SimpleNamespace

import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner

from core import access
from core.access import get_access
from core.cases.database import get_database
from core.cases.patients import create_patient
from core.cases.records import PatientDetails, SampleDetails
from core.cases.samples import save_sample
from core.cases.users import user_of
from core.settings import get_settings
from core.synthetic.examples import synthetic_slides
from tests.cases.made import new_field, red, white
from tests.cases.stores import put_migrated
from tests.images import read_image
from ui.count import results


@pytest.fixture(scope="session", autouse=True)
def packages_scanned_once():
    """Let Streamlit look for components in the installed packages once, not for every app.

    The scan reads the metadata of every package: a third of the time of these tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        scan = cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", scan)
        yield


@pytest.fixture(autouse=True)
def drawn_at_once():
    """Draw pages whole: no browser says here that it has drawn the first screen."""
    with pytest.MonkeyPatch.context() as patch:  # its own: tests undo what they patched
        patch.setattr(results, "has_drawn", lambda _: True)
        yield


@pytest.fixture(autouse=True)
def nothing_remembered(tmp_path, monkeypatch):
    """Let no test see settings, cached answers or cases of another one; each has its own store."""
    put_migrated(tmp_path / "store")
    monkeypatch.setenv("LEUKOSCOPE_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("LEUKOSCOPE_SLIDE_CACHE", str(tmp_path / "slide_cache"))
    monkeypatch.setenv("LEUKOSCOPE_SLIDE_UPLOADS", str(tmp_path / "slide_uploads"))
    monkeypatch.delenv("LEUKOSCOPE_DATABASE_URL", raising=False)
    forget()
    yield
    forget()


@pytest.fixture
def database():
    opened = get_database()
    yield opened
    opened.engine.dispose()


@pytest.fixture
def user(database):
    """Return the local user, an administrator."""
    return user_of(database)


@pytest.fixture
def sample(database, user):
    """Save a case: a sure neutrophil, two uncertain cells, a lymphocyte in another field."""
    images = [read_image(data, name) for name, data in synthetic_slides()[:2]]
    patient = create_patient(database, user, PatientDetails("P-1", "Åsa Öst"))
    return save_sample(
        database,
        user,
        patient.id,
        SampleDetails(date(2026, 3, 1)),
        [
            new_field(
                images[0],
                white(x=200),
                red(),
                white("monocyte", 0.4, "uncertain", x=300),
                white("basophil", 0.6, "uncertain", x=400),
            ),
            new_field(images[1], white("lymphocyte", 0.8)),
        ],
    )


@pytest.fixture
def sign_in(monkeypatch):
    """Set up single sign-on; give a function that has a provider say who visits."""
    monkeypatch.setattr(access, "auth_section", lambda: {"client_id": "x"})
    monkeypatch.setattr(access.visitors, "guarded", True)

    def signed(**said):
        monkeypatch.setattr(st, "user", SimpleNamespace(to_dict=lambda: said))

    signed(is_logged_in=False)
    return signed


def forget() -> None:
    get_settings.cache_clear()
    get_access.cache_clear()
    get_database.cache_clear()
    st.cache_data.clear()
    st.cache_resource.clear()
