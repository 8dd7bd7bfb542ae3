"""The density of the appearance of training cells tells what is unlike them."""

import numpy as np
import pytest

from core.training.data.cells import CONTEXT_SIZE, CellCrop, TrainingCells, central_crops
from core.training.ood import OOD_CELLS, fit_appearance_density

pytestmark = pytest.mark.training


def cells(seed, count, red):
    """Return smooth patches of one source: a mean red, and noise of two sizes."""
    rng = np.random.default_rng(seed)
    coarse = np.kron(rng.normal(0, 12, (count, 27, 27, 3)), np.ones((1, 8, 8, 1)))
    fine = rng.normal(0, 4, (count, CONTEXT_SIZE, CONTEXT_SIZE, 3))
    crops = np.clip(np.array([red, 120, 160]) + coarse + fine, 0, 255).astype(np.uint8)
    return TrainingCells.of_crops([CellCrop(crop, 1.0) for crop in crops], [0] * count)


def test_cells_of_another_colour_are_out_of_distribution():
    training = [cells(seed, 40, 200) for seed in range(3)]
    validation = [cells(seed, 40, 200) for seed in (3, 4)]
    appearance = fit_appearance_density(training, validation, 64)
    known = np.concatenate([appearance.knows(central_crops(own, 64)) for own in validation])
    assert 0 < (~known).sum() <= max(OOD_CELLS * len(known), 1)
    assert not appearance.knows(central_crops(cells(9, 20, 120), 64)).any()
