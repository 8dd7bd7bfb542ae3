"""Two steps, publish, load, predict; and what the recipe starts from."""

import json

import numpy as np
import pytest

from core.domain.taxonomy import MATURE_FIVE
from core.inference.cell_classifier import tta_outputs
from core.inference.ood import load_appearance
from core.inference.runtime import LiteRTEngine
from core.model_card import load_card, read_checked
from core.settings import get_settings
from core.training.data.cells import DETAILS, SUBTYPES, TYPES, TrainingCells, central_crops

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def options(cut_cells):
    from core.training.recipes.wbc import Options

    return Options(folds=("0",), without=("lisc",), epochs=0.01, steps=2, size=64, cells=cut_cells)


@pytest.fixture(scope="module", autouse=True)
def eager():
    """Two steps of thirteen heads are done sooner than their graph is made."""
    from core.training.recipes import wbc

    with pytest.MonkeyPatch.context() as patch:
        eager = wbc.compile_arguments() | {"run_eagerly": True}
        patch.setattr(wbc, "compile_arguments", lambda: eager)
        yield


@pytest.fixture(scope="module")
def trained(options, tmp_path_factory):
    from core.training.recipes import wbc

    return wbc.train(get_settings(), tmp_path_factory.mktemp("run"), options)


def test_two_steps_leave_a_network_with_all_heads_and_its_checkpoints(trained, options):
    from core.training.recipes.wbc import load_checkpoint

    outputs = trained.network.predict(np.zeros((1, 64, 64, 3), np.float32), verbose=0)
    assert outputs["type"].shape == (1, 10)
    assert outputs["subtype"].shape == (1, len(SUBTYPES))
    assert set(outputs) == {"type", "white", *DETAILS}
    again = load_checkpoint(trained.run / "epoch_01", options).network
    for own, kept in zip(trained.network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(own, kept, atol=2e-2)


def test_a_published_network_names_cells_out_of_its_file(trained, cut_cells, tmp_path, monkeypatch):
    from core.training.recipes import wbc

    monkeypatch.setattr(wbc, "FOLDS", ("0", "4"))  # those that are cut out here
    monkeypatch.setattr(wbc, "LEFT_OUT", ("kaggle", "lisc"))  # one network is trained for this
    settings = get_settings().model_copy(update={"models": tmp_path})
    wbc.publish(trained, settings, "9.9.9")
    card = load_card("wbc", settings)
    assert (card.version, card.labels) == ("9.9.9", list(TYPES))
    assert card.ood_temperature >= card.temperature > 0
    assert (trained.run / "left_out/kaggle/weights.npz").exists()
    assert set(card.thresholds.by_name()) == {"uncertain", "cellness", "appearance_density"}
    assert card.thresholds.rivals["monocyte"]["blast"] <= wbc.RIVALS["blast"].largest
    assert not any("LISC" in line for line in card.training_data)
    assert load_appearance(card, settings) is not None
    engine = LiteRTEngine(read_checked(card, settings))
    crop = central_crops(TrainingCells.load(cut_cells / "pbc_test"), card.input_width)[0]
    outputs = tta_outputs(engine, crop)
    assert outputs["type"].shape == (10,)
    assert np.isfinite(outputs["type"]).all()


def test_the_checkpoint_is_measured_on_every_left_out_source(trained, cut_cells):
    from core.training.evaluate import checkpoint

    checkpoint.main([str(trained.run), "--cells", str(cut_cells), "--size", "64"])
    figures = json.loads((trained.run / "figures.json").read_text())
    assert figures["sets"]["deepapl_fold"]["n"] == 4 * 12
    assert figures["sets"]["lisc"]["n"] == 20
    assert set(figures["sets"]["lisc"]["per_class"]) == set(MATURE_FIVE)
    assert 0 <= figures["blasts"]["deepapl_fold"]["auroc"] <= 1
    assert figures["subtypes"]["deepapl_fold"]["promonocyte"]["right"]["value"] is not None


def test_a_network_that_errs_under_another_appearance_gets_a_higher_temperature(cut_cells):
    from core.training.ood import fit_appearance_density
    from core.training.recipes.wbc import calibrated

    cells = TrainingCells.load(cut_cells / "pbc_val")
    blue = central_crops(cells, 32)[..., 2].mean((1, 2))
    rank = np.argsort(np.argsort(blue))

    class ByColour:
        """Names a cell by how blue it is, as confident of a changed colour as of a true one."""

        def run(self, batch):
            nearest = np.abs(batch[0, ..., 2].mean() - blue).argmin()
            logits = np.zeros((1, len(TYPES)), np.float32)
            logits[0, rank[nearest] % len(TYPES)] = 6.0
            return {"type": logits, "white": np.array([[0.0, 3.0]], np.float32)}

    told = TrainingCells(
        cells.crops,
        rank % len(TYPES),
        cells.details,
        cells.weights,
        cells.unscaled,
        cells.members,
        cells.groups,
    )
    known = fit_appearance_density([told], [told], 32)
    found = calibrated(ByColour(), [told], known, 1.0, 32)
    assert found["ood_temperature"] == found["temperature"] > 1.5
    assert found["thresholds"]["cellness"] <= 0.5


def test_what_is_certain_is_right_on_the_parts_left_out():
    from core.training.recipes.wbc import fit_decisions

    rng = np.random.default_rng(0)

    def part(count, right):
        """Return cells of which `right(confidence)` are named right."""
        confidence = rng.uniform(0.5, 1, count)
        truth = np.zeros(count, int)
        said = np.where(rng.random(count) < right(confidence), 0, 1)
        values = np.zeros((count, len(TYPES)))
        values[np.arange(count), said] = confidence
        values[np.arange(count), 2] = 1 - confidence
        return values, truth

    home = part(4000, np.ones_like)
    abroad = part(4000, lambda c: np.where(c > 0.8, 0.97, 0.7))
    alone, _ = fit_decisions([home[0]], [home[1]])
    confidence, _ = fit_decisions([home[0], abroad[0]], [home[1], abroad[1]])
    assert alone == pytest.approx(0.5, abs=0.01)
    values, truth = abroad
    certain = values.max(1) >= confidence
    assert (values.argmax(1) == truth)[certain].mean() >= 0.95
    assert 0.6 < confidence < 0.8
