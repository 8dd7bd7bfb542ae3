import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.charts.confusion import confusion_figure
from core.charts.metrics import (
    counts_figure,
    detection_curves_figure,
    learning_rate_figure,
    measure_name,
    measures,
    precision_recall_figure,
    reliability_figure,
    risk_coverage_figure,
    roc_figure,
    training_figure,
)
from core.domain.taxonomy import CELL_TYPES
from core.evaluation.curves import (
    precision_recall_points,
    risk_coverage,
    roc_points,
)
from core.evaluation.metrics import reliability_bins
from core.evaluation.report import load_report
from core.settings import Settings
from tests.fake_models import write_models


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return Settings(models=write_models(tmp_path_factory.mktemp("models")))


@pytest.fixture(scope="module")
def wbc(models):
    return load_report("wbc", models)


@pytest.fixture(scope="module")
def detector(models):
    return load_report("detector", models)


def test_every_cell_of_the_matrix_can_be_clicked_and_says_which_it_is(wbc):
    figures = wbc.metrics.sets["cellavision"]
    heatmap, markers = confusion_figure(figures, by_row=False, dark=False).data
    matrix = np.array(figures.confusion)
    assert markers.mode == "markers"
    assert len(markers.x) == matrix.size
    for x, y, (truth, prediction) in zip(markers.x, markers.y, markers.customdata, strict=True):
        row, column = figures.labels.index(truth), figures.labels.index(prediction)
        assert (x, y) == (column, row)
        shown = heatmap.text[row][column]
        assert shown == (str(matrix[row, column]) if matrix[row, column] else "")


def test_shares_of_a_row_sum_to_hundred(wbc):
    heatmap = confusion_figure(wbc.metrics.sets["pbc_test"], by_row=True, dark=True).data[0]
    assert heatmap.z.sum(axis=1) == pytest.approx(100)
    assert heatmap.text[0][0] == f"{heatmap.z[0][0]:.1f}"


def test_images_without_an_answer_have_their_own_column(wbc):
    figures = wbc.metrics.sets["kaggle_test_simple"]
    assert sum(figures.unanswered) > 0
    heatmap = confusion_figure(figures, by_row=False, dark=False).data[0]
    assert heatmap.z.shape == (4, 5)
    assert heatmap.z.sum(axis=1) == pytest.approx(100)


def test_only_the_chosen_cell_is_outlined(wbc):
    figures = wbc.metrics.sets["cellavision"]
    assert not confusion_figure(figures, by_row=False, dark=False).layout.shapes
    chosen = ("monocyte", "neutrophil")
    (shape,) = confusion_figure(figures, by_row=False, dark=False, chosen=chosen).layout.shapes
    row, column = (figures.labels.index(label) for label in chosen)
    assert shape.x0 < column < shape.x1
    assert shape.y0 < row < shape.y1


def test_curves_have_the_colours_of_their_types_and_units_on_their_axes(wbc):
    scored, figures = wbc.scored("cellavision"), wbc.metrics.sets["cellavision"].per_class
    areas = {label: own.roc_auc for label, own in figures.items()}
    roc = roc_figure({label: roc_points(scored, label) for label in figures}, areas)
    colours = [trace.line.color for trace in roc.data[1:]]
    assert colours == [CELL_TYPES[label].colour for label in figures]
    assert roc.data[1].name == f"Neutrophil {areas['neutrophil']:.3f}"
    assert max(roc.data[1].y) == pytest.approx(100)
    points = {label: precision_recall_points(scored, label) for label in figures}
    curves = precision_recall_figure(points, areas)
    for figure in (roc, curves):
        assert figure.layout.xaxis.title.text.endswith("%")
        assert figure.layout.yaxis.title.text.endswith("%")
    assert precision_recall_figure(points, areas, zoomed=True).layout.xaxis.range[0] == 90


def test_a_class_without_images_has_no_curve(wbc):
    scored = wbc.scored("cellavision").query("truth == 'monocyte'")
    figure = roc_figure({"monocyte": roc_points(scored, "monocyte")}, {"monocyte": None})
    assert len(figure.data) == 1


def test_reliability_limits_reach_the_wilson_limits(wbc):
    bins = reliability_bins(wbc.scored("cellavision"))
    markers = reliability_figure(bins).data[1]
    assert markers.y + markers.error_y.array == pytest.approx(100 * bins["accuracy_high"])
    assert markers.y - markers.error_y.arrayminus == pytest.approx(100 * bins["accuracy_low"])
    assert sum(markers.customdata) == 100


def test_the_threshold_stands_on_the_curve(wbc):
    curve = risk_coverage(wbc.scored("cellavision"))
    marker = risk_coverage_figure(curve, 0.8).data[-1]
    place = curve[curve["threshold"] >= 0.8].iloc[-1]
    assert marker.x[0] == pytest.approx(100 * place["coverage"])
    assert marker.y[0] == pytest.approx(100 * place["risk"])
    assert len(risk_coverage_figure(curve, 1.1).data[-1].x) == 0


@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=8))
def test_names_of_phases_never_overlap(lengths):
    phases = [f"phase {k}" for k, length in enumerate(lengths) for _ in range(length)]
    epochs = np.arange(1, len(phases) + 1)
    history = pd.DataFrame({"epoch": epochs, "phase": phases, "loss": 1.0, "val_loss": 1.0})
    names = training_figure(history, "loss").layout.annotations
    assert [n.text for n in names] == [f"phase {k}" for k in range(len(lengths))]
    # A letter takes about seven of the 300 pixels that a phone leaves the plot.
    width = len(phases) * 7 * len("phase 0") / 300
    for one in names:
        for other in names:
            if one is not other and one.yshift == other.yshift:
                assert abs(one.x - other.x) >= width


def test_training_curves_mark_the_phases(wbc):
    assert measures(wbc.history) == ["loss", "accuracy"]
    figure = training_figure(wbc.history, "accuracy")
    assert [trace.name for trace in figure.data] == ["Training", "Validation"]
    assert [note.text for note in figure.layout.annotations] == ["frozen", "unfrozen"]
    assert [shape.x0 for shape in figure.layout.shapes] == [6.5]
    rate = learning_rate_figure(wbc.history)
    assert rate.layout.yaxis.type == "log"
    assert rate.layout.yaxis.title.text == measure_name("learning_rate") == "Learning rate"


def test_detection_curves_name_each_kind_with_its_precision(detector):
    figures = detector.metrics.sets["txl_test"]
    figure = detection_curves_figure(detector.curves("txl_test"), figures)
    assert [trace.name for trace in figure.data] == [
        f"{name} {figures.per_kind[kind].map50:.3f}"
        for kind, name in (("wbc", "White cell"), ("rbc", "Red cell"), ("platelet", "Platelet"))
    ]


def test_counts_are_grouped_and_add_up():
    pairs = pd.DataFrame({"file": list("abcd"), "truth": [1, 1, 2, 3], "found": [1, 1, 1, 3]})
    figure = counts_figure(pairs, "wbc")
    exact, off = figure.data[1:]
    assert exact.name == "Count exact (3 images)"
    assert list(zip(off.x, off.y, strict=True)) == [(2, 1)]
    assert exact.customdata[:, 0].tolist() == [2, 1]
    assert exact.marker.size[0] > exact.marker.size[1]
