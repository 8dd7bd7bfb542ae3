import json

import numpy as np
import pytest

from core.charts.differential import (
    differential_figure,
    patients_figure,
    probabilities_figure,
    stages_figure,
)
from core.charts.field import add_frames, cam_figure, field_figure, shown_frame
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
    figure = field_figure(JPEG, analysis)
    outlines = [t for t in figure.data if t.mode == "lines"]
    assert [t.line.color for t in outlines] == [CELL_TYPES["monocyte"].colour] * 2
    assert [t.line.dash for t in outlines] == ["solid", "dash"]
    assert [a.text for a in figure.layout.annotations] == ["1", "2"]
    assert (min(outlines[0].x[:5]), max(outlines[0].x[:5])) == (10, 60)
    assert list(figure.layout.yaxis.range) == [480, 0]


def test_field_hover_names_number_type_and_probability(analysis):
    (first, second) = [t.text[0] for t in field_figure(JPEG, analysis).data if t.mode == "markers"]
    assert "<b>1</b> Monocyte" in first
    assert "97.0 %" in first
    assert "uncertain" in second


def test_every_part_of_a_box_can_be_clicked_and_tells_its_number(analysis):
    marks = [t for t in field_figure(JPEG, analysis, ("wbc", "rbc")).data if t.mode == "markers"]
    points = [p for t in marks for p in zip(t.customdata, t.x, t.y, strict=True)]
    for number, cell in enumerate(analysis.cells, 1):
        own = [(x, y) for mark, x, y in points if mark == number]
        box = cell.box
        assert all(box.x < x < box.x + box.width and box.y < y < box.y + box.height for x, y in own)
        assert len(own) == (9 if cell.kind == "wbc" else 1)


def test_one_frame_is_shown_and_the_figure_stays_the_same(analysis):
    figure = field_figure(JPEG, analysis)
    add_frames(figure, analysis)
    number, cell = list(analysis.white_cells())[-1]
    frame = figure.layout.shapes[-1]
    assert (frame.x0 < cell.box.x, frame.x1 > cell.box.right, frame.opacity) == (True, True, 0)
    place = len(figure.layout.shapes) - 1
    assert f"[data-index='{place}']" in shown_frame(analysis, number)


def test_field_draws_red_cells_only_when_asked(analysis):
    names = {t.name for t in field_figure(JPEG, analysis, ("wbc", "rbc")).data}
    assert "Red cell (1)" in names
    assert "Red cell (1)" not in {t.name for t in field_figure(JPEG, analysis).data}


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


def test_every_figure_is_json(analysis):
    assert json.loads(field_figure(JPEG, analysis).to_json())["layout"]["images"]
