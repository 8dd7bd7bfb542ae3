"""Temperatures and thresholds are chosen again; the file stays as it is."""

import shutil
from types import SimpleNamespace

import pytest

from core.model_card import load_card, model_path
from core.settings import get_settings

pytestmark = pytest.mark.training


def test_only_the_card_changes(tmp_path, monkeypatch):
    from core.training import recalibrate as module
    from core.training.recipes.wbc import Options

    shutil.copytree(get_settings().models / "wbc", tmp_path / "wbc")
    settings = get_settings().model_copy(update={"models": tmp_path})
    before, content = load_card("wbc", settings), model_path("wbc", settings).read_bytes()
    options, asked = Options(without=("lisc",), cells=tmp_path), []

    def fitted(trained, _settings):
        asked.append((trained.run, trained.options))
        return 1.7

    def source(card, _settings, cells):
        asked.append((card.ood_temperature, cells))
        chosen = {"temperature": 1.2, "ood_temperature": 1.7, "thresholds": card.thresholds}
        return SimpleNamespace(calibration=lambda file, _card: chosen if file == content else {})

    monkeypatch.setattr(module, "shipped_network", lambda *_: None)
    monkeypatch.setattr(module, "fit_ood_temperature", fitted)
    monkeypatch.setattr(module, "source_of", source)
    module.recalibrate(settings, tmp_path / "run", options, "9.9.9")
    assert asked == [(tmp_path / "run", options), (1.7, tmp_path)]
    after = load_card("wbc", settings)
    assert (after.version, after.temperature, after.ood_temperature) == ("9.9.9", 1.2, 1.7)
    assert (after.sha256, after.precision) == (before.sha256, before.precision)
    assert model_path("wbc", settings).read_bytes() == content
    assert after.training_data == before.training_data
