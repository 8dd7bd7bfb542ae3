"""The quality of parts of a slide: poor parts are told, and their cells marked."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from core.exports.geojson import cells_geojson
from core.exports.schema import AnalyzedField
from core.exports.tables import cells_table
from core.imaging.illumination import GLASS, flatten
from core.imaging.wsi import Tile, tile_grid
from core.slides.analysis import TILES, plan_slide, slide_analysis
from core.slides.quality import TileQuality, grades, poor_area, survey, tile_quality, usual_stain
from core.slides.tiles import SlideView
from core.synthetic.fields import make_field
from tests.slides.test_counting import drawn, new_count  # noqa: F401 - a fixture

USUAL = TileQuality(1.5, 0.15, 0.5)


@pytest.fixture(scope="module")
def field():
    made = make_field(3, 640, 480, red_cell_pixels=30)
    return replace(made, pixels=flatten(made.pixels))


LIGHT = np.full((1, 1, 3), GLASS, np.float32)


def measured(field, pixels):
    return tile_quality(pixels, field.micrometres_per_pixel, LIGHT)


def test_focus_stain_and_density_are_told(field):
    pixels, scale = field.pixels, field.micrometres_per_pixel
    sharp = measured(field, pixels)
    assert grades(sharp, sharp.stain) == ("sharp", "usual", "monolayer")
    assert poor_area(sharp, sharp.stain) is None
    blurred = measured(field, cv2.GaussianBlur(pixels, (0, 0), 1 / scale))
    assert poor_area(blurred, sharp.stain) == "blurred"
    pale = measured(field, np.asarray(GLASS - (GLASS - pixels) * 0.45, np.uint8))
    assert pale.edge == pytest.approx(sharp.edge, rel=0.25)
    assert poor_area(pale, sharp.stain) == "pale"
    glass = measured(field, np.full_like(pixels, GLASS))
    assert grades(glass, sharp.stain) == ("", "", "sparse")
    assert poor_area(replace(USUAL, covered=0.9), USUAL.stain) == "crowded"


def test_focus_does_not_depend_on_the_scan(field):
    coarse = cv2.resize(field.pixels, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    again = tile_quality(coarse, field.micrometres_per_pixel / 0.6, LIGHT)
    assert again.edge == pytest.approx(measured(field, field.pixels).edge, rel=0.15)


def test_a_survey_looks_at_some_tiles_and_answers_for_all():
    tiles = list(tile_grid(40_000, 30_000, 400, 50))
    seen = []

    def measure(tile: Tile) -> TileQuality:
        seen.append(tile)
        return replace(USUAL, edge=float(tile.interior[0] < 20_000))

    found = survey(tiles, measure)
    assert found.keys() == set(tiles)
    assert len(seen) <= 400 < len(tiles)
    assert sum(found[tile].edge == (tile.interior[0] < 20_000) for tile in tiles) > 0.9 * len(tiles)


def test_cells_of_poor_tiles_are_marked_wherever_they_go(drawn):  # noqa: F811
    count = new_count(drawn)
    count.start(None)
    count.wait()
    qualities = count.qualities()
    assert {quality is None for quality in qualities} == {True, False}  # glass is not measured
    assert usual_stain(filter(None, qualities)) == count.usual_stain()
    plan = plan_slide(SlideView(drawn[0].path).path, "slide", None)
    results = dict(count._results)
    poor = next(tile for tile, found in results.items() if found.cells)
    for tile, found in results.items():
        quality = replace(USUAL, edge=4.0 if tile == poor else 1.5)
        results[tile] = replace(found, quality=quality)
    analysis = slide_analysis(plan, results)
    marked = [cell for cell in analysis.cells if cell.poor_area]
    assert {cell.poor_area for cell in marked} == {"blurred"}
    assert all(poor.holds(*cell.box.centre, beyond=20) for cell in marked)
    assert cells_table([analysis])["poor_area"].count() == len(marked) > 0
    cells = AnalyzedField.of(analysis).dump()["cells"]
    assert sum(cell.get("poor_area") == "blurred" for cell in cells) == len(marked)
    assert sum("poor_area" in cell for cell in cells) == len(marked)
    features = json.loads(cells_geojson(analysis))["features"]
    assert sum("poor area" in f["properties"]["metadata"] for f in features) == len(marked)
    (point,) = json.loads(cells_geojson(None, [(7, 9, "Rouleaux")]))["features"]
    assert point["geometry"] == {"type": "Point", "coordinates": [7, 9]}
    assert point["properties"] == {"objectType": "annotation", "name": "Rouleaux"}


def test_tiles_of_an_earlier_journal_are_read(drawn):  # noqa: F811
    count = new_count(drawn)
    count.start(1)
    count.wait()
    found = TILES.dump_python(tuple(count._results.values()), mode="json")
    assert TILES.validate_python(found) == tuple(count._results.values())
    for result in found:
        del result["quality"]
        for cell in result["cells"]:
            del cell["poor_area"]
    assert all(result.quality is None for result in TILES.validate_python(found))
