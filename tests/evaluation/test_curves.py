import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.evaluation.curves import (
    at_threshold,
    precision_recall_points,
    risk_coverage,
    roc_points,
)
from core.evaluation.metrics import classification_metrics, score
from tests.evaluation.answers import LABELS, answers, sample


@settings(deadline=None, max_examples=30)
@given(answers(), st.floats(0, 1))
def test_risk_and_coverage(answer, threshold):
    scored = score(*answer, LABELS)
    curve = risk_coverage(scored)
    assert curve["threshold"].is_monotonic_decreasing
    assert curve["coverage"].iloc[-1] == 1
    assert curve["risk"].iloc[-1] == pytest.approx(1 - scored["correct"].mean())
    cut = at_threshold(scored, threshold)
    assert cut.answered + cut.to_reviewer == len(scored)
    answered = curve[curve["threshold"] >= threshold]
    if answered.empty:
        assert cut.accuracy is None
    else:
        assert cut.coverage == pytest.approx(answered["coverage"].iloc[-1])
        assert cut.accuracy.value == pytest.approx(1 - answered["risk"].iloc[-1])


def test_curves_enclose_the_reported_areas():
    truth, probabilities = sample()
    scored = score(truth, probabilities, LABELS)
    figures = classification_metrics(truth, probabilities, LABELS).per_class
    for label in LABELS:
        roc = roc_points(scored, label)
        area = np.trapezoid(roc["true_positive_rate"], roc["false_positive_rate"])
        assert area == pytest.approx(figures[label].roc_auc)
        curve = precision_recall_points(scored, label)
        assert curve["recall"].is_monotonic_increasing
        steps = np.diff(curve["recall"]) * curve["precision"][1:]
        assert steps.sum() == pytest.approx(figures[label].average_precision, abs=0.02)


def test_no_curve_without_images_of_the_class():
    scored = score(["a", "a"], np.array([[0.9, 0.1], [0.6, 0.4]]), ["a", "b"])
    assert roc_points(scored, "a").empty
    assert roc_points(scored, "b").empty
    assert precision_recall_points(scored, "b").empty
