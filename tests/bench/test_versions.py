"""What versions are compared by is fair to both."""

import pytest

from benchmarks import versions
from benchmarks.versions import compared, version_of
from core.settings import PROJECT_ROOT


def test_a_machine_that_slows_down_leaves_the_ratio_of_two_versions():
    rounds = [[{"field_ms": 30.0 * slow}, {"field_ms": 36.0 * slow}] for slow in (1, 2, 5)]
    figures = compared(rounds)["field_ms"]
    assert figures["ratio"] == pytest.approx(1.2)
    assert (figures["earlier"], figures["now"]) == (60, 72)


def test_one_disturbed_round_does_not_count():
    rounds = [[{"field_ms": 30.0}, {"field_ms": now}] for now in (33.0, 33.0, 300.0)]
    assert compared(rounds)["field_ms"]["ratio"] == pytest.approx(1.1)


def test_the_version_is_that_of_the_folder(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "0.0.7"\n')
    assert version_of(tmp_path) == "0.0.7"
    assert version_of(PROJECT_ROOT) != "0.0.7"


def test_the_places_take_turns_in_being_first(monkeypatch):
    asked = []

    def measured(place, images):
        asked.append(place)
        return {"field_ms": float(place)}

    monkeypatch.setattr(versions, "measured_in", measured)
    for number in (0, 1):
        assert versions.in_turn(("1", "2"), None, number) == [{"field_ms": 1}, {"field_ms": 2}]
    assert asked == ["1", "2", "2", "1"]
