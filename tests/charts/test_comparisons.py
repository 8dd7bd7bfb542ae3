import json

import pytest

from core.charts.comparisons import (
    architectures_table,
    difference_table,
    laboratories_figure,
    laboratories_table,
    load_comparisons,
    numbers_table,
    parts_table,
    recipe_table,
    run_titles,
)
from core.errors import ModelError
from core.settings import Settings
from tests.charts.comparison_rows import (
    architectures,
    detector_numbers,
    domains,
    numbers,
    parts,
    recipes,
    stage_numbers,
)


def test_networks_keep_their_figures_in_the_order_of_the_command():
    table = architectures_table(architectures())
    assert table["Network"].tolist() == ["VGG19", "MobileNetV2 (shipped)"]
    assert table["Start"].tolist() == ["random", "ImageNet"]
    assert table["Weights, M"].round(2).tolist() == [20.03, 2.22]
    assert table["PBC accuracy"].str.startswith(("60.0 %", "95.0 %")).all()


def test_what_was_not_trained_on_is_marked():
    table = laboratories_table(domains()).set_index("Trained on")
    assert table.loc["PBC", "Kaggle"].startswith("55.0 %")
    assert table.loc["PBC", "Kaggle"].endswith("ECE 5 % *")
    assert not table.loc["PBC and Kaggle", "Kaggle"].endswith("*")
    assert table["CellaVision"].str.endswith("*").all()
    bars = laboratories_figure(domains()).data
    assert [list(bar.marker.pattern.shape) for bar in bars] == [["", "/", "/"], ["", "", "/"]]
    assert [v for bar in bars for v in bar.y] == pytest.approx([97, 55, 58, 96, 88, 63])


def test_a_part_left_out_is_marked_on_its_own_fields():
    table = parts_table(parts()).set_index("Test fields")
    assert list(table.columns) == ["With all parts", "Without BCCD"]
    assert table.loc["BCCD", "Without BCCD"].startswith("0.700, 97.5 %")
    assert table["Without BCCD"].str.endswith("*").tolist() == [True, False, False]
    assert not table["With all parts"].str.endswith("*").any()


def test_the_whole_recipe_stands_first():
    table = recipe_table(recipes())
    assert table["Recipe"].tolist() == ["Everything", "No changed stain, camera, sharpness"]
    assert table["CellaVision"].str.slice(0, 6).tolist() == ["63.0 %", "40.0 %"]


def test_numbers_are_set_against_the_floats_at_full_size():
    table = numbers_table(numbers())
    assert table["Numbers"].tolist() == ["32-bit floats", "8-bit integers", "Floats, 128 px"]
    assert table["Time"].tolist() == [1, 0.5, 0.6]
    assert table["WBCAtt accuracy"].str.slice(0, 6).tolist() == ["99.0 %", "98.0 %", "96.0 %"]
    assert table["Right of these"].str.startswith("98.9 %").all()


def test_every_model_has_its_own_figures():
    detector = numbers_table(detector_numbers()).set_index("Numbers")
    assert detector.loc["8-bit integers", "mAP50-95, mended"] == "0.770"
    assert detector.loc["8-bit integers", "Time"] == 0.5
    stage = numbers_table(stage_numbers()).set_index("Numbers")
    changes = stage["Largest change of a probability"].tolist()
    assert changes == ["0.0 points", "4.0 points"]


def test_two_runs_are_compared_on_the_sets_of_both():
    sections = {"architectures": architectures(), "domains": domains()}
    titles = run_titles(sections)
    assert titles["domains", "cellavision"] == "MobileNetV2, mature types of PBC and Kaggle"
    first, second = sections["architectures"]["vgg19"], sections["domains"]["kaggle"]
    table = difference_table(first, second).set_index("Figure")
    assert not table.index.str.startswith("Kaggle").any()
    assert table.loc["PBC, accuracy", "Difference"] == "+37.0"
    assert table.loc["CellaVision, ECE", "Difference"] == "+0.0"
    back = difference_table(second, first).set_index("Figure")
    assert back.loc["PBC, accuracy", "Difference"] == "-37.0"


def test_a_model_without_comparisons_has_none_and_damage_is_said(tmp_path):
    settings = Settings(models=tmp_path)
    assert load_comparisons("wbc", settings) == {}
    (tmp_path / "wbc").mkdir()
    path = tmp_path / "wbc" / "comparisons.json"
    path.write_text(json.dumps({"domains": domains()}))
    assert load_comparisons("wbc", settings)["domains"].keys() == domains().keys()
    path.write_text("{")
    with pytest.raises(ModelError, match="damaged"):
        load_comparisons("wbc", settings)
