import pytest

from core.datasets.sources import SOURCES
from core.domain.taxonomy import RESEARCH_NOTICE
from core.evaluation.report import MODEL_TITLES
from core.settings import get_settings
from tests.fake_models import write_models
from tests.pages.app import open_app


@pytest.fixture
def about(tmp_path, monkeypatch):
    monkeypatch.setenv("LEUKOSCOPE_MODELS", str(tmp_path / "models"))
    get_settings.cache_clear()

    yield lambda: open_app("about")
    get_settings.cache_clear()


def test_cards_of_all_models_are_shown_and_cited(about, tmp_path):
    write_models(tmp_path / "models")
    app = about()
    assert [c.value for c in app.caption].count(RESEARCH_NOTICE) == 1
    assert [e.label for e in app.expander] == list(MODEL_TITLES.values())
    assert len(app.table) == len(MODEL_TITLES)
    assert "wbc 1.2.3, all_stage 1.2.3, detector 1.2.3" in app.code[0].value


def test_every_source_has_licence_and_citation(about):
    app = about()
    shown = "\n".join(c.value for c in app.caption)
    for source in SOURCES.values():
        assert f"Licence: {source.licence}" in shown
        assert source.citation in shown


def test_missing_models_are_named(about):
    app = about()
    assert len(app.info) == len(MODEL_TITLES)
    assert all("is missing" in info.value for info in app.info)
    assert "Model versions: none." in app.code[0].value
