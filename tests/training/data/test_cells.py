import numpy as np
import pytest

from core.imaging.crop import crop_square
from core.inference.cell_classifier import Subject
from core.training.data.cells import (
    NO_TYPE,
    central_crops,
    collected,
    cut_out,
    joined,
    load_cells,
    save_cells,
)
from core.training.data.eight_type_sources import _boxes


@pytest.fixture(scope="module")
def subjects(labelled_fields):
    """Give pictures with the white cells in them that lie far from the edge."""
    return [
        (field.pixels, Subject(box, 7.5 / 100))
        for field in labelled_fields
        for box in _boxes(field, "wbc")
        if 200 < box.centre[0] < 440 and 200 < box.centre[1] < 280
    ]


def test_the_middle_of_a_kept_crop_is_the_crop_in_use(subjects):
    assert subjects
    cells = collected([cut_out(*subject) for subject in subjects], [NO_TYPE] * len(subjects))
    for kept, (pixels, subject) in zip(central_crops(cells, 64), subjects, strict=True):
        used = crop_square(pixels, subject.box, subject.crop_side, 64)
        assert np.abs(kept.astype(int) - used).mean() < 4


def test_kept_cells_are_read_as_they_were(subjects, tmp_path):
    cuts = [cut_out(*subject) for subject in subjects]
    cells = joined([collected(cuts, [0] * len(cuts)), collected(cuts[:1], [NO_TYPE])])
    save_cells(tmp_path / "run" / "cells.npz", cells)
    again = load_cells(tmp_path / "run" / "cells.npz")
    assert len(again) == len(cuts) + 1
    for name in ("crops", "types", "details", "unscaled"):
        np.testing.assert_array_equal(getattr(again, name), getattr(cells, name))
    assert again.chosen(again.types == NO_TYPE).unscaled == cells.unscaled[-1]
