"""The share of right calls counts what a differential counts: calls above the threshold."""

import pandas as pd
import pytest

from core.domain.decision import decide
from core.domain.intervals import wilson
from core.evaluation.model_error import (
    HOME_SET,
    OTHER_SET,
    accuracy_of,
    accuracy_text,
    call_accuracy,
)
from core.evaluation.report import load_report
from core.settings import Settings
from tests.fake_models import write_models


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return Settings(models=write_models(tmp_path_factory.mktemp("models")))


@pytest.mark.parametrize("key", [HOME_SET, OTHER_SET])
def test_right_calls_are_counted_from_the_predictions(models, key):
    report = load_report("wbc", models)
    rows = report.predictions[report.predictions["set"] == key]
    columns = [column for column in rows if column.startswith("p_")]
    labels = [column.removeprefix("p_") for column in columns]
    counts = [
        decide(dict(zip(labels, values, strict=True)), report.decision) == "classified"
        for values in rows[columns].to_numpy()
    ]
    called = rows[counts]
    calls = called[columns].idxmax(axis=1).str.removeprefix("p_")
    found = call_accuracy(report, key)
    assert found.calls == len(called) < len(rows)
    assert found.overall.value == pytest.approx(100 * (calls == called["truth"]).mean())
    assert set(found.by_type) == set(calls)
    for label, estimate in found.by_type.items():
        right = (called["truth"][calls == label] == label).sum()
        low, high = wilson(right, (calls == label).sum())
        assert (estimate.low, estimate.high) == pytest.approx((100 * low, 100 * high))
        assert estimate.low <= estimate.value <= estimate.high + 1e-9


def test_only_the_installed_version_has_figures(models, tmp_path):
    assert [a.name for a in accuracy_of("1.2.3", models)] == [
        "PBC test cells",
        "CellaVision cells, another laboratory",
    ]
    assert accuracy_of("1.2.4", models) == ()
    assert accuracy_of("1.2.3", Settings(models=tmp_path)) == ()


def test_figures_that_were_measured_anew_are_read_again(tmp_path):
    models = Settings(models=write_models(tmp_path))
    (before, _) = accuracy_of("1.2.3", models)
    path = models.models / "wbc" / "predictions.csv.gz"
    rows = pd.read_csv(path)
    rows[rows["set"] != HOME_SET].to_csv(path, index=False)
    assert before.calls > 0
    assert accuracy_of("1.2.3", models) == ()


def test_the_sentence_holds_every_set_with_its_limits(models):
    accuracy = accuracy_of("1.2.3", models)
    text = accuracy_text(accuracy)
    for measured in accuracy:
        low, high = measured.overall.low, measured.overall.high
        assert f"({low:.1f}-{high:.1f}) of {measured.calls} calls right on {measured.name}" in text
    assert "not measured" in accuracy_text(())


def test_the_shipped_classifier_has_figures():
    version = load_report("wbc").card.version
    home, other = accuracy_of(version, Settings())
    assert home.overall.low > other.overall.low
