import numpy as np
import pytest

from core.domain.taxonomy import CELL_TYPES
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
