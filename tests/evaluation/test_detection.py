import json

import pandas as pd
import pytest

from core.evaluation.detection import count_pairs, detection_curves, detection_metrics
from core.evaluation.schema import DetectionFigures

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
    assert metrics.images == 3
    assert metrics.map50 == metrics.map50_95 == pytest.approx(1)
    assert metrics.per_kind["wbc"].recall.value == 1
    assert metrics.per_kind["rbc"].precision.value == 1
    assert metrics.per_kind["platelet"].map50 is None
    assert metrics.wbc_count_exact.value == 1
    assert metrics.rbc_count_error == metrics.rbc_count_bias == 0
    written = json.dumps(metrics.json_object(), allow_nan=False)
    assert DetectionFigures.model_validate_json(written) == metrics


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
    white, red = metrics.per_kind["wbc"], metrics.per_kind["rbc"]
    assert white.recall.value == 0.5
    assert white.precision.value == 0.5
    assert white.predictions == 2
    # Shifted by 5 of 30 pixels the red cell has IoU 25/35 = .71: right at .5, wrong at .75.
    assert red.recall.value == pytest.approx(1 / 3)
    assert red.map50 == pytest.approx(34 / 101)
    assert red.map50_95 == pytest.approx(34 / 101 / 2)
    assert metrics.wbc_count_exact.value == pytest.approx(1 / 3)
    assert metrics.rbc_count_error == pytest.approx(0.5)
    assert metrics.rbc_count_bias == pytest.approx(-1 / 3)
    lower = detection_metrics(TRUTH, found, FILES, thresholds={"wbc": 0.25})
    assert lower.per_kind["wbc"].recall.value == 1


def test_a_detector_that_finds_nothing():
    metrics = detection_metrics(TRUTH, boxes(score=[]), FILES)
    assert metrics.map50 == 0
    assert metrics.per_kind["wbc"].precision is None
    assert metrics.per_kind["wbc"].recall.value == 0
    assert metrics.wbc_count_exact.value == pytest.approx(1 / 3)


def test_more_than_a_hundred_cells_in_one_image_all_count():
    rows = [("one.webp", "rbc", 20 * (i % 15), 10 * (i // 15), 9, 9) for i in range(150)]
    metrics = detection_metrics(boxes(*rows), boxes(*rows, score=[0.9] * 150), FILES)
    assert metrics.per_kind["rbc"].recall.value == 1


def test_boxes_of_unknown_images_are_rejected():
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
    assert red.precision.sum() / 101 == pytest.approx(metrics.per_kind["rbc"].map50)
    assert red.precision.is_monotonic_decreasing


def test_count_pairs_cover_images_without_cells():
    pairs = count_pairs(TRUTH, boxes(*TRUE_ROWS[:1], score=[0.9]), FILES, "wbc").set_index("file")
    assert pairs.loc["empty.webp"].tolist() == [0, 0]
    assert pairs.loc["two.webp"].tolist() == [1, 0]
