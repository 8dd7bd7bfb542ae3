"""What a shift costs is counted against the pictures as they are."""

import numpy as np
import pytest

from core.evaluation.corruptions import SHIFTS
from core.training.evaluate.corruptions import Said, measure_shifts

TRUTH = ["light", "dark", "light", "dark"]
PICTURES = [np.full((32, 32, 3), 230 if label == "light" else 60, np.uint8) for label in TRUTH]
PICTURES[2] = np.full((32, 32, 3), 205, np.uint8)


def by_brightness(pixels, _number):
    """Name a picture by its mean, unsure of those between; strange ones have a colour."""
    mean, colour = pixels.mean(), np.ptp(pixels.mean((0, 1)))
    return Said("light" if mean > 200 else "dark", abs(mean - 200) > 10, bool(colour < 1))


def test_figures_of_every_shift():
    measured = measure_shifts("made", TRUTH, PICTURES.__getitem__, by_brightness)
    assert (measured["set"], measured["n"]) == ("made", 4)
    assert measured["unchanged"]["accuracy"]["value"] == 1
    assert measured["unchanged"]["classified"]["value"] == 0.75
    assert [row["shift"] for row in measured["rows"]] == list(SHIFTS)
    warm = next(row for row in measured["rows"] if row["shift"] == "Warm white balance")
    assert warm["unfamiliar"]["value"] == 1
    dark = next(row for row in measured["rows"] if row["shift"] == "Vignetting 40 %")
    assert dark["accuracy"]["value"] == 0.5
    for row in measured["rows"]:
        lost = measured["unchanged"]["accuracy"]["value"] - row["accuracy"]["value"]
        assert row["drop"] == pytest.approx(lost)


def test_a_model_that_does_not_tell_has_no_share_of_unfamiliar_looks():
    measured = measure_shifts("made", TRUTH, PICTURES.__getitem__, lambda *_: Said("dark", True))
    assert all("unfamiliar" not in row for row in measured["rows"])
    assert measured["unchanged"]["classified_right"]["value"] == 0.5
