from dataclasses import replace
from itertools import combinations

import cv2
import numpy as np
import pytest

from core.datasets.readers import open_set
from core.domain.boxes import Box, iou, xyxy_array
from core.errors import DataError
from core.settings import get_settings
from core.synthetic.fields import make_field
from core.training.data.clumps import (
    Cutout,
    clump_fields,
    cut_out,
    cutouts_of_fields,
    cutouts_of_patients,
    flattened,
    with_clump,
)
from core.training.data.detection_fields import Labelled, corner_rows

pytestmark = pytest.mark.training

GREEN = (20, 200, 20)


@pytest.fixture(scope="module")
def field():
    synthetic = make_field(5)
    return Labelled(synthetic.pixels, corner_rows((c.kind, c.box) for c in synthetic.cells))


@pytest.fixture(scope="module")
def discs():
    """Give green discs, so that pasted pixels can be told from all others."""
    opacity = np.zeros((60, 60), np.float32)
    cv2.circle(opacity, (30, 30), 22, 1.0, cv2.FILLED)
    return [Cutout(np.full((60, 60, 3), GREEN, np.uint8), opacity)]


def without_white(field):
    return replace(field, boxes=field.boxes[field.boxes[:, 0] != 0])


def test_pasted_cells_have_boxes_where_they_are_seen(field, discs):
    clear = without_white(field)
    for seed in range(8):
        made = with_clump(clear, discs, np.random.default_rng(seed))
        pasted = made.of_kind("wbc")
        assert pasted
        is_green = (np.abs(made.pixels.astype(int) - GREEN).max(-1) < 8).astype(np.uint8)
        covered = np.zeros_like(is_green)
        for box in pasted:
            assert 0.68 < is_green[box.slices].mean() <= 1  # a disc fills pi / 4 of its box
            covered[box.slices] = 1
        assert not (is_green & ~covered).any()


def test_cells_of_a_clump_touch_and_hardly_overlap(field, discs):
    touching = 0
    for seed in range(8):
        boxes = with_clump(without_white(field), discs, np.random.default_rng(seed)).of_kind("wbc")
        corners = xyxy_array(boxes)
        pairs = [iou(corners[a], corners[[b]])[0] for a, b in combinations(range(len(boxes)), 2)]
        assert max(pairs, default=0) < 0.45
        touching += (
            sum(
                max(iou(box, np.delete(corners, k, 0)), default=0) > 0
                for k, box in enumerate(corners)
            )
            >= len(boxes) - 1
        )
    assert touching == 8


def test_white_cells_keep_their_boxes_and_hidden_red_cells_lose_theirs(discs):
    pixels = np.full((200, 200, 3), 230, np.uint8)
    red = [("rbc", Box(x, y, 12, 12)) for x in range(0, 190, 12) for y in range(0, 190, 12)]
    field = Labelled(pixels, corner_rows([("wbc", Box(80, 80, 40, 40)), *red]), only_white=True)
    made = with_clump(field, discs, np.random.default_rng(1))
    assert (made.boxes == field.boxes[0]).all(1).any()
    assert made.only_white
    kept = made.of_kind("rbc")
    assert len(kept) < len(red)
    changed = (made.pixels != 230).any(-1)
    assert all(changed[box.slices].mean() < 0.7 for box in kept)


def test_an_outline_that_does_not_fill_its_box_is_no_cutout():
    pixels = np.full((120, 120, 3), 235, np.uint8)
    cv2.circle(pixels, (60, 60), 24, (90, 50, 140), cv2.FILLED)
    found = cut_out(pixels, Box(36, 36, 48, 48))
    assert found is not None
    assert found.diameter == pytest.approx(48, rel=0.12)
    assert cut_out(pixels, Box(20, 20, 80, 80)) is None
    assert cut_out(pixels, Box(0, 0, 30, 30)) is None


def test_without_cells_nothing_is_composed(field):
    with pytest.raises(DataError, match="No white cell"):
        clump_fields([field], [], 1, seed=1)


def test_real_cells_are_cut_out_of_fields_and_of_crops(labelled_fields, monkeypatch):
    monkeypatch.setattr("core.training.data.clumps._CROPS_A_LABEL", 2)
    of_fields = cutouts_of_fields(flattened(labelled_fields))
    assert len(of_fields) >= 3
    open_set("deepapl")
    of_crops = cutouts_of_patients(get_settings(), ("0",))
    assert len(of_crops) >= 3
    once, again = (clump_fields(labelled_fields, of_fields + of_crops, 3, seed=2) for _ in "ab")
    for a, b in zip(once, again, strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)
        np.testing.assert_array_equal(a.boxes, b.boxes)
