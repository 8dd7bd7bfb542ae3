"""Cells for training are cut at one scale, and what is no cell is none."""

import numpy as np
import pytest

from core.learning.datasets import open_set
from core.learning.detection_data import Labelled
from core.results import Box
from core.taxonomy import CELL_KINDS, CELL_TYPES

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def fields(pack):
    data = open_set("bccd")
    return [
        Labelled(
            data.read(e),
            np.array(
                [
                    (CELL_KINDS.index(b.kind), b.x, b.y, b.x + b.width, b.y + b.height)
                    for b in e.boxes
                ],
                np.float32,
            ),
        )
        for e in data.of_split("train")[:12]
    ]


def test_what_is_no_cell_has_no_type_and_lies_off_the_white_cells(fields):
    from core.learning import cell_data

    rng = np.random.default_rng(0)
    for field in fields:
        whites, reds = (cell_data._boxes(field, kind) for kind in ("wbc", "rbc"))
        if not whites or not reds:
            continue
        for sort, most in ((0, 0.1), (1, 0.1), (2, 0.5)):
            box = cell_data._miss(field.pixels, whites, reds, rng, sort)
            if box is not None:
                assert max(cell_data._covered(box, white) for white in whites) <= most
    cells = cell_data.no_cells(fields, 9)
    assert (cells.types == cell_data.NO_TYPE).all()
    assert (cells.details == -1).all()
    assert cells.crops.shape == (9, cell_data.CONTEXT_SIZE, cell_data.CONTEXT_SIZE, 3)


def test_made_cells_fill_the_crop_as_their_size_in_micrometres_says():
    from core.learning.cell_data import CONTEXT, central_crops, made_cells

    cells = made_cells(12)
    assert len(cells) >= 12
    assert ((cells.unscaled > 0) & (cells.unscaled <= 1)).all()
    crops = central_crops(cells, 120)
    assert crops.shape[1:] == (120, 120, 3)
    share = round(cells.crops.shape[1] / CONTEXT) / cells.crops.shape[1]
    assert share == pytest.approx(1 / CONTEXT, abs=0.01)


def test_batches_repeat_with_their_seed_and_weigh_only_what_is_known(fields):
    from core.learning import augment
    from core.learning.cell_batches import TrainingCells
    from core.learning.cell_data import DETAILS, made_cells, no_cells, untyped_cells

    tones = np.stack([augment.tone(crop) for crop in untyped_cells(fields).crops])
    domains = [(made_cells(12), 0.7), (no_cells(fields, 9), 0.3)]

    def batch():
        return TrainingCells(domains, tones, 64, batch=24, steps=1, seed=4)[0]

    pixels, wanted, weights = batch()
    again, *_ = batch()
    assert np.array_equal(pixels, again)
    assert pixels.shape == (24, 64, 64, 3)
    assert np.array_equal(weights["type"], wanted["white"].astype(np.float32))
    assert 0 < wanted["white"].sum() < 24
    assert all((weights[name] == 0).all() for name in DETAILS)


def test_only_cells_of_which_the_network_is_sure_get_a_type(fields):
    from core.learning.cell_data import untyped_cells
    from core.learning.train_wbc import _typed_by

    class Network:
        """Sure of every cell but the first; says the same of mirrored ones."""

        def predict(self, crops, **_):
            logits = np.zeros((len(crops), len(CELL_TYPES)))
            logits[1:, 2] = 20
            return {"type": logits}

    cells = untyped_cells(fields)
    typed = _typed_by(Network(), cells)
    assert np.array_equal(typed.crops, cells.crops[1:])
    assert set(typed.types) == {2}


def test_a_covered_share_is_that_of_the_first_box():
    from core.learning.cell_data import _covered

    assert _covered(Box(0, 0, 10, 10), Box(5, 0, 100, 10)) == pytest.approx(0.5)
    assert _covered(Box(0, 0, 10, 10), Box(20, 20, 5, 5)) == 0
