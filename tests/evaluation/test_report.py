import json
import shutil

import pandas as pd
import pytest

from core.domain.intervals import Estimate
from core.domain.taxonomy import UNANSWERED, label_name
from core.errors import ModelError
from core.evaluation.report import (
    behind_cell,
    count_errors,
    label_phrase,
    load_report,
    worst_errors,
)
from core.evaluation.sets import EVALUATION_SETS, evaluation_set, read_set_images
from core.evaluation.tables import (
    class_table,
    kind_table,
    percent,
    sets_table,
)
from core.settings import Settings
from tests.fake_models import write_models


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def models(written, tmp_path):
    """Give a copy that a test may damage."""
    return Settings(models=shutil.copytree(written, tmp_path / "models"))


@pytest.fixture(scope="module")
def wbc(written):
    return load_report("wbc", Settings(models=written))


@pytest.fixture(scope="module")
def detector(written):
    return load_report("detector", Settings(models=written))


def test_other_laboratories_come_first(wbc):
    assert wbc.sets == ("cellavision", "kaggle_test_simple", "pbc_test")
    assert list(sets_table(wbc)["Images"]) == ["100", "71", "900"]


@pytest.mark.parametrize("key", ["cellavision", "kaggle_test_simple", "pbc_test"])
def test_predictions_tell_the_same_as_the_figures(wbc, key):
    figures, scored = wbc.metrics.sets[key], wbc.scored(key)
    assert len(scored) == figures.n
    for row, truth in zip(figures.confusion, figures.labels, strict=True):
        for number, prediction in zip(row, figures.labels, strict=True):
            assert len(behind_cell(scored, truth, prediction)) == number
    missed = (scored["prediction"] == UNANSWERED).sum()
    assert missed == sum(figures.unanswered)


def test_worst_errors_are_wrong_and_ordered(wbc):
    rows = worst_errors(wbc.scored("kaggle_test_simple"), 4)
    assert not rows["correct"].any()
    assert rows["confidence"].is_monotonic_decreasing
    assert UNANSWERED not in set(rows["prediction"])


def test_detector_counts_and_curves(detector):
    key = "txl_test"
    pairs = detector.counts(key, "wbc")
    exact = (pairs["truth"] == pairs["found"]).mean()
    assert exact == pytest.approx(detector.metrics.sets[key].wbc_count_exact.value)
    wrong = count_errors(pairs)
    assert (wrong["truth"] != wrong["found"]).all()
    assert (wrong["found"] - wrong["truth"]).abs().is_monotonic_decreasing
    curves = detector.curves(key)
    for kind, own in detector.metrics.sets[key].per_kind.items():
        area = curves.loc[curves["kind"] == kind, "precision"].sum() / 101
        assert area == pytest.approx(own.map50, abs=1e-3)


def test_tables_carry_values_with_limits(wbc, detector):
    table = class_table(wbc.metrics.sets["cellavision"]).set_index("Class")
    own = wbc.metrics.sets["cellavision"].per_class["monocyte"]
    assert table.loc["Monocyte", "Images"] == own.support
    assert table.loc["Monocyte", "Recall"] == percent(own.recall)
    assert list(kind_table(detector.metrics.sets["txl_test"])["Cell"]) == [
        "White cell",
        "Red cell",
        "Platelet",
    ]
    assert sets_table(detector)["Set"].tolist() == ["TXL-PBC test fields"]


def test_shares_as_text():
    assert percent(Estimate(0.9791, 0.973, 0.9834)) == "97.9 % (97.3-98.3)"
    assert percent(None) == "no images"


def test_names_of_labels():
    assert label_name("immature_granulocyte") == "Immature granulocyte"
    assert label_phrase("Early") == "early pre-B ALL"
    assert label_name("rbc") == "Red cell"
    assert label_name(UNANSWERED) == "No cell found"


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ("metrics.json", "evaluate wbc"),
        ("predictions.csv.gz", "evaluate wbc"),
        ("history.csv", "train wbc"),
    ],
)
def test_a_missing_file_is_named_with_the_command_that_makes_it(models, missing, command):
    (models.models / "wbc" / missing).unlink()
    with pytest.raises(ModelError, match=command) as raised:
        load_report("wbc", models)
    assert missing in str(raised.value)
    assert str(models.models) not in str(raised.value)


def test_a_model_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match="card of the model detector is missing"):
        load_report("detector", Settings(models=tmp_path))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("metrics.json", b"{"),
        ("metrics.json", b"{}"),
        ("predictions.csv.gz", b"no gzip"),
        ("history.csv", b"epoch,phase,loss\n"),
    ],
)
def test_damaged_figures_are_a_model_error(models, file, content):
    (models.models / "wbc" / file).write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        load_report("wbc", models)


def test_predictions_without_their_columns_are_damaged(models):
    path = models.models / "detector" / "predictions.csv.gz"
    pd.read_csv(path).drop(columns="source").to_csv(path, index=False)
    with pytest.raises(ModelError, match="damaged"):
        load_report("detector", models)


def test_a_set_without_predictions_says_so(models):
    path = models.models / "wbc" / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["sets"]["my_slides"] = metrics["sets"]["cellavision"]
    path.write_text(json.dumps(metrics))
    report = load_report("wbc", models)
    assert report.sets[-1] == "my_slides"
    assert evaluation_set("my_slides").name == "my_slides"
    with pytest.raises(ModelError, match="no predictions of the set my_slides"):
        report.scored("my_slides")


def test_images_come_from_the_data_pack(pack):
    found = read_set_images("cellavision", ["images/001.webp", "images/none.webp"])
    assert found == {"images/001.webp": pack.read("cellavision_cells.zip", "images/001.webp")}


def test_without_the_data_there_are_no_images(tmp_path):
    settings = Settings(data=tmp_path)
    assert read_set_images("cellavision", ["images/001.webp"], settings) == {}
    assert read_set_images("my_slides", ["a.png"], settings) == {}


def test_every_archive_of_a_set_is_in_the_pack(pack):
    for described in EVALUATION_SETS.values():
        assert (pack.folder / described.archive).is_file()
