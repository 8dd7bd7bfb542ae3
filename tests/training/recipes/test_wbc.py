import numpy as np
import pytest

from core.domain.taxonomy import CELL_TYPES
from core.evaluation.calibration import fit_temperature
from core.training.data.eight_type_sources import untyped_cells

pytestmark = pytest.mark.training


def test_only_cells_of_which_the_network_is_sure_get_a_type(labelled_fields):
    from core.training.recipes.wbc import _typed_by

    class Network:
        """Sure of every cell but the first; says the same of mirrored ones."""

        def predict(self, crops, **_):
            logits = np.zeros((len(crops), len(CELL_TYPES)))
            logits[1:, 2] = 20
            return {"type": logits}

    cells = untyped_cells(labelled_fields)
    typed = _typed_by(Network(), cells)
    assert np.array_equal(typed.crops, cells.crops[1:])
    assert set(typed.types) == {2}


def test_a_network_that_errs_under_another_look_gets_a_higher_temperature():
    from core.training.recipes.wbc import fit_temperature_away

    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, 60)
    # Cells are told by colour: a network as sure of a changed colour as of a true one.
    crops = [np.full((32, 32, 3), (150, 150, 190 if label else 110), np.uint8) for label in truth]
    crops = [np.clip(c + rng.normal(0, 18, 3), 0, 255).astype(np.uint8) for c in crops]

    def answer(pixels):
        blueness = (float(pixels[..., 2].mean()) - float(pixels[..., :2].mean())) / 8
        return np.array([-blueness, blueness], np.float32)

    home = fit_temperature(np.stack([answer(crop) for crop in crops]), truth)
    away = fit_temperature_away(answer, crops, truth)
    assert away > 1.2 * home
    assert away == fit_temperature_away(answer, crops, truth)
