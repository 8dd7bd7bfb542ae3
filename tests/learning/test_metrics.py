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

from core.learning.detection_metrics import count_pairs, detection_curves, detection_metrics
from core.learning.metric_curves import (
    at_threshold,
    precision_recall_points,
    risk_coverage,
    roc_points,
)
from core.learning.metrics import (
    calibration_error,
    classification_metrics,
    f1_of_counts,
    proportion,
    reliability_bins,
    restrict,
    score,
    score_predictions,
)
from core.taxonomy import CELL_TYPES, MATURE_FIVE

LABELS = ["a", "b", "c", "d"]


@st.composite
def answers(draw, labels=LABELS):
    seed, n = draw(st.integers(0, 2**32 - 1)), draw(st.integers(1, 60))
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, len(labels), n)
    logits = rng.normal(size=(n, len(labels))) + draw(st.floats(0, 5)) * np.eye(len(labels))[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return [labels[i] for i in truth], probabilities


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(3)
    truth = np.repeat(np.arange(4), [80, 40, 30, 50])
    logits = rng.normal(size=(200, 4)) + 1.5 * np.eye(4)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return [LABELS[i] for i in truth], probabilities


@settings(deadline=None, max_examples=40)
@given(answers())
def test_matrix_and_limits_agree_with_the_figures(answer):
    truth, probabilities = answer
    metrics = classification_metrics(truth, probabilities, LABELS)
    matrix = np.array(metrics["confusion"])
    assert metrics["accuracy"]["value"] == pytest.approx(np.trace(matrix) / matrix.sum())
    assert matrix.sum() == metrics["n"] == len(truth)
    for row, label in zip(matrix, LABELS, strict=True):
        assert row.sum() == metrics["per_class"][label]["support"] == truth.count(label)
    estimates = [metrics["accuracy"], metrics["balanced_accuracy"], metrics["macro_f1"]]
    estimates += [
        f[k] for f in metrics["per_class"].values() for k in ("precision", "recall", "f1")
    ]
    for estimate in estimates:
        if estimate["value"] is not None:
            low, value, high = (estimate[key] for key in ("low", "value", "high"))
            assert -1e-12 <= low <= value + 1e-12
            assert value - 1e-12 <= high <= 1 + 1e-12
    assert 0 <= metrics["ece"] <= 1
    assert 0 <= metrics["brier"] <= 2
    json.dumps(metrics, allow_nan=False)


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
        assert second[key] == pytest.approx(first[key])
    for key in ("ece", "brier", "nll"):
        assert second[key] == pytest.approx(first[key], abs=1e-9)
    for label in LABELS:
        for key in ("precision", "recall", "f1"):
            assert second["per_class"][label][key] == first["per_class"][label][key]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.sampled_from(LABELS), min_size=1, max_size=40))
def test_perfect_predictions(truth):
    one_hot = np.array([[float(t == label) for label in LABELS] for t in truth])
    metrics = classification_metrics(truth, one_hot, LABELS)
    for key in ("accuracy", "balanced_accuracy", "macro_f1"):
        assert metrics[key]["value"] == pytest.approx(1)
        assert metrics[key]["high"] == pytest.approx(1)
        assert metrics[key]["low"] < 1
    assert metrics["ece"] == metrics["brier"] == metrics["nll"] == 0
    for label in LABELS:
        figures = metrics["per_class"][label]
        if label in truth:
            assert figures["f1"]["value"] == 1
            assert figures["f1"]["low"] < 1
        else:
            assert figures["roc_auc"] is None
            assert figures["average_precision"] is None
            assert figures["recall"]["value"] is None


def test_figures_match_scikit_learn(sample):
    truth, probabilities = sample
    metrics = classification_metrics(truth, probabilities, LABELS)
    prediction = [LABELS[i] for i in probabilities.argmax(axis=1)]
    assert metrics["balanced_accuracy"]["value"] == pytest.approx(
        balanced_accuracy_score(truth, prediction)
    )
    assert metrics["macro_f1"]["value"] == pytest.approx(
        f1_score(truth, prediction, average="macro")
    )
    assert metrics["nll"] == pytest.approx(log_loss(truth, probabilities, labels=LABELS))
    assert metrics["brier"] == pytest.approx(
        brier_score_loss(truth, probabilities, labels=LABELS, scale_by_half=False)
    )
    assert metrics["roc_auc"] == pytest.approx(
        roc_auc_score(truth, probabilities, labels=LABELS, multi_class="ovr")
    )
    each = f1_score(truth, prediction, average=None, labels=LABELS)
    for label, expected in zip(LABELS, each, strict=True):
        assert metrics["per_class"][label]["f1"]["value"] == pytest.approx(expected)
        assert metrics["per_class"][label]["average_precision"] == pytest.approx(
            average_precision_score(np.array(truth) == label, probabilities[:, LABELS.index(label)])
        )


def test_wilson_limits_against_published_values():
    # Newcombe 1998, Stat Med 17:857, table I, method 3.
    for count, total, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)]:
        estimate = proportion(count, total)
        assert estimate["low"] == pytest.approx(low, abs=5e-5)
        assert estimate["high"] == pytest.approx(high, abs=5e-5)
    assert proportion(0, 0) == {"value": None, "low": None, "high": None}


def test_f1_limits_cover_the_truth():
    rng = np.random.default_rng(0)
    rates = np.array([0.3, 0.05, 0.04, 0.61])
    expected = 2 * rates[0] / (2 * rates[0] + rates[1] + rates[2])
    covered = 0
    for hits, wrong, missed, _ in rng.multinomial(150, rates, size=800):
        estimate = f1_of_counts(hits, wrong, missed)
        covered += estimate["low"] <= expected <= estimate["high"]
    assert 0.92 < covered / 800 < 0.98


def test_macro_f1_limits_are_repeatable(sample):
    first, second = (classification_metrics(*sample, LABELS)["macro_f1"] for _ in range(2))
    assert first == second
    assert first["high"] - first["low"] > 0.05


def test_a_set_with_five_types_is_scored_over_its_own_labels():
    all_labels = list(CELL_TYPES)
    probabilities = np.full((2, 8), 0.05)
    probabilities[0, all_labels.index("immature_granulocyte")] = 0.45
    probabilities[0, all_labels.index("neutrophil")] = 0.25
    probabilities[1, all_labels.index("basophil")] = 0.65
    metrics = classification_metrics(
        ["neutrophil", "basophil"], probabilities, MATURE_FIVE, all_labels=all_labels
    )
    assert metrics["labels"] == list(MATURE_FIVE)
    assert metrics["accuracy"]["value"] == 1
    assert metrics["outside_labels"] == 0.5
    assert np.array(metrics["confusion"]).shape == (5, 5)


def test_restricted_rows_sum_to_one_or_stay_zero():
    kept, outside = restrict([[0, 0, 1.0], [0.2, 0.6, 0.2], [0, 0, 0]], ["a", "b", "c"], ["a", "b"])
    assert kept == pytest.approx(np.array([[0, 0], [0.25, 0.75], [0, 0]]))
    assert outside == pytest.approx(1 / 3)


def test_an_image_without_an_answer_is_an_error():
    rows = np.array([[0.9, 0.1], [0, 0], [0.2, 0.8], [0, 0]])
    metrics = classification_metrics(["a", "a", "b", "b"], rows, ["a", "b"])
    assert metrics["accuracy"]["value"] == 0.5
    assert metrics["confusion"] == [[1, 0], [0, 1]]
    assert metrics["unanswered"] == [1, 1]
    assert metrics["per_class"]["a"]["recall"]["value"] == 0.5
    assert metrics["per_class"]["a"]["precision"]["value"] == 1
    assert metrics["per_class"]["a"]["f1"]["value"] == pytest.approx(2 / 3)
    assert metrics["macro_f1"]["value"] == pytest.approx(2 / 3)
    assert metrics["macro_f1"]["low"] < 2 / 3 <= metrics["macro_f1"]["high"]
    assert metrics["nll"] == pytest.approx(-np.log([0.9, 0.8]).mean())


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
def test_what_does_not_fit_is_refused(truth, probabilities):
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
    assert metrics["ece"] == pytest.approx((1 * 0.45 + 4 * 0.3) / 5)


@settings(deadline=None, max_examples=30)
@given(answers())
def test_bins_hold_every_image_within_their_edges(answer):
    scored = score(*answer, LABELS)
    bins = reliability_bins(scored)
    assert bins["count"].sum() == len(scored)
    assert (bins["confidence"] > bins["low"] - 1e-12).all()
    assert (bins["confidence"] <= bins["high"] + 1e-12).all()


@settings(deadline=None, max_examples=30)
@given(answers(), st.floats(0, 1))
def test_risk_and_coverage(answer, threshold):
    scored = score(*answer, LABELS)
    curve = risk_coverage(scored)
    assert curve["threshold"].is_monotonic_decreasing
    assert curve["coverage"].iloc[-1] == 1
    assert curve["risk"].iloc[-1] == pytest.approx(1 - scored["correct"].mean())
    cut = at_threshold(scored, threshold)
    assert cut["answered"] + cut["to_person"] == len(scored)
    answered = curve[curve["threshold"] >= threshold]
    if answered.empty:
        assert cut["accuracy"]["value"] is None
    else:
        assert cut["coverage"] == pytest.approx(answered["coverage"].iloc[-1])
        assert cut["accuracy"]["value"] == pytest.approx(1 - answered["risk"].iloc[-1])


def test_curves_enclose_the_reported_areas(sample):
    truth, probabilities = sample
    scored = score(truth, probabilities, LABELS)
    figures = classification_metrics(truth, probabilities, LABELS)["per_class"]
    for label in LABELS:
        roc = roc_points(scored, label)
        area = np.trapezoid(roc["true_positive_rate"], roc["false_positive_rate"])
        assert area == pytest.approx(figures[label]["roc_auc"])
        curve = precision_recall_points(scored, label)
        assert curve["recall"].is_monotonic_increasing
        steps = np.diff(curve["recall"]) * curve["precision"][1:]
        assert steps.sum() == pytest.approx(figures[label]["average_precision"], abs=0.02)


def test_no_curve_without_images_of_the_class():
    scored = score(["a", "a"], np.array([[0.9, 0.1], [0.6, 0.4]]), ["a", "b"])
    assert roc_points(scored, "a").empty
    assert roc_points(scored, "b").empty
    assert precision_recall_points(scored, "b").empty


def test_a_saved_frame_gives_the_same_figures(sample):
    truth, probabilities = sample
    frame = pd.DataFrame(probabilities, columns=[f"p_{label}" for label in LABELS])
    frame.insert(0, "truth", truth)
    frame.insert(0, "file", [f"{i}.webp" for i in range(len(truth))])
    scored = score_predictions(frame, LABELS)
    metrics = classification_metrics(truth, probabilities, LABELS)
    assert scored["correct"].mean() == pytest.approx(metrics["accuracy"]["value"])
    assert scored["file"].tolist() == frame["file"].tolist()
    fewer = score_predictions(frame[frame["truth"].isin(["a", "b"])], ["a", "b"])
    assert (fewer["p_a"] + fewer["p_b"]).to_numpy() == pytest.approx(1)


FILES = ["one.webp", "two.webp", "empty.webp"]


def boxes(*rows, score=None):
    columns = ["file", "kind", "x", "y", "width", "height"] + ([] if score is None else ["score"])
    values = [[*row, s] for row, s in zip(rows, score, strict=True)] if score is not None else rows
    return pd.DataFrame(values, columns=columns)


TRUE_ROWS = [
    ("one.webp", "wbc", 10, 10, 50, 50),
    ("one.webp", "rbc", 100, 10, 30, 30),
    ("one.webp", "rbc", 150, 10, 30, 30),
    ("two.webp", "wbc", 20, 20, 60, 60),
    ("two.webp", "rbc", 200, 100, 30, 30),
]
TRUTH = boxes(*TRUE_ROWS)


def test_a_perfect_detector():
    metrics = detection_metrics(TRUTH, boxes(*TRUE_ROWS, score=[0.9] * 5), FILES)
    assert metrics["images"] == 3
    assert metrics["map50"] == metrics["map50_95"] == pytest.approx(1)
    assert metrics["per_kind"]["wbc"]["recall"]["value"] == 1
    assert metrics["per_kind"]["rbc"]["precision"]["value"] == 1
    assert metrics["per_kind"]["platelet"]["map50"] is None
    assert metrics["wbc_count_exact"]["value"] == 1
    assert metrics["rbc_count_error"] == metrics["rbc_count_bias"] == 0
    json.dumps(metrics, allow_nan=False)


def test_misses_shifts_and_false_alarms():
    found = boxes(
        ("one.webp", "wbc", 10, 10, 50, 50),
        ("empty.webp", "wbc", 0, 0, 40, 40),
        ("two.webp", "wbc", 20, 20, 60, 60),
        ("one.webp", "rbc", 105, 10, 30, 30),
        ("one.webp", "rbc", 250, 150, 30, 30),
        score=[0.9, 0.8, 0.3, 0.95, 0.6],
    )
    metrics = detection_metrics(TRUTH, found, FILES)
    white, red = metrics["per_kind"]["wbc"], metrics["per_kind"]["rbc"]
    assert white["recall"]["value"] == 0.5
    assert white["precision"]["value"] == 0.5
    assert white["predictions"] == 2
    # Shifted by 5 of 30 pixels the red cell has IoU 25/35 = .71: right at .5, wrong at .75.
    assert red["recall"]["value"] == pytest.approx(1 / 3)
    assert red["map50"] == pytest.approx(34 / 101)
    assert red["map50_95"] == pytest.approx(34 / 101 / 2)
    assert metrics["wbc_count_exact"]["value"] == pytest.approx(1 / 3)
    assert metrics["rbc_count_error"] == pytest.approx(0.5)
    assert metrics["rbc_count_bias"] == pytest.approx(-1 / 3)
    lower = detection_metrics(TRUTH, found, FILES, thresholds={"wbc": 0.25})
    assert lower["per_kind"]["wbc"]["recall"]["value"] == 1


def test_a_detector_that_finds_nothing():
    metrics = detection_metrics(TRUTH, boxes(score=[]), FILES)
    assert metrics["map50"] == 0
    assert metrics["per_kind"]["wbc"]["precision"]["value"] is None
    assert metrics["per_kind"]["wbc"]["recall"]["value"] == 0
    assert metrics["wbc_count_exact"]["value"] == pytest.approx(1 / 3)


def test_more_than_a_hundred_cells_in_one_image_all_count():
    rows = [("one.webp", "rbc", 20 * (i % 15), 10 * (i // 15), 9, 9) for i in range(150)]
    metrics = detection_metrics(boxes(*rows), boxes(*rows, score=[0.9] * 150), FILES)
    assert metrics["per_kind"]["rbc"]["recall"]["value"] == 1


def test_boxes_of_unknown_images_are_refused():
    with pytest.raises(ValueError, match="not in the set"):
        detection_metrics(boxes(("other.webp", "wbc", 0, 0, 5, 5)), boxes(score=[]), FILES)


def test_detection_curves_enclose_average_precision():
    found = boxes(
        *TRUE_ROWS[:4], ("one.webp", "rbc", 250, 150, 30, 30), score=[0.9, 0.8, 0.7, 0.6, 0.75]
    )
    curves = detection_curves(TRUTH, found, FILES)
    assert set(curves["kind"]) == {"wbc", "rbc"}
    metrics = detection_metrics(TRUTH, found, FILES)
    red = curves[curves["kind"] == "rbc"]
    assert red["precision"].sum() / 101 == pytest.approx(metrics["per_kind"]["rbc"]["map50"])
    assert red["precision"].is_monotonic_decreasing


def test_count_pairs_cover_images_without_cells():
    pairs = count_pairs(TRUTH, boxes(*TRUE_ROWS[:1], score=[0.9]), FILES, "wbc").set_index("file")
    assert pairs.loc["empty.webp"].tolist() == [0, 0]
    assert pairs.loc["two.webp"].tolist() == [1, 0]


def test_the_calibration_error_is_that_of_the_sets(sample):
    truth, probabilities = sample
    told = classification_metrics(truth, probabilities, LABELS)["ece"]
    columns = np.array([LABELS.index(label) for label in truth])
    assert calibration_error(probabilities, columns) == pytest.approx(told)
