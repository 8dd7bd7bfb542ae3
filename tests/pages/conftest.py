import pytest
import streamlit as st

from core.settings import get_settings


@pytest.fixture(autouse=True)
def nothing_remembered():
    """Let no test see settings or cached answers of another one's folders."""
    get_settings.cache_clear()
    st.cache_data.clear()
    st.cache_resource.clear()
    yield
    get_settings.cache_clear()
