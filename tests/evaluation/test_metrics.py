import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    roc_auc_score,
)

from core.domain.taxonomy import CELL_TYPES, MATURE_FIVE
from core.evaluation.metrics import (
    calibration_error,
    classification_metrics,
    f1_of_counts,
    proportion,
    reliability_bins,
    restrict,
    score,
    score_predictions,
)
from core.evaluation.schema import ClassificationFigures
from tests.evaluation.answers import LABELS, answers, sample


@settings(deadline=None, max_examples=40)
@given(answers())
def test_matrix_and_limits_agree_with_the_figures(answer):
    truth, probabilities = answer
    metrics = classification_metrics(truth, probabilities, LABELS)
    matrix = np.array(metrics.confusion)
    assert metrics.accuracy.value == pytest.approx(np.trace(matrix) / matrix.sum())
    assert matrix.sum() == metrics.n == len(truth)
    for row, label in zip(matrix, LABELS, strict=True):
        assert row.sum() == metrics.per_class[label].support == truth.count(label)
    estimates = [metrics.accuracy, metrics.balanced_accuracy, metrics.macro_f1]
    estimates += [
        getattr(f, k) for f in metrics.per_class.values() for k in ("precision", "recall", "f1")
    ]
    for estimate in estimates:
        if estimate is not None:
            low, value, high = estimate.low, estimate.value, estimate.high
            assert -1e-12 <= low <= value + 1e-12
            assert value - 1e-12 <= high <= 1 + 1e-12
    assert 0 <= metrics.ece <= 1
    assert 0 <= metrics.brier <= 2
    written = json.dumps(metrics.json_object(), allow_nan=False)
    assert ClassificationFigures.model_validate_json(written) == metrics


@settings(deadline=None, max_examples=20)
@given(answers(), st.randoms(use_true_random=False))
def test_neither_the_order_of_images_nor_of_labels_matters(answer, random):
    truth, probabilities = answer
    rows = list(range(len(truth)))
    columns = list(range(len(LABELS)))
    random.shuffle(rows)
    random.shuffle(columns)
    first = classification_metrics(truth, probabilities, LABELS)
    second = classification_metrics(
        [truth[i] for i in rows], probabilities[rows][:, columns], [LABELS[i] for i in columns]
    )
    for key in ("accuracy", "balanced_accuracy"):
        assert getattr(second, key).value == pytest.approx(getattr(first, key).value)
    for key in ("ece", "brier", "nll"):
        assert getattr(second, key) == pytest.approx(getattr(first, key), abs=1e-9)
    for label in LABELS:
        for key in ("precision", "recall", "f1"):
            one, other = first.per_class[label], second.per_class[label]
            assert getattr(other, key) == getattr(one, key)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.sampled_from(LABELS), min_size=1, max_size=40))
def test_perfect_predictions(truth):
    one_hot = np.array([[float(t == label) for label in LABELS] for t in truth])
    metrics = classification_metrics(truth, one_hot, LABELS)
    for key in ("accuracy", "balanced_accuracy", "macro_f1"):
        assert getattr(metrics, key).value == pytest.approx(1)
        assert getattr(metrics, key).high == pytest.approx(1)
        assert getattr(metrics, key).low < 1
    assert metrics.ece == metrics.brier == metrics.nll == 0
    for label in LABELS:
        figures = metrics.per_class[label]
        if label in truth:
            assert figures.f1.value == 1
            assert figures.f1.low < 1
        else:
            assert figures.roc_auc is None
            assert figures.average_precision is None
            assert figures.recall is None


def test_figures_match_scikit_learn():
    truth, probabilities = sample()
    metrics = classification_metrics(truth, probabilities, LABELS)
    prediction = [LABELS[i] for i in probabilities.argmax(axis=1)]
    assert metrics.balanced_accuracy.value == pytest.approx(
        balanced_accuracy_score(truth, prediction)
    )
    assert metrics.macro_f1.value == pytest.approx(f1_score(truth, prediction, average="macro"))
    assert metrics.nll == pytest.approx(log_loss(truth, probabilities, labels=LABELS))
    assert metrics.brier == pytest.approx(
        brier_score_loss(truth, probabilities, labels=LABELS, scale_by_half=False)
    )
    assert metrics.roc_auc == pytest.approx(
        roc_auc_score(truth, probabilities, labels=LABELS, multi_class="ovr")
    )
    each = f1_score(truth, prediction, average=None, labels=LABELS)
    for label, expected in zip(LABELS, each, strict=True):
        assert metrics.per_class[label].f1.value == pytest.approx(expected)
        assert metrics.per_class[label].average_precision == pytest.approx(
            average_precision_score(np.array(truth) == label, probabilities[:, LABELS.index(label)])
        )


def test_wilson_limits_against_published_values():
    # Newcombe 1998, Stat Med 17:857, table I, method 3.
    for count, total, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)]:
        estimate = proportion(count, total)
        assert estimate.low == pytest.approx(low, abs=5e-5)
        assert estimate.high == pytest.approx(high, abs=5e-5)
    assert proportion(0, 0) is None


def test_f1_limits_cover_the_truth():
    rng = np.random.default_rng(0)
    rates = np.array([0.3, 0.05, 0.04, 0.61])
    expected = 2 * rates[0] / (2 * rates[0] + rates[1] + rates[2])
    covered = 0
    for hits, wrong, missed, _ in rng.multinomial(150, rates, size=800):
        estimate = f1_of_counts(hits, wrong, missed)
        covered += estimate.low <= expected <= estimate.high
    assert 0.92 < covered / 800 < 0.98


def test_macro_f1_limits_are_repeatable():
    first, second = (classification_metrics(*sample(), LABELS).macro_f1 for _ in range(2))
    assert first == second
    assert first.high - first.low > 0.05


def test_a_set_with_five_types_is_scored_over_its_own_labels():
    all_labels = list(CELL_TYPES)
    probabilities = np.full((2, len(all_labels)), 0.05)
    probabilities[0, all_labels.index("immature_granulocyte")] = 0.35
    probabilities[0, all_labels.index("neutrophil")] = 0.25
    probabilities[1, all_labels.index("basophil")] = 0.65
    metrics = classification_metrics(
        ["neutrophil", "basophil"], probabilities, MATURE_FIVE, all_labels=all_labels
    )
    assert metrics.labels == MATURE_FIVE
    assert metrics.accuracy.value == 1
    assert metrics.outside_labels == 0.5
    assert np.array(metrics.confusion).shape == (5, 5)


def test_restricted_rows_sum_to_one_or_stay_zero():
    kept, outside = restrict([[0, 0, 1.0], [0.2, 0.6, 0.2], [0, 0, 0]], ["a", "b", "c"], ["a", "b"])
    assert kept == pytest.approx(np.array([[0, 0], [0.25, 0.75], [0, 0]]))
    assert outside == pytest.approx(1 / 3)


def test_an_image_without_an_answer_is_an_error():
    rows = np.array([[0.9, 0.1], [0, 0], [0.2, 0.8], [0, 0]])
    metrics = classification_metrics(["a", "a", "b", "b"], rows, ["a", "b"])
    assert metrics.accuracy.value == 0.5
    assert metrics.confusion == [[1, 0], [0, 1]]
    assert metrics.unanswered == [1, 1]
    assert metrics.per_class["a"].recall.value == 0.5
    assert metrics.per_class["a"].precision.value == 1
    assert metrics.per_class["a"].f1.value == pytest.approx(2 / 3)
    assert metrics.macro_f1.value == pytest.approx(2 / 3)
    assert metrics.macro_f1.low < 2 / 3 <= metrics.macro_f1.high
    assert metrics.nll == pytest.approx(-np.log([0.9, 0.8]).mean())


@pytest.mark.parametrize(
    ("truth", "probabilities"),
    [
        (["a"], [[0.5, 0.5, 0.0]]),
        (["a"], [[np.nan, 0.5, 0.25, 0.25]]),
        (["a"], [[-0.1, 0.5, 0.3, 0.3]]),
        (["z"], [[0.25, 0.25, 0.25, 0.25]]),
        (["a", "b"], [[0.25, 0.25, 0.25, 0.25]]),
        ([], np.zeros((0, 4))),
    ],
)
def test_what_does_not_fit_is_rejected(truth, probabilities):
    with pytest.raises(ValueError, match=r"\w"):
        classification_metrics(truth, probabilities, LABELS)


def test_calibration_error_of_a_hand_made_case():
    # Confidence .8 in four images, half of them right; .55 in one, right.
    probabilities = np.array([[0.8, 0.2]] * 4 + [[0.55, 0.45]])
    scored = score(["a", "a", "b", "b", "a"], probabilities, ["a", "b"])
    bins = reliability_bins(scored)
    assert bins["count"].tolist() == [1, 4]
    assert bins["accuracy"].tolist() == [1.0, 0.5]
    metrics = classification_metrics(["a", "a", "b", "b", "a"], probabilities, ["a", "b"])
    assert metrics.ece == pytest.approx((1 * 0.45 + 4 * 0.3) / 5)


@settings(deadline=None, max_examples=30)
@given(answers())
def test_bins_hold_every_image_within_their_edges(answer):
    scored = score(*answer, LABELS)
    bins = reliability_bins(scored)
    assert bins["count"].sum() == len(scored)
    assert (bins["confidence"] > bins["low"] - 1e-12).all()
    assert (bins["confidence"] <= bins["high"] + 1e-12).all()


def test_the_calibration_error_is_that_of_the_sets():
    truth, probabilities = sample()
    told = classification_metrics(truth, probabilities, LABELS).ece
    columns = np.array([LABELS.index(label) for label in truth])
    assert calibration_error(probabilities, columns) == pytest.approx(told)


def test_a_saved_frame_gives_the_same_figures():
    truth, probabilities = sample()
    frame = pd.DataFrame(probabilities, columns=[f"p_{label}" for label in LABELS])
    frame.insert(0, "truth", truth)
    frame.insert(0, "file", [f"{i}.webp" for i in range(len(truth))])
    scored = score_predictions(frame, LABELS)
    metrics = classification_metrics(truth, probabilities, LABELS)
    assert scored["correct"].mean() == pytest.approx(metrics.accuracy.value)
    assert scored["file"].tolist() == frame["file"].tolist()
    fewer = score_predictions(frame[frame["truth"].isin(["a", "b"])], ["a", "b"])
    assert (fewer["p_a"] + fewer["p_b"]).to_numpy() == pytest.approx(1)
