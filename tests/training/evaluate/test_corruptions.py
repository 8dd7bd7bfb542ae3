"""What a corruption costs is counted against the images as they are."""

import numpy as np
import pytest

from core.evaluation.corruptions import CORRUPTIONS
from core.training.evaluate.corruptions import Prediction, measure_corruptions

TRUTH = ["light", "dark", "light", "dark"]
IMAGES = [np.full((32, 32, 3), 230 if label == "light" else 60, np.uint8) for label in TRUTH]
IMAGES[2] = np.full((32, 32, 3), 205, np.uint8)


def by_brightness(pixels, _number):
    """Name an image by its mean, uncertain of those between; strange ones have a colour."""
    mean, colour = pixels.mean(), np.ptp(pixels.mean((0, 1)))
    return Prediction("light" if mean > 200 else "dark", abs(mean - 200) > 10, bool(colour < 1))


def test_figures_of_every_corruption():
    measured = measure_corruptions("synthetic", TRUTH, IMAGES.__getitem__, by_brightness)
    assert (measured.set, measured.n) == ("synthetic", 4)
    assert measured.unchanged.accuracy.value == 1
    assert measured.unchanged.classified.value == 0.75
    rows = {row.corruption: row for row in measured.rows}
    assert list(rows) == list(CORRUPTIONS)
    assert rows["Warm white balance"].out_of_distribution.value == 1
    assert rows["Vignetting 40 %"].accuracy.value == 0.5
    for row in measured.rows:
        lost = measured.unchanged.accuracy.value - row.accuracy.value
        assert row.drop == pytest.approx(lost)


def test_a_model_that_cannot_tell_has_no_figure_out_of_distribution():
    measured = measure_corruptions(
        "synthetic", TRUTH, IMAGES.__getitem__, lambda *_: Prediction("dark", True)
    )
    assert all("unfamiliar" not in row for row in measured.json_object()["rows"])
    assert measured.unchanged.classified_right.value == 0.5
