from core.charts.metrics import class_counts, distribution_figure
from core.evaluation.tables import data_table
from tests.charts.comparison_rows import data_sets


def test_the_most_frequent_class_comes_first_and_folds_are_one():
    counts = class_counts(data_sets()["taleqani"])
    assert counts["split"].unique().tolist() == ["All folds"]
    assert counts["count"].tolist() == [2, 1]
    assert counts["label"].str.contains("pre-B|pro-B", case=False).all()


def test_every_class_has_its_bar():
    figure = distribution_figure(data_sets()["cellavision"])
    (bar,) = figure.data
    assert bar.name == "Test"
    assert dict(zip(bar.y, bar.x, strict=True)) == {"Neutrophil": 33, "Basophil": 3}
    assert figure.layout.yaxis.categoryarray[-1] == "Neutrophil"


def test_sets_are_told_by_name_size_and_colour():
    table = data_table(data_sets()).set_index("Set")
    row = table.loc["CellaVision cells"]
    assert row["Usual sizes, px"] == "300 × 300"
    assert row["L*"] == "70 ± 4"
