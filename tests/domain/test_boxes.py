"""Geometry of boxes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.boxes import (
    Box,
    image_box,
    iou,
    suppress_between_groups,
    suppress_with_voting,
    xyxy_array,
)

SIDES = st.floats(1, 100, width=32)
BOXES = st.builds(Box, st.floats(-50, 300, width=32), st.floats(-50, 300, width=32), SIDES, SIDES)


def xyxy(*boxes):
    return np.array(boxes, np.float32).reshape(-1, 4)


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (-1, 5), (float("nan"), 5)])
def test_a_box_without_area_is_rejected(width, height):
    with pytest.raises(ValueError, match="positive width and height"):
        Box(0, 0, width, height)


def test_corners_and_sides_convert_into_each_other():
    box = Box.from_xyxy(10, 20, 40, 80)
    assert box == Box(10, 20, 30, 60)
    assert box.xyxy == (10, 20, 40, 80)


def test_iou_is_the_shared_area_over_that_of_both():
    one, *others = xyxy_array([Box(0, 0, 10, 10), Box(5, 0, 10, 10), Box(10, 0, 10, 10)])
    assert iou(one, np.array([one, *others])) == pytest.approx([1, 50 / 150, 0])


def test_slices_cover_what_of_the_box_is_in_the_image():
    covered = np.zeros((20, 20), bool)
    covered[Box(-5, 10.4, 8, 30).slices] = True
    assert covered[10:, :3].all()
    assert covered.sum() == 30
    covered[Box(-30, -30, 10, 10).slices] = True
    assert covered.sum() == 30


def test_margins_are_negative_where_a_box_sticks_out():
    assert Box(3, 5, 10, 10).margin_within(image_box(100, 16)) == 1
    assert Box(-2, 5, 10, 10).margin_within(image_box(100, 100)) == -2


def test_the_best_box_stays_and_takes_the_mean_of_those_that_agree():
    boxes = xyxy((0, 0, 10, 10), (1, 0, 11, 10), (0, 0, 10, 6), (50, 50, 60, 60))
    scores = np.array([0.9, 0.6, 0.8, 0.3], np.float32)
    kept, kept_scores = suppress_with_voting(boxes, scores, max_iou=0.5, voting_iou=0.7)
    assert kept_scores.tolist() == pytest.approx([0.9, 0.3])
    weight = 0.6 * 90 / 110
    assert kept[0] == pytest.approx([weight / (0.9 + weight), 0, 10 + weight / (0.9 + weight), 10])
    assert kept[1] == pytest.approx([50, 50, 60, 60])


def test_nothing_is_suppressed_of_nothing():
    none, scores = suppress_with_voting(
        xyxy(), np.empty(0, np.float32), max_iou=0.5, voting_iou=0.7
    )
    assert none.shape == (0, 4)
    assert scores.shape == (0,)
    assert suppress_between_groups(none, [], max_iou=0.5).tolist() == []


def test_boxes_of_one_group_never_drop_each_other():
    boxes = xyxy((0, 0, 10, 10), (0, 0, 10, 10), (0, 0, 10, 9), (40, 0, 50, 10))
    assert suppress_between_groups(boxes, ["a", "b", "a", "b"], max_iou=0.5).tolist() == [0, 2, 3]


@given(st.lists(st.tuples(BOXES, st.integers(0, 2)), max_size=30))
def test_looking_at_neighbours_only_drops_what_looking_at_all_drops(cells):
    boxes, groups = xyxy_array(box for box, _ in cells), [group for _, group in cells]
    kept = []
    for index, group in enumerate(groups):
        rivals = [other for other in kept if groups[other] != group]
        if not rivals or iou(boxes[index], boxes[rivals]).max() <= 0.4:
            kept.append(index)
    assert suppress_between_groups(boxes, groups, max_iou=0.4).tolist() == kept
