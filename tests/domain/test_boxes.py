"""Geometry of boxes."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.domain.boxes import (
    LEAST_SHARE,
    Box,
    dividing_line,
    image_box,
    iou,
    split_box,
    suppress_between_groups,
    suppress_with_voting,
    turned,
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


@given(
    box=BOXES,
    place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    angle=st.floats(0, 2 * np.pi),
)
def test_both_halves_of_a_split_box_lie_in_it_and_fill_its_sides(box, place, angle):
    start = box.x + place[0] * box.width, box.y + place[1] * box.height
    end = start[0] + 40 * np.cos(angle), start[1] + 40 * np.sin(angle)
    direction, share = dividing_line(box, start, end)
    assert np.hypot(*direction) == pytest.approx(1)
    assume(LEAST_SHARE <= share <= 1 - LEAST_SHARE)
    first, second = split_box(box, direction, share)
    for half in (first, second):
        assert half.margin_within(box) >= -1e-3
    assert min(first.x, second.x) == pytest.approx(box.x, abs=1e-3)
    assert max(first.right, second.right) == pytest.approx(box.right, abs=1e-3)
    assert min(first.y, second.y) == pytest.approx(box.y, abs=1e-3)
    assert max(first.bottom, second.bottom) == pytest.approx(box.bottom, abs=1e-3)


def test_a_line_divides_a_box_where_it_is_drawn():
    box = Box(10, 20, 40, 30)
    for start, end in (((20, 0), (20, 99)), ((20, 50), (20, 20))):  # whichever way it was drawn
        assert split_box(box, *dividing_line(box, start, end)) == (
            Box(10, 20, 10, 30),
            Box(20, 20, 30, 30),
        )
    upper, lower = split_box(box, *dividing_line(box, (0, 35), (70, 35)))
    assert (upper, lower) == (Box(10, 20, 40, 15), Box(10, 35, 40, 15))
    # Two round cells of 20 pixels that touch on the diagonal.
    square = Box(0, 0, 34.142, 34.142)
    left, right = split_box(square, *dividing_line(square, (0, 34.142), (34.142, 0)))
    assert left.xywh == pytest.approx((0, 0, 20, 20), abs=0.01)
    assert right.xywh == pytest.approx((14.142, 14.142, 20, 20), abs=0.01)
    for start, end in (((5, 5), (5, 5)), ((12, 0), (12, 9)), ((0, 90), (50, 90))):
        with pytest.raises(ValueError, match=r"line needs two points|too small"):
            split_box(box, *dividing_line(box, start, end))


@given(box=BOXES, other=BOXES)
def test_the_part_within_another_box_lies_in_both(box, other):
    part = box.within(other)
    if part is None:
        assert box.covered_by(other) == pytest.approx(0, abs=1e-3)
    else:
        assert min(part.margin_within(box), part.margin_within(other)) >= -1e-3
        assert part.area == pytest.approx(box.covered_by(other) * box.area, rel=1e-3)


@given(
    left=st.integers(0, 8), top=st.integers(0, 5), across=st.integers(1, 4), down=st.integers(1, 4),
    quarters=st.integers(0, 3),
)  # fmt: skip
def test_a_turned_box_lies_on_the_same_pixels_of_a_turned_image(left, top, across, down, quarters):
    image = np.zeros((9, 12), int)
    image[top : top + down, left : left + across] = 1
    box = turned(Box(left, top, across, down), 12, 9, 90 * quarters)
    rotated = np.rot90(image, -quarters)
    assert rotated[box.slices].all()
    assert rotated.sum() == rotated[box.slices].sum()
