"""What makes a prediction count."""

import pytest

from core.domain.decision import DecisionThresholds, decide, without_certainty

THRESHOLDS = DecisionThresholds(confidence=0.8, cellness=0.5)


@pytest.mark.parametrize(
    ("confidence", "given", "status"),
    [
        (0.8, {}, "classified"),
        (0.79, {}, "uncertain"),
        (0.9, {"doubtful": True}, "uncertain"),
        (0.9, {"cellness": 0.5}, "classified"),
        (0.9, {"cellness": 0.49}, "out_of_scope"),
        (0.9, {"cellness": 0.49, "doubtful": True}, "out_of_scope"),
        (0.9, {"excluded": ("monocyte",)}, "out_of_scope"),
        (0.9, {"excluded": ("platelet",)}, "classified"),
    ],
)
def test_a_prediction_counts_when_confident_of_a_whole_cell(confidence, given, status):
    probabilities = {"platelet": 1 - confidence, "monocyte": confidence}
    assert decide(probabilities, THRESHOLDS, **given) == status


def test_nothing_predicted_is_out_of_scope():
    assert decide({}, THRESHOLDS) == "out_of_scope"


def test_doubt_takes_certainty_only():
    found = [without_certainty(s) for s in ("classified", "uncertain", "out_of_scope")]
    assert found == ["uncertain", "uncertain", "out_of_scope"]


@pytest.mark.parametrize(
    ("blast", "monocyte", "status"),
    [(0.02, 0.95, "classified"), (0.03, 0.95, "uncertain"), (0.85, 0.10, "classified")],
)
def test_a_cell_that_may_be_a_blast_is_no_certain_monocyte(blast, monocyte, status):
    limits = DecisionThresholds(0.8, rivals={"monocyte": {"blast": 0.03}})
    rest = {"neutrophil": 1 - blast - monocyte}
    assert decide({"blast": blast, "monocyte": monocyte, **rest}, limits) == status


def test_only_a_certain_smudge_cell_is_out_of_scope():
    assert decide({"smudge_cell": 0.9, "blast": 0.1}, THRESHOLDS) == "out_of_scope"
    assert decide({"smudge_cell": 0.7, "blast": 0.3}, THRESHOLDS) == "uncertain"
