"""What networks say of patients that they did not see is joined, kept and scored again."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from core.errors import ModelError
from core.evaluation.comparisons import load_comparisons
from core.evaluation.report import PATIENTS_FILE, patients_left_out
from core.settings import get_settings
from core.training.data.cells import TYPES, TrainingCells

pytestmark = pytest.mark.training
CLASSES = ("neutrophil", "lymphocyte", "blast", "blast", "smudge_cell")


def cells_of(fold):
    """Return the cells of two patients of a fold: half of the first's leukocytes are blasts."""
    first = [(f"Patient_{fold}0", name) for name in CLASSES * 8]
    second = [(f"Patient_{fold}1", name) for name in CLASSES[:2] * 12]
    classes = [*first, *second]
    members = [f"{name}/{patient}_{k}.webp" for k, (patient, name) in enumerate(classes)]
    return TrainingCells(
        crops=np.zeros((len(classes), 1, 1, 3), np.uint8),
        types=np.array([TYPES.index(name) for _, name in classes]),
        details=np.full((len(classes), 1), -1),
        weights=np.ones(len(classes), np.float32),
        unscaled=np.ones(len(classes), np.float32),
        members=np.array(members),
        groups=np.array([patient for patient, _ in classes]),
    )


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Give settings with the shipped card, and networks that know all but their own fold."""
    from research import left_out

    shipped = get_settings()
    folder = tmp_path / "models" / "wbc"
    folder.mkdir(parents=True)
    shutil.copy(shipped.models / "wbc" / "card.json", folder)
    monkeypatch.setattr(left_out, "network_without_source", lambda *_: None)
    monkeypatch.setattr(left_out, "network_without_fold", lambda fold, *_: fold)
    monkeypatch.setattr(
        left_out,
        "sources",
        lambda _settings, _folder, names: {name: cells_of(name[-1]) for name in names},
    )

    def outputs(network, cells, _size):
        """Answer right; the network of fold 0 takes blasts for monocytes."""
        assert all(str(group).startswith(f"Patient_{network}") for group in cells.groups)
        named = cells.types.copy()
        if network == "0":
            named[named == TYPES.index("blast")] = TYPES.index("monocyte")
        return {"type": 8 * np.eye(len(TYPES), dtype=np.float32)[named]}

    monkeypatch.setattr(left_out, "outputs_of", outputs)
    return shipped.model_copy(update={"models": tmp_path / "models"})


def test_folds_are_joined_and_what_was_kept_is_scored_the_same_again(settings, tmp_path):
    from research.left_out import Length, compare_patients, score_kept_patients

    row = compare_patients(settings, tmp_path / "run", Length())
    assert (row.patients, row.figures.n, row.folds) == (10, 5 * 64, list("01234"))
    assert row.blasts.certain_healthy.value == pytest.approx(1 / 5)
    shares = {own.patient: (own.true, own.predicted) for own in row.blasts.patients}
    assert shares["Patient_00"] == (0.5, 0.0)
    assert shares["Patient_10"] == (0.5, 0.5)
    assert shares["Patient_11"] == (0.0, 0.0)
    again = score_kept_patients(settings)
    assert (again.protocol, again.figures, again.blasts) == (
        row.protocol,
        row.figures,
        row.blasts,
    )
    assert load_comparisons("wbc", settings).patients["deepapl"].blasts == row.blasts


def test_kept_cells_take_the_temperature_of_the_card(settings, tmp_path):
    from research.left_out import Length, compare_patients, score_kept_patients

    cold = compare_patients(settings, tmp_path / "run", Length())
    card = settings.models / "wbc" / "card.json"
    written = json.loads(card.read_text())
    card.write_text(json.dumps(written | {"temperature": 2 * written["temperature"]}))
    kept = score_kept_patients(settings)
    trained = compare_patients(settings, tmp_path / "run", Length())
    assert kept.figures.nll == pytest.approx(trained.figures.nll, rel=1e-3)
    assert kept.figures.nll != pytest.approx(cold.figures.nll, rel=0.1)


def test_kept_cells_are_decided_with_the_thresholds_of_the_card(settings, tmp_path):
    from research.left_out import Length, compare_patients, score_kept_patients

    compare_patients(settings, tmp_path / "run", Length())
    card = settings.models / "wbc" / "card.json"
    written = json.loads(card.read_text())
    written["thresholds"]["uncertain"] = 1.0
    card.write_text(json.dumps(written))
    assert score_kept_patients(settings).blasts.certain_healthy.value == 0


def test_without_kept_predictions_a_sentence_says_so(settings):
    from research.left_out import score_kept_patients

    assert patients_left_out(settings) is None
    with pytest.raises(ModelError, match="without --kept"):
        score_kept_patients(settings)


def test_damaged_predictions_are_named(settings):
    path = settings.models / "wbc" / PATIENTS_FILE
    pd.DataFrame({"set": ["deepapl"]}).to_csv(path, index=False)
    with pytest.raises(ModelError, match="research patients deepapl"):
        patients_left_out(settings)
