"""Cells for training are of their domain, and what is no cell is none."""

import numpy as np
import pytest

from core.domain.boxes import Box
from core.domain.taxonomy import CELL_TYPES, MATURE_FIVE
from core.inference.cell_classifier import ASSUMED_CELL_MICROMETRES
from core.training.data.cells import CONTEXT, CONTEXT_SIZE, NO_TYPE
from core.training.data.eight_type_sources import (
    MISSES,
    MOST_COVERED,
    _boxes,
    _covered,
    _miss,
    made_cells,
    no_cells,
    untyped_cells,
)


@pytest.mark.parametrize("miss", MISSES)
def test_a_miss_lies_off_the_white_cells(labelled_fields, miss):
    rng = np.random.default_rng(0)
    found = 0
    for field in labelled_fields:
        whites, reds = (_boxes(field, kind) for kind in ("wbc", "rbc"))
        box = _miss(field.pixels, whites, reds, rng, miss)
        if box is not None:
            found += 1
            assert max(_covered(box, white) for white in whites) <= MOST_COVERED[miss]
    assert found > 0


def test_what_is_no_cell_has_no_type_and_no_details(labelled_fields):
    cells = no_cells(labelled_fields, 9)
    assert (cells.types == NO_TYPE).all()
    assert (cells.details == -1).all()
    assert cells.crops.shape == (9, CONTEXT_SIZE, CONTEXT_SIZE, 3)


def test_cells_of_labelled_fields_wait_for_a_type(labelled_fields):
    cells = untyped_cells(labelled_fields)
    assert len(cells) == sum((field.boxes[:, 0] == 0).sum() for field in labelled_fields)
    assert (cells.types == NO_TYPE).all()


def test_made_cells_are_mature_and_as_large_as_white_cells_are():
    cells = made_cells(12)
    assert len(cells) >= 12
    assert set(cells.types) <= {list(CELL_TYPES).index(key) for key in MATURE_FIVE}
    # The crop without a scale takes the cell for 13.5 µm: its share tells the true size.
    micrometres = cells.unscaled * CONTEXT * ASSUMED_CELL_MICROMETRES
    assert micrometres.min() > 7
    assert micrometres.max() < 20


def test_a_covered_share_is_that_of_the_first_box():
    assert _covered(Box(0, 0, 10, 10), Box(5, 0, 100, 10)) == pytest.approx(0.5)
    assert _covered(Box(0, 0, 10, 10), Box(20, 20, 5, 5)) == 0
