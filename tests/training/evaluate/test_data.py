import numpy as np
import pytest

from core.datasets.readers import open_set
from core.domain.taxonomy import CELL_KINDS, MATURE_FIVE
from core.training.evaluate.data import describe, mean_lab


def test_cells_are_counted_by_label(pack):
    del pack
    data = open_set("cellavision")
    told = describe(data)
    assert told.images == 100
    assert sum(told.counts["test"].values()) == 100
    assert set(told.counts["test"]) == set(told.samples) == set(MATURE_FIVE)
    of_member = {e.member: e.label for e in data.examples}
    assert all(of_member[member] == label for label, member in told.samples.items())
    assert sum(size.share for size in told.sizes) <= 1 + 1e-9
    assert 40 < told.colour.mean[0] < 100


def test_boxes_are_counted_by_kind(pack):
    del pack
    data = open_set("bccd")
    told = describe(data)
    for split, counts in told.counts.items():
        assert set(counts) <= set(CELL_KINDS)
        assert sum(counts.values()) == sum(len(e.boxes) for e in data.of_split(split))
    assert told.sizes[0].width == 640


@pytest.mark.parametrize(
    ("colour", "lab"),
    [((255, 255, 255), (100, 0, 0)), ((0, 0, 0), (0, 0, 0)), ((128, 0, 128), (30, 59, -37))],
)
def test_mean_colours_are_in_the_units_of_cielab(colour, lab):
    assert mean_lab(np.full((8, 8, 3), colour, np.uint8)) == pytest.approx(lab, abs=1.5)
