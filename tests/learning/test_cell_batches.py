import numpy as np
import pytest

pytestmark = pytest.mark.training


def test_batches_repeat_with_their_seed_and_weigh_only_what_is_known(labelled_fields):
    from core.learning import augment
    from core.learning.cell_batches import TrainingCells
    from core.learning.cell_data import DETAILS
    from core.learning.cell_domains import made_cells, no_cells, untyped_cells

    tones = np.stack([augment.tone(crop) for crop in untyped_cells(labelled_fields).crops])
    domains = [(made_cells(12), 0.7), (no_cells(labelled_fields, 9), 0.3)]

    def batch():
        return TrainingCells(domains, tones, 64, batch=24, steps=1, seed=4)[0]

    pixels, wanted, weights = batch()
    again, *_ = batch()
    assert np.array_equal(pixels, again)
    assert pixels.shape == (24, 64, 64, 3)
    assert np.array_equal(weights["type"], wanted["white"].astype(np.float32))
    assert 0 < wanted["white"].sum() < 24
    assert all((weights[name] == 0).all() for name in DETAILS)
