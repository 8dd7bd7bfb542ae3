import json

import numpy as np
import pytest

from core.charts.differential import (
    differential_figure,
    patients_figure,
    probabilities_figure,
    stages_figure,
)
from core.charts.field import cam_figure, field_drawing
from core.domain.boxes import Box
from core.domain.differential import differential_of_counts
from core.domain.results import Cell, FieldAnalysis, ImageProperties, StageResult
from core.domain.taxonomy import CELL_TYPES, STAGES
from tests.shipped_ranges import file_ranges

JPEG = b"\xff\xd8"


@pytest.fixture
def analysis():
    cells = (
        Cell("wbc", Box(10, 20, 50, 60), 0.97, "classified", "monocyte", {"monocyte": 0.97}),
        Cell("wbc", Box(90, 20, 50, 60), 0.51, "uncertain", "monocyte", {"monocyte": 0.51}),
        Cell("rbc", Box(200, 200, 40, 40), 0.8),
    )
    return FieldAnalysis("f.jpg", "a", 640, 480, ImageProperties("JPEG", "RGB", 8, 1), cells)


def stage(name, confidence=0.9, status="classified", cam=None):
    rest = (1 - confidence) / 3
    values = {key: confidence if key == name else rest for key in STAGES}
    return StageResult("f.jpg", name, values, confidence, status, cam=cam)


def test_field_shows_type_by_colour_status_by_line_and_number(analysis):
    drawing = field_drawing(JPEG, analysis)
    cells = drawing["cells"]
    assert [cell["colour"] for cell in cells] == [CELL_TYPES["monocyte"].colour] * 2
    assert [cell["dashes"] for cell in cells] == ["", "10 6"]
    assert [cell["number"] for cell in cells] == ["1", "2"]
    assert cells[0]["box"] == [10, 20, 50, 60]
    assert (drawing["width"], drawing["height"]) == (640, 480)
    assert drawing["title"] == "Field f.jpg with 2 boxed white cells"
    legend = [(one["text"], one["dashes"]) for one in drawing["legend"]]
    assert legend == [("Monocyte (1)", ""), ("Monocyte, uncertain (1)", "10 6")]


def test_field_says_number_type_and_probability_of_a_cell(analysis):
    (first, second) = [cell["title"] for cell in field_drawing(JPEG, analysis)["cells"]]
    assert first == "1 Monocyte\nMonocyte: 97.0 %"
    assert "uncertain" in second


def test_field_draws_red_cells_only_when_asked_and_below_the_white_ones(analysis):
    cells = field_drawing(JPEG, analysis, ("wbc", "rbc"))["cells"]
    assert [(cell["group"], cell["number"]) for cell in cells][:2] == [
        ("Red cell", ""),
        ("Monocyte", "1"),
    ]
    assert [cell["id"] for cell in field_drawing(JPEG, analysis)["cells"]] == [1, 2]


def test_differential_draws_exact_limits():
    counted = differential_of_counts({"neutrophil": 70, "lymphocyte": 30})
    figure = differential_figure(counted, file_ranges().of("%"))
    (point,) = [t for t in figure.data if t.name == "Neutrophil"]
    assert point.x[0] == 70
    assert point.x[0] - point.error_x.arrayminus[0] == pytest.approx(60.0, abs=0.05)
    assert point.x[0] + point.error_x.array[0] == pytest.approx(78.8, abs=0.05)


def test_a_type_without_a_range_is_drawn_without_a_band():
    counted = differential_of_counts({"neutrophil": 70, "blast": 30})
    band, *points = differential_figure(counted, file_ranges().of("%")).data
    assert "Blasts" not in band.y
    assert (band.base[-1], band.x[-1]) == (40, 20)
    assert "Blast" in {point.name for point in points}


def test_patients_without_blasts_stand_beside_those_with():
    figure = patients_figure(
        {
            "A": differential_of_counts({"neutrophil": 3}),
            "B": differential_of_counts({"neutrophil": 3, "blast": 1}),
        }
    )
    (blasts,) = [t for t in figure.data if t.name == "Blasts"]
    assert list(blasts.x) == [0, 25]


def test_patients_stack_to_a_hundred_and_names_are_no_markup():
    counted = {
        "A": differential_of_counts({"neutrophil": 3, "monocyte": 1}),
        "<b>B": differential_of_counts({"basophil": 2}),
    }
    figure = patients_figure(counted)
    assert np.sum([t.x for t in figure.data], axis=0) == pytest.approx([100, 100])
    assert list(figure.data[0].y) == ["A (n = 4)", "&lt;b&gt;B (n = 2)"]
    assert "3 of 4" in figure.data[0].customdata[0]


def test_stages_count_uncertain_fields_apart():
    figure = stages_figure({"A": [stage("Pre"), stage("Pre", 0.4, "uncertain")]})
    shares = {t.name: t.x[0] for t in figure.data}
    assert shares[STAGES["Pre"].name] == 50
    assert shares["Without a class"] == 50


def test_probabilities_are_percent():
    (bars,) = probabilities_figure(stage("Pro", 0.85)).data
    assert max(bars.x) == pytest.approx(85)


def test_the_class_activation_map_covers_the_image_and_can_be_hidden():
    result = stage("Pre", cam=np.eye(7, dtype=np.float32))
    (heat,) = cam_figure(JPEG, result, (224, 112), 0.6).data
    assert heat.x0 == heat.dx / 2 == 16
    assert heat.x0 + 6.5 * heat.dx == 224
    assert heat.y0 + 6.5 * heat.dy == 112
    assert not [t for t in cam_figure(JPEG, result, (224, 112), 0).data if t.type == "heatmap"]


def test_a_drawing_is_json(analysis):
    assert json.loads(json.dumps(field_drawing(JPEG, analysis)))["cells"]
