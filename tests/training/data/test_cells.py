import numpy as np
import pytest

from core.imaging.crop import crop_square
from core.inference.cell_classifier import CellRegion
from core.training.data.cells import (
    DETAILS,
    NO_TYPE,
    TYPES,
    TrainingCells,
    central_crops,
    cut_out,
    joined,
)


@pytest.fixture(scope="module")
def subjects(labelled_fields):
    """Give images with the white cells in them that lie far from the edge."""
    return [
        (field.pixels, CellRegion(box, 7.5 / 100))
        for field in labelled_fields
        for box in field.of_kind("wbc")
        if 200 < box.centre[0] < 440 and 200 < box.centre[1] < 280
    ]


def test_the_middle_of_a_kept_crop_is_the_crop_in_use(subjects):
    assert subjects
    crops = [cut_out(*region) for region in subjects]
    cells = TrainingCells.of_crops(crops, [NO_TYPE] * len(subjects))
    for kept, (pixels, region) in zip(central_crops(cells, 64), subjects, strict=True):
        used = crop_square(pixels, region.box, region.crop_side, 64)
        assert np.abs(kept.astype(int) - used).mean() < 4


def test_saved_cells_come_back(subjects, tmp_path):
    crops = [cut_out(*region) for region in subjects]
    blasts = TrainingCells.of_crops(crops, [TYPES.index("blast")] * len(crops))
    cells = joined([blasts, TrainingCells.of_crops(crops[:1], [NO_TYPE])])
    cells.save(tmp_path)
    back = TrainingCells.load(tmp_path)
    assert len(back) == len(crops) + 1
    for name in ("crops", "types", "details", "weights", "unscaled", "members", "groups"):
        np.testing.assert_array_equal(getattr(back, name), getattr(cells, name))
    assert back.chosen(back.types == NO_TYPE).unscaled == cells.unscaled[-1]
    assert len(back.of_types(["blast"])) == len(crops)


def test_of_cells_of_fields_nothing_but_the_type_is_known(subjects):
    cells = TrainingCells.of_crops([cut_out(*subjects[0])], [NO_TYPE])
    assert cells.details.shape == (1, len(DETAILS))
    assert (cells.details == -1).all()
