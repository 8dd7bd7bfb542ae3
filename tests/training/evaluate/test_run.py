import json
from argparse import Namespace
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from core.datasets.readers import open_set
from core.domain.taxonomy import DEEPAPL_SEVEN, KAGGLE_FOUR, MATURE_FIVE, PBC_EIGHT, STAGES
from core.errors import DataError
from core.evaluation.metrics import classification_metrics
from core.evaluation.report import load_report
from core.evaluation.schema import ClassifierFigures
from core.model_card import load_card
from core.settings import Settings, get_settings
from core.training.evaluate import run
from core.training.evaluate.detector import corrected

LABELS = {
    "cellavision": MATURE_FIVE,
    "kaggle_test_simple": KAGGLE_FOUR,
    "kaggle_test": KAGGLE_FOUR,
    "lisc": MATURE_FIVE,
    "deepapl_fold": DEEPAPL_SEVEN,
    "pbc_test": PBC_EIGHT,
    "wbcatt_test": MATURE_FIVE,
    "taleqani_folds": tuple(STAGES),
    "taleqani_folds_stain_jitter": tuple(STAGES),
    "taleqani_folds_tone_swapped": tuple(STAGES),
    "taleqani_folds_closer": tuple(STAGES),
    "taleqani_folds_farther": tuple(STAGES),
}


def shipped(model):
    folder = get_settings().models / model
    metrics = json.loads((folder / "metrics.json").read_text())
    return metrics, pd.read_csv(folder / "predictions.csv.gz")


@pytest.mark.parametrize("model", ["wbc", "all_stage"])
def test_shipped_metrics_follow_from_the_shipped_predictions(model):
    metrics, predictions = shipped(model)
    assert metrics["version"] == load_card(model).version
    assert set(metrics["sets"]) == set(predictions["set"])
    columns = [c for c in predictions.columns if c.startswith("p_")]
    for name, rows in predictions.groupby("set"):
        again = classification_metrics(
            rows["truth"].tolist(),
            rows[columns].to_numpy(),
            list(LABELS[name]),
            all_labels=[c.removeprefix("p_") for c in columns],
        )
        told = metrics["sets"][name]
        assert told["n"] == len(rows)
        assert told["confusion"] == again.confusion
        assert told["accuracy"] == asdict(again.accuracy)
        assert told["ece"] == pytest.approx(again.ece, abs=1e-4)


def test_shipped_predictions_cover_the_test_splits(pack):
    _, predictions = shipped("wbc")
    sizes = predictions["set"].value_counts().to_dict()
    assert sizes == {
        "pbc_test": 5_141,
        "wbcatt_test": 3_099,
        "kaggle_test": 2_487,
        "cellavision": 100,
        "lisc": 268,
        "deepapl_fold": 2_399,
        "kaggle_test_simple": 71,
    }
    tested = set(predictions.loc[predictions["set"] == "pbc_test", "file"])
    assert tested == {e.member for e in open_set("pbc").of_split("test")}


def test_corrections_mend_what_they_name_and_leave_the_rest(pack):
    data = open_set("txl").of_split("test")
    before = {e.member: len(e.boxes) for e in data}
    after = {e.member: corrected(e) for e in data}
    changed = [m for m in before if len(after[m]) != before[m]]
    assert sum(before.values()) - sum(map(len, after.values())) == 38
    assert len(changed) == 4
    # Every picture of the set was taken of a white cell.
    assert all(any(b.kind == "wbc" for b in boxes) for boxes in after.values())


def test_a_folder_of_ones_own_is_measured(pack, tmp_path):
    chosen = [e for e in open_set("pbc").of_split("test") if e.label == "eosinophil"][:3]
    (tmp_path / "set" / "eosinophil").mkdir(parents=True)
    for number, example in enumerate(chosen):
        content = pack.png(pack.read("pbc.zip", example.member))
        (tmp_path / "set" / "eosinophil" / f"{number}.png").write_bytes(content)
    (tmp_path / "set" / "eosinophil" / "notes.txt").write_text("no picture")
    (tmp_path / "set" / "eosinophil" / ".hidden").write_text("left alone")
    out = tmp_path / "figures.json"
    status = run.run(Namespace(what="wbc", data=tmp_path / "set", out=out, predictions=None))
    assert status == 0
    figures = json.loads(out.read_text())["sets"]["set"]
    assert figures["n"] == 3
    assert figures["unreadable"] == 1
    assert figures["accuracy"]["value"] >= 2 / 3


def test_a_detection_set_of_ones_own_is_measured(pack, tmp_path):
    example = open_set("txl").of_split("test")[0]
    stem = example.member.rsplit("/", 1)[1].removesuffix(".webp")
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    picture = pack.png(pack.read("txl_pbc.zip", example.member))
    (tmp_path / "images" / f"{stem}.png").write_bytes(picture)
    labels = pack.read("txl_pbc.zip", f"labels/test/{stem}.txt")
    (tmp_path / "labels" / f"{stem}.txt").write_bytes(labels)
    out = tmp_path / "figures.json"
    run.run(Namespace(what="detector", data=tmp_path, out=out, predictions=None))
    figures = json.loads(out.read_text())["sets"][tmp_path.name]
    assert figures["images"] == 1
    assert figures["map50"] > 0.5
    (tmp_path / "labels" / f"{stem}.txt").write_text("7 0.5 0.5 0.1 0.1")
    with pytest.raises(DataError, match="Each line needs a class"):
        run.run(Namespace(what="detector", data=tmp_path, out=None, predictions=None))


@pytest.mark.parametrize("what", ["wbc", "all_stage", "detector"])
def test_an_empty_folder_says_what_was_expected(tmp_path, what):
    with pytest.raises(DataError, match="expected"):
        run.run(Namespace(what=what, data=tmp_path, out=None, predictions=None))


def test_a_folder_without_one_readable_image_says_so(tmp_path):
    (tmp_path / "basophil").mkdir()
    (tmp_path / "basophil" / "a.png").write_text("no picture")
    with pytest.raises(DataError, match="None of the files"):
        run.run(Namespace(what="wbc", data=tmp_path, out=None, predictions=None))


def test_fold_models_never_saw_what_they_are_measured_on(pack):
    _, predictions = shipped("all_stage")
    rows = predictions[predictions["set"] == "taleqani_folds"]
    probabilities = rows[[f"p_{s}" for s in STAGES]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-4)
    groups = {}
    for example in open_set("taleqani").examples:
        groups.setdefault(example.group, set()).add(example.split)
    assert all(len(folds) == 1 for folds in groups.values())
    assert len(rows) == 2_926


def test_figures_of_the_other_measure_of_a_file_are_kept(tmp_path):
    shipped_folder, folder = get_settings().models / "wbc", tmp_path / "wbc"
    folder.mkdir()
    for name in ("card.json", "metrics.json"):
        (folder / name).write_text((shipped_folder / name).read_text())
    settings = Settings(models=tmp_path)
    known = load_report("wbc").metrics
    run._write("wbc", ClassifierFigures(sets={"pbc_test": known.sets["pbc_test"]}), None, settings)
    written = json.loads((folder / "metrics.json").read_text())
    assert list(written["sets"]) == ["pbc_test"]
    assert written["attributes"] == known.attributes.json_object()
    assert "shifts" not in written
    fewer = known.attributes.model_copy(update={"n": 9})
    run._write("attributes", ClassifierFigures(attributes=fewer), None, settings)
    written = json.loads((folder / "metrics.json").read_text())
    assert list(written["sets"]) == ["pbc_test"]
    assert written["attributes"]["n"] == 9
