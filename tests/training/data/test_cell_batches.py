import numpy as np
import pytest

from core.training.data.cells import NO_TYPE, SUBTYPES, TYPES, TrainingCells

pytestmark = pytest.mark.training


def test_unknown_types_and_details_weigh_nothing(cut_cells):
    from core.training.data.cell_batches import targets

    cells = TrainingCells.load(cut_cells / "deepapl_0")
    folders = np.array([member.split("/")[0] for member in cells.members])
    wanted, weights = targets(cells, np.arange(len(cells)))
    assert (weights["type"][folders == "promonocyte"] == 0).all()
    assert (weights["type"][folders == "blast"] == 1).all()
    assert (weights["subtype"] == 1).sum() == 4 * 11  # nine subtypes, and two types without
    assert (weights["granularity"] == 0).all()
    np.testing.assert_allclose(wanted["type"].sum(1), 1, rtol=1e-5)
    assert (wanted["type"][folders == "blast"].argmax(1) == TYPES.index("blast")).all()
    plasma = wanted["subtype"][folders == "plasma_cell"]
    assert set(plasma) == {SUBTYPES.index("plasma_cell")}
    negatives = TrainingCells.load(cut_cells / "negatives")
    wanted, weights = targets(negatives, np.arange(5))
    assert (weights["type"] == 0).all()
    assert (wanted["white"] == 0).all()


def test_views_repeat_with_the_seed_and_sources_get_their_shares(cut_cells):
    from core.training.data.cell_batches import CellBatches

    pbc, negatives = (TrainingCells.load(cut_cells / n) for n in ("pbc_train", "negatives"))

    def batches():
        found = [(pbc, 0.75), (negatives, 0.25)]
        return CellBatches(found, size=48, batch=400, steps=2, seed=3)

    first, again = batches(), batches()
    views, wanted, weights = first[0]
    np.testing.assert_array_equal(views, again[0][0])
    assert views.shape == (400, 48, 48, 3)
    assert 0.18 < 1 - wanted["white"].mean() < 0.32
    np.testing.assert_array_equal(weights["type"] > 0, wanted["white"] == 1)
    again.on_epoch_end()
    assert not np.array_equal(views, again[0][0])


def test_without_augmentation_views_keep_their_colours(cut_cells):
    from core.training.data.cell_batches import Augmentation, CellBatches

    cells = TrainingCells.load(cut_cells / "pbc_train")
    plain = Augmentation(truncated=0, stain_transfer=0, appearance=False)

    def views(augmentation):
        batches = CellBatches(
            [(cells, 1.0)], size=48, batch=60, steps=1, seed=3, augmentation=augmentation
        )
        return batches[0][0].mean((1, 2))

    same, changed = views(plain), views(Augmentation())
    assert np.abs(same - same.mean(0)).max() < np.abs(changed - changed.mean(0)).max()
    assert same.std(0).max() < changed.std(0).min()


def test_what_is_no_cell_is_never_truncated(cut_cells, monkeypatch):
    from core.training.augmentation import appearance
    from core.training.data.cell_batches import Augmentation, CellBatches

    negatives = TrainingCells.load(cut_cells / "negatives")
    assert (negatives.types == NO_TYPE).all()
    monkeypatch.setattr(appearance, "truncate_edge", lambda *_: pytest.fail("truncated"))
    way = Augmentation(truncated=1.0)
    CellBatches([(negatives, 1.0)], size=48, batch=20, steps=1, seed=3, augmentation=way)[0]
