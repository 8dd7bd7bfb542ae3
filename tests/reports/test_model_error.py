"""The share of right calls counts what a differential counts: calls above the threshold."""

import pytest

from core.learning.metrics import wilson
from core.reports.model_error import HOME_SET, OTHER_SET, accuracy_of, call_accuracy
from core.reports.model_reports import load_report
from core.settings import Settings
from core.taxonomy import CELL_TYPES
from tests.fake_models import write_models


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return Settings(models=write_models(tmp_path_factory.mktemp("models")))


@pytest.mark.parametrize("key", [HOME_SET, OTHER_SET])
def test_right_calls_are_counted_from_the_predictions(models, key):
    report = load_report("wbc", models)
    rows = report.predictions[report.predictions["set"] == key]
    columns = [f"p_{label}" for label in CELL_TYPES]
    called = rows[rows[columns].max(axis=1) >= report.card.thresholds["uncertain"]]
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


def test_the_shipped_classifier_has_figures():
    version = load_report("wbc").card.version
    home, other = accuracy_of(version, Settings())
    assert home.overall.low > other.overall.low
