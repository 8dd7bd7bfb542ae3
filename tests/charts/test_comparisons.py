import json

import pytest

from core.charts.robustness import sources_figure
from core.errors import ModelError
from core.evaluation.comparisons import Comparisons, load_comparisons
from core.evaluation.tables import (
    architectures_table,
    difference_table,
    fields_table,
    precisions_table,
    recipe_table,
    run_titles,
    sources_table,
)
from core.settings import Settings
from tests.charts.comparison_rows import (
    architectures,
    comparisons,
    detector_numbers,
    domains,
    numbers,
    parts,
    recipes,
    stage_numbers,
)


def test_networks_keep_their_figures_in_the_order_of_the_command():
    table = architectures_table(comparisons(architectures=architectures()).architectures)
    assert table["Network"].tolist() == [
        "VGG19 (eight-type)",
        "MobileNetV2, as shipped (eight-type)",
    ]
    assert table["Start"].tolist() == ["random", "ImageNet"]
    assert table["Weights, M"].round(2).tolist() == [20.03, 2.22]
    assert table["PBC accuracy"].str.startswith(("60.0 %", "95.0 %")).all()


def test_what_was_not_trained_on_is_marked():
    table = sources_table(comparisons(domains=domains()).sources).set_index("Trained on")
    assert table.loc["PBC", "Kaggle"].startswith("55.0 %")
    assert table.loc["PBC", "Kaggle"].endswith("ECE 5 % *")
    assert not table.loc["PBC, Kaggle", "Kaggle"].endswith("*")
    assert table["CellaVision"].str.endswith("*").all()
    bars = sources_figure(comparisons(domains=domains()).sources).data
    assert [list(bar.marker.pattern.shape) for bar in bars] == [["", "/", "/"], ["", "", "/"]]
    assert [v for bar in bars for v in bar.y] == pytest.approx([97, 55, 58, 96, 88, 63])


def test_a_part_left_out_is_marked_on_its_own_fields():
    table = fields_table(comparisons(parts=parts()).fields).set_index("Test fields")
    assert list(table.columns) == ["With all fields", "Without BCCD"]
    assert table.loc["BCCD", "Without BCCD"].startswith("0.700, 97.5 %")
    assert table["Without BCCD"].str.endswith("*").tolist() == [True, False, False]
    assert not table["With all fields"].str.endswith("*").any()


def test_the_whole_recipe_stands_first():
    table = recipe_table(comparisons(recipe=recipes()).recipe)
    assert table["Recipe"].tolist() == ["Everything", "No changed stain, camera, sharpness"]
    assert table["CellaVision"].str.slice(0, 6).tolist() == ["63.0 %", "40.0 %"]


def test_numbers_are_set_against_the_floats_at_full_size():
    table = precisions_table(comparisons(numbers=numbers()).precisions)
    assert table["Precision"].tolist() == ["32-bit floats", "8-bit integers", "Floats, 128 px"]
    assert table["Time"].tolist() == [1, 0.5, 0.6]
    assert table["WBCAtt accuracy"].str.slice(0, 6).tolist() == ["99.0 %", "98.0 %", "96.0 %"]
    assert table["Right of these"].str.startswith("98.9 %").all()


def test_every_model_has_its_own_figures():
    detector = precisions_table(comparisons(numbers=detector_numbers()).precisions).set_index(
        "Precision"
    )
    assert detector.loc["8-bit integers", "mAP50-95, corrected"] == "0.770"
    assert detector.loc["8-bit integers", "Time"] == 0.5
    stage = precisions_table(comparisons(numbers=stage_numbers()).precisions).set_index("Precision")
    changes = stage["Largest change of a probability"].tolist()
    assert changes == ["0.0 points", "4.0 points"]


def test_two_runs_are_compared_on_the_sets_of_both():
    compared = comparisons(architectures=architectures(), domains=domains())
    titles = run_titles(compared)
    assert titles["sources", "cellavision"] == "MobileNetV2, without CellaVision"
    assert titles.keys() == compared.runs.keys()
    first, second = compared.architectures["vgg19"].sets, compared.sources["kaggle"].sets
    table = difference_table(first, second).set_index("Figure")
    assert not table.index.str.startswith("Kaggle").any()
    assert table.loc["PBC, accuracy", "Difference"] == "+37.0"
    assert table.loc["CellaVision, ECE", "Difference"] == "+0.0"
    back = difference_table(second, first).set_index("Figure")
    assert back.loc["PBC, accuracy", "Difference"] == "-37.0"


def test_a_model_without_comparisons_has_none_and_damage_is_said(tmp_path):
    settings = Settings(models=tmp_path)
    assert load_comparisons("wbc", settings) == Comparisons()
    (tmp_path / "wbc").mkdir()
    path = tmp_path / "wbc" / "comparisons.json"
    path.write_text(json.dumps({"domains": domains()}))
    assert load_comparisons("wbc", settings).sources.keys() == domains().keys()
    path.write_text("{")
    with pytest.raises(ModelError, match="damaged"):
        load_comparisons("wbc", settings)
