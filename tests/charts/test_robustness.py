"""Shifts, gate and adaptation are shown as they were measured."""

import json

import pytest

from core.charts.robustness import (
    adaptation_sentence,
    evidence_sentence,
    gate_table,
    made_fields_table,
    shifts_figure,
    shifts_table,
    unfamiliar_table,
    unseen_table,
)
from core.evaluation.metrics import proportion
from core.settings import get_settings


def metrics(model):
    return json.loads((get_settings().models / model / "metrics.json").read_text())


@pytest.mark.parametrize("model", ["wbc", "all_stage"])
def test_every_shift_has_its_row_and_its_bar(model):
    shifts = metrics(model)["shifts"]
    table = shifts_table(shifts)
    assert len(table) == len(shifts["rows"]) + 1
    figure = shifts_figure(shifts)
    (bar,) = figure.data
    drawn = dict(zip(bar.y, bar.x, strict=True))
    for row in shifts["rows"]:
        assert drawn[row["shift"]] == pytest.approx(100 * row["drop"])
        lost = 100 * (shifts["unchanged"]["accuracy"]["value"] - row["accuracy"]["value"])
        assert drawn[row["shift"]] == pytest.approx(lost, abs=1e-6)
    assert list(bar.x) == sorted(bar.x)


def test_unfamiliar_looks_are_told_by_set_and_by_shift():
    measured = metrics("wbc")
    table = unfamiliar_table(measured["unfamiliar"], {"cellavision": "Another laboratory"})
    shares = dict(zip(table["Cells"], table["Unfamiliar look"], strict=True))
    assert len(shares) == len(measured["unfamiliar"])
    away = measured["unfamiliar"]["cellavision"]["value"]
    assert shares["Another laboratory"].startswith(f"{100 * away:.1f} %")
    assert away > measured["unfamiliar"]["pbc_test"]["value"]
    shifted = shifts_table(measured["shifts"]).set_index("Shift")
    row = measured["shifts"]["rows"][0]
    assert shifted.loc[row["shift"], "Unfamiliar look"] == 100 * row["unfamiliar"]["value"]


def test_the_gate_table_names_every_set_and_kind():
    gate = {
        "smears": {
            "n": 9,
            "refused": proportion(1, 9),
            "by_set": {"cellavision": proportion(1, 4)},
        },
        "others": {"Noise": {"n": 5, "refused": proportion(5, 5), "auroc": 1.0}},
    }
    table = gate_table(gate, {"cellavision": "Another laboratory"})
    assert len(table) == 1 + len(gate["smears"]["by_set"]) + len(gate["others"])
    assert "… Another laboratory" in set(table["Pictures"])
    assert not table.isna().any().any()


def test_adaptation_is_told_with_both_figures():
    adaptation = metrics("wbc")["adaptation"]
    sentence = adaptation_sentence(adaptation | {"ece": {"before": 0.312, "after": 0.087}})
    assert "8.7 %, 31.2 % before" in sentence
    for key in ("before", "after"):
        assert f"{100 * adaptation[key]['value']:.1f} %" in sentence


def test_unseen_pictures_keep_their_figures_and_numbers():
    rows = [{"shift": "Unchanged", "recall": proportion(9, 9), "precision": proportion(9, 10)}]
    rows[0]["rbc_count_error"] = 0.034
    unseen = {
        "kaggle_test_simple": {"n": 71, "found": proportion(70, 71)},
        "taleqani": {
            "n": 30,
            "nuclei": 1200,
            "recall": proportion(9, 10),
            "precision": proportion(8, 10),
        },
        "made": {"n": 4, "rows": rows},
    }
    table = unseen_table(unseen)
    assert table["Share"].str.startswith(("98.6 %", "90.0 %", "80.0 %")).all()
    assert table["What was measured"].str.contains("1,200").sum() == 1
    made = made_fields_table(unseen["made"]).iloc[0]
    assert made["RBC count error"] == "3.4 %"
    assert made["Boxes on white cells"].startswith("90.0 %")


def test_evidence_stands_beside_the_area_of_the_cells():
    sentence = evidence_sentence({"n": 244, "without_cells": 0, "evidence": 0.3, "area": 0.2})
    assert "30.0 %" in sentence
    assert "20.0 %" in sentence
    assert "1.50" in sentence
