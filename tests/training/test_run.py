"""The command that trains."""

import argparse

import pytest

from core.model_card import load_card
from core.settings import get_settings
from core.training import recalibrate
from core.training.run import add_arguments, run

pytestmark = pytest.mark.training


@pytest.mark.parametrize("named", [None, "7.0.0"])
def test_a_version_that_is_not_named_follows_the_shipped_one(monkeypatch, tmp_path, named):
    chosen = []
    monkeypatch.setattr(recalibrate, "recalibrate", lambda *given: chosen.append(given[-1]))
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    words = ["wbc", "--calibrate", "--run", str(tmp_path)]
    run(parser.parse_args([*words, "--publish-version", named] if named else words))
    major, minor, patch = map(int, load_card("wbc", get_settings()).version.split("."))
    assert chosen == [named or f"{major}.{minor}.{patch + 1}"]
