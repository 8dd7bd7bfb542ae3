import numpy as np
import pytest

pytestmark = pytest.mark.training


def test_batches_repeat_with_their_seed_and_weigh_only_what_is_known(labelled_fields):
    from core.training.augmentation import appearance
    from core.training.data.cell_batches import TrainingCells
    from core.training.data.cells import DETAILS
    from core.training.data.eight_type_sources import made_cells, no_cells, untyped_cells

    tones = np.stack([appearance.tone(crop) for crop in untyped_cells(labelled_fields).crops])
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


def test_of_drawn_cytoplasm_only_the_type_is_learnt():
    from dataclasses import replace

    from core.domain.taxonomy import CELL_TYPES
    from core.training.augmentation import appearance
    from core.training.data.cell_batches import TrainingCells
    from core.training.data.cells import DETAILS
    from core.training.data.eight_type_sources import made_cells

    cells = made_cells(30)
    cells = replace(cells, details=np.zeros_like(cells.details))
    tones = np.stack([appearance.tone(crop) for crop in cells.crops])
    way = {"batch": 40, "steps": 1, "seed": 5, "cut": 0.0, "looks": False, "restained": 0.0}
    _, wanted, drawn = TrainingCells([(cells, 1.0)], tones, 64, **way, redrawn=1.0)[0]
    kinds = [list(CELL_TYPES).index(key) for key in ("lymphocyte", "monocyte")]
    mononuclear = np.isin(wanted["type"], kinds)
    assert 0 < mononuclear.sum() < 40
    for name in DETAILS:
        np.testing.assert_array_equal(drawn[name] == 0, mononuclear)
    assert (drawn["type"] == 1).all()
