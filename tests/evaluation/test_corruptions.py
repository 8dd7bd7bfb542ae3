"""Every shift changes what it names and nothing else."""

import numpy as np
import pytest

from core.datasets.readers import open_set
from core.evaluation.corruptions import CORRUPTIONS, UNEVEN_LIGHT, resize, stain_strength, turn_hue


@pytest.fixture(scope="module")
def field(pack):
    data = open_set("bccd")
    return data.read(data.examples[3])


CHANGES = {**CORRUPTIONS, **UNEVEN_LIGHT}


@pytest.mark.parametrize("name", CHANGES)
def test_a_shift_changes_the_image_the_same_way_each_time(field, name):
    before = field.copy()
    changed = CHANGES[name](field)
    assert changed.dtype == np.uint8
    assert changed.shape[2] == 3
    assert np.array_equal(changed, CHANGES[name](field))
    assert np.array_equal(field, before)
    assert changed.shape != field.shape or np.abs(changed.astype(int) - field).mean() > 0.5


def test_stain_strength_one_and_a_full_turn_change_nothing(field):
    assert np.abs(stain_strength(field, 1.0).astype(int) - field)[field < 230].max() <= 1
    assert np.abs(turn_hue(field, 360).astype(int) - turn_hue(field, 0)).max() == 0


def test_stronger_stain_darkens_cells_and_spares_the_glass(field):
    strong = stain_strength(field, 1.4).astype(int)
    dark = field.mean(-1) < np.percentile(field.mean(-1), 5)
    assert (field[dark].mean() - strong[dark].mean()) > 10
    glass = np.percentile(field.reshape(-1, 3), 90, axis=0)
    assert np.abs(np.percentile(strong.reshape(-1, 3), 90, axis=0) - glass).max() <= 4


def test_resizing_keeps_the_shape_of_the_field(field):
    assert resize(field, 0.5).shape == (field.shape[0] // 2, field.shape[1] // 2, 3)
