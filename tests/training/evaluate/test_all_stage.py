import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.boxes import Box
from core.training.evaluate.all_stage import shares_in_boxes


@given(x=st.integers(0, 80), y=st.integers(0, 60), side=st.integers(5, 40))
def test_an_even_map_has_the_share_of_the_area(x, y, side):
    cam = np.ones((7, 7), np.float32)
    inside, area = shares_in_boxes(cam, [Box(x, y, side, side)], 120, 100)
    assert area == pytest.approx(side**2 / (120 * 100))
    assert inside == pytest.approx(area, rel=1e-4)


def test_a_map_on_a_cell_counts_once_where_boxes_overlap():
    cam = np.zeros((10, 10), np.float32)
    cam[2:4, 2:4] = 1
    boxes = [Box(10, 10, 40, 40), Box(12, 12, 30, 30)]
    inside, area = shares_in_boxes(cam, boxes, 100, 100)
    assert inside > 0.99
    assert area == pytest.approx(0.16)


def test_an_empty_map_has_nothing_on_cells():
    inside, _ = shares_in_boxes(np.zeros((7, 7), np.float32), [Box(0, 0, 9, 9)], 50, 50)
    assert inside == 0
