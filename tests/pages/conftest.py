import sys

import pytest
import streamlit as st

from core.cases.database import get_database
from core.cases.people import person_of
from core.settings import get_settings


@pytest.fixture(autouse=True)
def nothing_remembered(tmp_path, monkeypatch):
    """Let no test see settings, cached answers or cases of another one; each has its own store."""
    monkeypatch.setenv("LEUKOSCOPE_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("LEUKOSCOPE_DATABASE_URL", raising=False)
    forget()
    yield
    forget()


@pytest.fixture(autouse=True)
def main_module_put_back(monkeypatch):
    """A page leaves its script as the main module, which processes of later tests would run."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture
def database():
    opened = get_database()
    yield opened
    opened.engine.dispose()


@pytest.fixture
def person(database):
    """Give the local person, an admin."""
    return person_of(database)


def forget() -> None:
    get_settings.cache_clear()
    get_database.cache_clear()
    st.cache_data.clear()
    st.cache_resource.clear()
