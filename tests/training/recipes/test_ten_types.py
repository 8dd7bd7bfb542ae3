import json

import numpy as np
import pytest

from core.datasets.readers import open_set
from core.domain.taxonomy import CELL_TYPES, MATURE_FIVE
from core.imaging.illumination import set_white_point
from core.inference.cell_classifier import Subject, central_box
from core.settings import get_settings
from core.training.data.cell_sources import DETAILS, SUBTYPES, TYPES, cells_of
from core.training.data.cells import NO_TYPE

pytestmark = pytest.mark.training

PARTS = (
    *(f"pbc_{split}" for split in ("train", "val", "test")),
    "kaggle_train",
    "kaggle_val",
    "deepapl_0",
    "deepapl_4",
    "lisc",
    "cellavision",
    "fields",
    "negatives",
    "negatives_val",
)


@pytest.fixture(scope="module")
def cut_cells(pack, tmp_path_factory):
    """A folder of cut-out cells: four of each type a source has, cut around the middle."""
    folder = tmp_path_factory.mktemp("cells")
    sets = {"kaggle": "pbc", "fields": "pbc", "negatives": "pbc"}
    for part in PARTS:
        data = open_set(sets.get(part.split("_")[0], part.split("_")[0]))
        by_class = {}
        for example in data.examples:
            by_class.setdefault(example.member.split("/")[0], []).append(example)
        examples = [e for of_class in by_class.values() for e in of_class[:4]]
        cells = cells_of(data, examples, lambda p: Subject(central_box(p)), set_white_point)
        if part.startswith("negatives"):
            cells.types[:] = NO_TYPE
            cells.details[:] = -1
        cells.save(folder / part)
    return folder


@pytest.fixture(scope="module")
def trained(cut_cells, tmp_path_factory):
    from core.training.recipes.ten_types import train

    run = tmp_path_factory.mktemp("run")
    network = train(
        get_settings(), run, cut_cells, folds=["0"], without=["lisc"], epochs=1, steps=2, size=64
    )
    return network, run


def test_two_steps_leave_a_network_with_all_heads_and_its_checkpoints(trained):
    from core.training.export import load_weights
    from core.training.recipes.ten_types import ten_type_network

    network, run = trained
    outputs = network.predict(np.zeros((1, 64, 64, 3), np.float32), verbose=0)
    assert outputs["type"].shape == (1, 10)
    assert outputs["subtype"].shape == (1, 9)
    assert set(outputs) == {"type", "white", *DETAILS}
    again = ten_type_network()
    load_weights(again, run / "epoch_01")
    for own, kept in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(own, kept, atol=2e-2)


def test_the_checkpoint_is_measured_on_every_left_out_source(trained, cut_cells):
    from core.training.evaluate import ten_types

    _, run = trained
    ten_types.main([str(run), "--cells", str(cut_cells), "--size", "64"])
    figures = json.loads((run / "figures.json").read_text())
    assert figures["deepapl_fold"]["n"] == 4 * 12
    assert figures["lisc"]["n"] == 20
    assert set(figures["lisc"]["recalls"]) == set(MATURE_FIVE)
    assert 0 <= figures["blasts"]["auroc"] <= 1
    assert figures["subtypes"]["deepapl_fold"]["promonocyte"]["value"] is not None


def test_the_start_names_cells_as_the_shipped_network_does():
    from core.training.export import shipped_network
    from core.training.recipes.ten_types import ten_type_network

    settings = get_settings()
    views = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    own = ten_type_network(settings).predict(views, verbose=0)
    shipped = shipped_network("wbc", settings).predict(views, verbose=0)
    np.testing.assert_allclose(own["type"][:, : len(CELL_TYPES)], shipped["type"], atol=1e-4)
    np.testing.assert_allclose(own["subtype"][:, :5], shipped["maturation"], atol=1e-4)
    np.testing.assert_allclose(own["granule_type"], shipped["granule_type"], atol=1e-4)


def test_unknown_types_and_details_weigh_nothing(cut_cells):
    from core.training.data.cell_sources import SourceCells
    from core.training.recipes.ten_types import targets

    cells = SourceCells.load(cut_cells / "deepapl_0")
    folders = np.array([member.split("/")[0] for member in cells.members])
    wanted, weights = targets(cells, np.arange(len(cells)))
    assert (weights["type"][folders == "promonocyte"] == 0).all()
    assert (weights["type"][folders == "blast"] == 1).all()
    assert (weights["subtype"] == 1).sum() == 4 * 9
    assert (weights["granularity"] == 0).all()
    np.testing.assert_allclose(wanted["type"].sum(1), 1, rtol=1e-5)
    assert (wanted["type"][folders == "blast"].argmax(1) == TYPES.index("blast")).all()
    plasma = wanted["subtype"][folders == "plasma_cell"]
    assert set(plasma) == {SUBTYPES.index("plasma_cell")}
    negatives = SourceCells.load(cut_cells / "negatives")
    wanted, weights = targets(negatives, np.arange(5))
    assert (weights["type"] == 0).all()
    assert (wanted["white"] == 0).all()


def test_views_repeat_with_the_seed_and_sources_get_their_shares(cut_cells):
    from core.training.data.cell_sources import SourceCells
    from core.training.recipes.ten_types import SourceBatches

    pbc, negatives = (SourceCells.load(cut_cells / n) for n in ("pbc_train", "negatives"))

    def batches():
        found = [(pbc, 0.75), (negatives, 0.25)]
        return SourceBatches(found, size=48, batch=400, steps=2, seed=3)

    first, again = batches(), batches()
    views, wanted, weights = first[0]
    np.testing.assert_array_equal(views, again[0][0])
    assert views.shape == (400, 48, 48, 3)
    assert 0.18 < 1 - wanted["white"].mean() < 0.32
    np.testing.assert_array_equal(weights["type"] > 0, wanted["white"] == 1)
    again.on_epoch_end()
    assert not np.array_equal(views, again[0][0])
