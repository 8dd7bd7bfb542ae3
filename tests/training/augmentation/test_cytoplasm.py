"""Drawn cytoplasm changes how much of it a cell has, never its nucleus."""

import numpy as np
import pytest
from scipy import ndimage

from core.datasets.readers import open_set
from core.imaging.crop import crop_square, glass_colour
from core.inference.cell_classifier import Subject, central_box
from core.training.augmentation.cytoplasm import nucleus_mask, redraw_cytoplasm

SIDE = 0.42
"""A small lymphocyte's share of the crop."""


@pytest.fixture(scope="module")
def lymphocyte(pack):
    data = open_set("pbc")
    example = next(e for e in data.examples if e.label == "lymphocyte" and e.split == "train")
    pixels = data.read(example)
    box = central_box(pixels)
    return crop_square(pixels, box, Subject(box).crop_side * 1.35, 216)


def stained(pixels):
    """Share of the crop that is plainly darker than glass."""
    return float((np.array(glass_colour(pixels)) - pixels.astype(int) > 25).any(-1).mean())


@pytest.mark.parametrize("seed", range(6))
def test_the_nucleus_stays_and_the_cell_grows(lymphocyte, seed):
    drawn = redraw_cytoplasm(lymphocyte, SIDE, np.random.default_rng(seed))
    assert drawn.shape == lymphocyte.shape
    assert drawn.dtype == np.uint8
    core = ndimage.binary_erosion(nucleus_mask(lymphocyte, SIDE * 216 / 2), iterations=8)
    assert core.any()
    np.testing.assert_allclose(drawn[core].mean(0), lymphocyte[core].mean(0), atol=15)
    assert stained(drawn) > stained(lymphocyte)


def test_the_same_seed_draws_the_same(lymphocyte):
    first, second = (redraw_cytoplasm(lymphocyte, SIDE, np.random.default_rng(3)) for _ in "ab")
    np.testing.assert_array_equal(first, second)


def test_without_a_nucleus_nothing_is_drawn():
    glass = np.full((216, 216, 3), 230, np.uint8)
    assert redraw_cytoplasm(glass, SIDE, np.random.default_rng(0)) is None
