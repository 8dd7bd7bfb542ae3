"""Each file is measured with its own calibration, and figures count what they say."""

import numpy as np
import pytest

from core.domain.taxonomy import CELL_TYPES, MATURE_FIVE
from core.inference.cell_classifier import CellPrediction
from core.model_card import load_card
from core.training.quantize import Source
from research import compare_precision
from research.compare_precision import forward_milliseconds, type_figures
from tests.training.test_quantize import SIDE, network, patches


def answer(name, confidence, status):
    others = (1 - confidence) / (len(CELL_TYPES) - 1)
    probabilities = dict.fromkeys(CELL_TYPES, others) | {name: confidence}
    none = np.zeros(1, np.float32)
    return CellPrediction(name, confidence, status, probabilities, 1.0, None, {}, none, none)


def test_what_is_right_is_counted_among_the_classified_alone():
    truth = ["neutrophil", "neutrophil", "lymphocyte", "platelet"]
    answers = [
        answer("neutrophil", 0.9, "classified"),
        answer("monocyte", 0.6, "uncertain"),
        answer("monocyte", 0.9, "classified"),
        answer("platelet", 0.9, "classified"),
    ]
    five = type_figures(truth, answers, MATURE_FIVE)
    assert five.n == 3
    assert five.accuracy.value == pytest.approx(1 / 3)
    assert five.classified.value == pytest.approx(2 / 3)
    assert five.classified_right.value == 0.5
    every = type_figures(truth, answers, tuple(CELL_TYPES))
    assert every.classified_right.value == pytest.approx(2 / 3)


@pytest.mark.training
def test_what_ships_keeps_its_calibration_and_others_get_theirs(monkeypatch):
    monkeypatch.setattr(compare_precision, "SMALLER", 16)
    monkeypatch.setattr(compare_precision, "keras_reference", lambda *_: network(16))
    source = Source(
        network(),
        patches(2, 60),
        patches(3, 40),
        lambda _, side: {"temperature": float(side), "thresholds": {"uncertain": 0.6}},
    )
    card = load_card("wbc").model_copy(
        update={"numbers": "int8", "temperature": 7.0, "input_width": SIDE, "input_height": SIDE}
    )
    variants = compare_precision._variants(card, source, None)
    temperatures = {key: variant.card.temperature for key, variant in variants.items()}
    assert temperatures == {"float32": SIDE, "int8": 7.0, "float32_smaller": 16}
    assert variants["int8"].card.thresholds == card.thresholds
    assert variants["float32"].card.thresholds.by_name() == (
        card.thresholds.by_name() | {"uncertain": 0.6}
    )
    assert len(variants["int8"].content) != len(variants["float32"].content)
    milliseconds = forward_milliseconds(variants, source.holdout[0])
    assert milliseconds.keys() == variants.keys()
    assert min(milliseconds.values()) > 0
