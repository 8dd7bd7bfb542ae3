"""Shifts, gate and adaptation are shown as they were measured."""

import json

import pytest

from core.reports.robustness import adaptation_sentence, gate_table, shifts_figure, shifts_table
from core.settings import get_settings


def metrics(model):
    return json.loads((get_settings().models / model / "metrics.json").read_text())


def test_every_shift_has_its_row_and_its_bar():
    shifts = metrics("wbc")["shifts"]
    table = shifts_table(shifts)
    assert len(table) == len(shifts["rows"]) + 1
    figure = shifts_figure(shifts)
    (bar,) = figure.data
    drawn = dict(zip(bar.y, bar.x, strict=True))
    for row in shifts["rows"]:
        assert drawn[row["shift"]] == pytest.approx(100 * row["drop"])
        lost = 100 * (shifts["unchanged"]["value"] - row["accuracy"]["value"])
        assert drawn[row["shift"]] == pytest.approx(lost, abs=1e-6)
    assert list(bar.x) == sorted(bar.x)


def test_the_gate_table_names_every_set_and_kind():
    gate = metrics("detector")["gate"]
    table = gate_table(gate, {"cellavision": "Another laboratory"})
    assert len(table) == 1 + len(gate["smears"]["by_set"]) + len(gate["others"])
    assert "… Another laboratory" in set(table["Pictures"])
    assert not table.isna().any().any()


def test_adaptation_is_told_with_both_figures():
    adaptation = metrics("wbc")["adaptation"]
    sentence = adaptation_sentence(adaptation)
    for key in ("before", "after"):
        assert f"{100 * adaptation[key]['value']:.1f} %" in sentence
