"""Whole slides in a batch: every cell once, whoever does the work and wherever it is cut off."""

import json
import subprocess
import sys
from dataclasses import astuple, replace
from itertools import product

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from core.batch.jobs import JobRunner, analyze_field
from core.batch.run import Batch, analyze_files
from core.domain.boxes import Box
from core.domain.results import Cell, FieldAnalysis, FieldImage, ImageProperties, Scale
from core.imaging.scale import RED_CELL_MICROMETRES
from core.imaging.wsi import tile_grid
from core.model_card import models_fingerprint
from core.settings import PROJECT_ROOT
from core.slides.analysis import (
    MARGIN_MICROMETRES,
    RED_CELL_PIXELS,
    SlidePlan,
    TileResult,
    analyze_tile,
    merge_tile_detections,
    slide_answer,
)
from core.synthetic.fields import SyntheticField, make_field
from core.synthetic.slides import GLASS, make_slide, write_slide
from tests.batch.tasks import (
    fails_over_spots,
    runner,
    spots_told,
    write_fields,
    write_spots,
)

TYPES = ["neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil"] * 2
OVERLAP_MARGIN = 10


def analyze(path, out, run, **options):
    """Return the only image of an analysis."""
    assert analyze_files(Batch([path], out, **options), run, {}) == (1, 0)
    (image,) = json.loads(out.read_bytes())["images"]
    return image


def boxes_of(image):
    return sorted(tuple(cell["box"]) for cell in image["cells"])


@pytest.mark.parametrize(
    ("size", "scale", "pixels"),
    [((2400, 1800), 0.15, 0), ((6000, 4000), 0.0375, 8)],  # the second is read on level 1
)
def test_every_spot_is_found_once_where_it_is(tmp_path, size, scale, pixels):
    path = tmp_path / "spots.svs"
    truth = write_spots(path, size, scale)
    image = analyze(path, tmp_path / "out.json", runner())
    assert (image["width"], image["height"]) == size
    assert image["micrometres_per_pixel"] == scale
    assert image["counts"]["rbc"] == len(truth) == len(image["cells"])
    wanted = sorted((box.x, box.y, box.width, box.height) for box in truth)
    found = boxes_of(image)
    if pixels:  # sorting by x may differ by a pixel of level 1
        found = [min(found, key=lambda box: abs(np.subtract(box, one)).sum()) for one in wanted]
        assert len(set(found)) == len(truth)
    np.testing.assert_allclose(found, wanted, atol=pixels)


@given(st.integers(0, 2**32 - 1), st.integers(80, 110))
def test_a_cell_that_tiles_see_a_little_apart_is_counted_once(seed, size):
    rng = np.random.default_rng(seed)
    grid = list(tile_grid(1400, 1000, 600, 80))
    found = {tile: [] for tile in grid}
    centres = set()
    for column, row in product(range(1, 6), range(1, 4)):
        x, y = (230 * at + int(rng.integers(-40, 41)) for at in (column, row))
        centres.add((x, y))
        for tile in grid:
            seen = np.add((x, y), rng.uniform(-OVERLAP_MARGIN / 2, OVERLAP_MARGIN / 2, 2))
            if tile.holds(*seen, beyond=OVERLAP_MARGIN):
                box = Box(seen[0] - size / 2, seen[1] - size / 2, size, size)
                score = float(rng.uniform(0.3, 1))
                found[tile].append(Cell("rbc", box, score, detection_score=score))
    settled = merge_tile_detections(
        [TileResult(t, tuple(c), None) for t, c in found.items()], OVERLAP_MARGIN
    )
    counted = [
        min(centres, key=lambda c: np.hypot(*np.subtract(c, cell.box.centre))) for cell in settled
    ]
    assert sorted(counted) == sorted(centres)


def test_of_two_kinds_at_a_seam_the_likely_white_cell_stays():
    left, right = tile_grid(1000, 500, 620, 60)
    white = Cell("wbc", Box(450, 100, 90, 90), 0.6, type="monocyte", detection_score=0.6)
    red = Cell("rbc", Box(453, 100, 92, 90), 0.9, detection_score=0.9)
    results = [TileResult(left, (white,), None), TileResult(right, (red,), None)]
    assert merge_tile_detections(results, OVERLAP_MARGIN) == [white]
    beside = replace(red, box=Box(540, 100, 60, 60))
    assert (
        len(merge_tile_detections([results[0], TileResult(right, (beside,), None)], OVERLAP_MARGIN))
        == 2
    )


@pytest.fixture
def folder(tmp_path):
    """Make two slides, one of them damaged, and two pictures."""
    folder = tmp_path / "folder"
    write_fields(folder, "a.png", "z.png")
    write_spots(folder / "spots.svs")
    content = bytearray((folder / "spots.svs").read_bytes())
    content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    (folder / "damaged.svs").write_bytes(content)
    return folder


def test_slides_and_pictures_share_a_batch(folder, tmp_path):
    one, two, table = (tmp_path / name for name in ("one.json", "two.json", "one.parquet"))
    assert analyze_files(Batch([folder], one), runner(), {}) == (3, 1)
    assert analyze_files(Batch([folder], two, jobs=2), runner(), {}) == (3, 1)
    assert two.read_bytes() == one.read_bytes()
    answer = json.loads(one.read_bytes())
    assert [image["file"].rsplit("/")[-1] for image in answer["images"]] == [
        "a.png",
        "spots.svs",
        "z.png",
    ]
    (error,) = answer["errors"]
    assert error["file"].endswith("damaged.svs")
    assert error["error"].startswith("The slide is damaged")
    analyze_files(Batch([folder], table), runner(), {})
    rows = [row for row in parquet.read_table(table).to_pylist() if "spots" in row["file"]]
    spots = answer["images"][1]
    assert len(rows) == len(spots["cells"])
    assert {(row["image_width"], row["rbc"]) for row in rows} == {(2400, len(rows))}


def test_a_slide_that_fails_does_so_once(folder, tmp_path):
    out = tmp_path / "out.json"
    run = runner(tile_task=fails_over_spots)
    assert analyze_files(Batch([folder], out, jobs=2), run, {}) == (2, 2)
    errors = json.loads(out.read_bytes())["errors"]
    assert [error["file"].rsplit("/")[-1] for error in errors] == ["damaged.svs", "spots.svs"]
    assert "program failed" in errors[1]["error"]


def test_a_slide_half_done_is_gone_on_with(tmp_path):
    path, out, whole = (tmp_path / name for name in ("spots.svs", "out.json", "whole.json"))
    write_spots(path)
    script = (
        "from pathlib import Path\n"
        "from core.batch.run import Batch, analyze_files\n"
        "from tests.batch.tasks import runner, spots_until_killed\n"
        f"batch = Batch([Path({str(path)!r})], Path({str(out)!r}))\n"
        "analyze_files(batch, runner(tile_task=spots_until_killed), {})\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT_ROOT, capture_output=True, check=False
    )
    assert killed.returncode == -9
    (tmp_path / "tiles").unlink()
    resumed = analyze(path, out, runner(tile_task=spots_told), resume=True)
    told = (tmp_path / "tiles").stat().st_size
    tiles = analyze(path, whole, runner())["tiles"]
    assert told == tiles["analysed"] + tiles["refused"] - 16  # two tile batches were done
    assert out.read_bytes() == whole.read_bytes()
    assert resumed["tiles"] == tiles


def test_the_red_cells_of_a_slide_replace_a_scale_that_they_contradict():
    tile = next(tile_grid(400, 400, 400, 10))
    red = [Cell("rbc", Box(40 * i + 10, 50, 30, 30), 0.9, detection_score=0.9) for i in range(9)]
    white = Cell("wbc", Box(100, 200, 60, 60), 0.9, type="basophil")
    properties = ImageProperties("aperio", "RGB", 8, 1)
    for header, warned in ((0.25, False), (1.0, True)):
        slide = FieldAnalysis("s", "0" * 64, 400, 400, properties, (), scale=Scale(header, "file"))
        plan = SlidePlan(slide, (tile,), 1)
        answer = slide_answer(plan, [TileResult(tile, (white, *red), None)])
        assert answer["micrometres_per_pixel"] == 0.25
        assert bool(answer["warnings"]) == warned
    few = slide_answer(plan, [TileResult(tile, (white, *red[:3]), None)])
    assert few["micrometres_per_pixel"] is None
    assert few["cells"][0]["status"] == "uncertain"
    assert "nothing is classified" in few["warnings"][0]


def test_empty_and_refused_slides_say_why(tmp_path):
    path = tmp_path / "slide.svs"
    pixels = np.full((900, 1200, 3), GLASS, np.uint8)
    write_slide(SyntheticField(pixels, (), 0.15), path)
    image = analyze(path, tmp_path / "out.json", runner())
    assert "empty glass" in image["refused"]
    assert image["tiles"] == {"analysed": 0, "with_cells": 0, "refused": 0, "glass": 12}
    pixels[100:800, 100:1100] = np.random.default_rng(1).integers(150, 255, (700, 1000, 1))
    write_slide(SyntheticField(pixels, (), 0.15), path)
    image = analyze(path, tmp_path / "out.json", runner())
    assert image["refused"] == "No spots."
    assert image["tiles"]["refused"] > 0
    assert image["cells"] == []


def nearest(values, wanted):
    return min(values, key=lambda value: abs(value - wanted))


@pytest.fixture(scope="module")
def smear(tmp_path_factory, analyzer):
    """Make a slide of three fields: of two the first white cell lies where four tiles meet, and
    where two do; the third is out of focus."""
    on_corner, on_side, blurred = (
        make_field(seed, 760, 760, white_cells=TYPES, red_cell_pixels=48)
        for seed in (1001, 2000, 3002)
    )
    scale = on_corner.micrometres_per_pixel
    side = analyzer.detector.input_side * RED_CELL_MICROMETRES / RED_CELL_PIXELS
    grid = list(tile_grid(4096, 3072, round(side / scale), round(MARGIN_MICROMETRES / scale)))
    columns, rows = ({tile.interior[axis] for tile in grid} for axis in (0, 1))
    (x, y), (x2, _) = (field.cells[0].box.centre for field in (on_corner, on_side))
    fields = [
        (on_corner, round(nearest(columns, 500 + x) - x), round(nearest(rows, 500 + y) - y)),
        (on_side, round(nearest(columns, 2600 + x2) - x2), 1500),
        (
            replace(blurred, cells=(), pixels=cv2.GaussianBlur(blurred.pixels, (0, 0), 20)),
            300,
            2000,
        ),
    ]
    slide = make_slide(4096, 3072, fields)
    path = tmp_path_factory.mktemp("smear") / "smear.svs"
    write_slide(slide, path)
    return slide, path


@pytest.fixture(scope="module")
def seen(smear, tmp_path_factory):
    """Analyse the slide with the shipped models in this process."""
    out = tmp_path_factory.mktemp("seen") / "one.json"
    run = JobRunner(analyze_field, models_fingerprint())
    return analyze(smear[1], out, run), out


def hits(truth, found):
    """Return by how many found cells each true one is met."""
    return [
        sum(
            np.hypot(*np.subtract(cell.box.centre, centre)) < 0.5 * cell.box.diameter
            for centre in found
        )
        for cell in truth
    ]


@pytest.mark.parametrize(("kind", "share"), [("wbc", 0.95), ("rbc", 0.9)])
def test_the_cells_of_a_slide_are_found(smear, seen, kind, share):
    slide, _ = smear
    image, _ = seen
    truth = [cell for cell in slide.cells if cell.kind == kind]
    found = [Box(*cell["box"]).centre for cell in image["cells"] if cell["kind"] == kind]
    met = hits(truth, found)
    assert np.mean(np.array(met) > 0) >= share
    assert len(found) <= 1.05 * len(truth)
    if kind == "wbc":
        assert max(met) == 1


def test_white_cells_where_tiles_meet_are_found_once(smear, seen):
    slide, _ = smear
    image, _ = seen
    white = [cell for cell in slide.cells if cell.kind == "wbc"]
    found = [Box(*cell["box"]).centre for cell in image["cells"] if cell["kind"] == "wbc"]
    assert hits([white[0], white[len(TYPES)]], found) == [1, 1]


def test_away_from_seams_cells_are_those_of_the_field_analysed_alone(smear, seen, analyzer):
    slide, _ = smear
    image, _ = seen
    left, top, right, bottom = 2300, 1400, 3700, 2360  # around the second field, on glass
    properties = ImageProperties("PNG", "RGB", 8, 1)
    pixels = np.ascontiguousarray(slide.pixels[top:bottom, left:right])
    alone = analyzer.analyze(
        FieldImage("field", pixels, "", properties, slide.micrometres_per_pixel)
    )
    side = analyzer.detector.input_side * RED_CELL_MICROMETRES / RED_CELL_PIXELS
    scale = slide.micrometres_per_pixel
    tiles = tile_grid(4096, 3072, round(side / scale), round(MARGIN_MICROMETRES / scale))
    seams = {at for tile in tiles for at in tile.interior}

    def off_seams(found):
        return {
            cell: label
            for cell, label in found.items()
            if min(abs(at - seam) for at in cell for seam in seams) > OVERLAP_MARGIN
        }

    by_field = off_seams(
        {
            (left + cell.box.centre[0], top + cell.box.centre[1]): (cell.type, cell.status)
            for _, cell in alone.white_cells()
        }
    )
    on_slide = off_seams(
        {
            Box(*cell["box"]).centre: (cell["type"], cell["status"])
            for cell in image["cells"]
            if cell["kind"] == "wbc"
            and left < cell["box"][0] < right
            and top < cell["box"][1] < bottom
        }
    )
    assert len(by_field) == len(on_slide) >= len(TYPES) / 2
    for place, label in by_field.items():
        same = min(on_slide, key=lambda other: np.hypot(*np.subtract(place, other)))
        assert np.hypot(*np.subtract(place, same)) < OVERLAP_MARGIN
        sure = [type_ for type_, status in (on_slide[same], label) if status == "classified"]
        assert len(set(sure)) <= 1  # a cell near the limit may be uncertain in one of the two


def test_tiles_out_of_focus_are_left_out_and_glass_is_not_looked_at(seen):
    image, _ = seen
    tiles = image["tiles"]
    assert tiles["analysed"] >= 9
    assert tiles["refused"] >= 4
    assert tiles["glass"] >= 20
    assert tiles["with_cells"] <= tiles["analysed"]
    assert image["refused"] is None
    assert not [c for c in image["cells"] if c["box"][0] < 1060 and c["box"][1] > 2000]


@pytest.mark.parametrize("red_cells", [0, 4])
def test_a_white_cell_almost_alone_on_glass_is_found(analyzer, red_cells):
    field = make_field(2, 600, 600, white_cells=["neutrophil"], red_cell_pixels=48)
    tile = on_glass(field, red_cells)
    assert analyzer.analyze(tile).reject_reason  # as a picture it says too little
    found = analyze_tile(analyzer, tile, None)
    assert found.reject_reason is None
    assert found.counts.kinds["wbc"] == 1
    cv2.line(tile.pixels, (0, 560), (600, 580), (90, 40, 120), 12)  # of a pen
    assert analyze_tile(analyzer, tile, None).reject_reason


def on_glass(field, red_cells):
    """Return a tile with the white cell and some red cells of a field, the rest wiped off."""
    brightness = field.pixels.sum(-1)
    glass = np.median(field.pixels[brightness >= np.percentile(brightness, 85)], 0)
    pixels = np.random.default_rng(0).normal(glass, 1.5, field.pixels.shape).clip(0, 255)
    white = [cell for cell in field.cells if cell.kind == "wbc"]
    red = [cell for cell in field.cells if cell.kind == "rbc"]
    for cell in white + red[:red_cells]:
        x, y, width, height = (round(side) for side in astuple(cell.box))
        place = np.s_[y : y + height, x : x + width]
        pixels[place] = field.pixels[place]
    properties = ImageProperties("aperio", "RGB", 8, 1)
    scale = field.micrometres_per_pixel
    return FieldImage("tile", pixels.astype(np.uint8), "", properties, scale)


def test_two_processes_see_the_same_slide(smear, seen, tmp_path):
    out = tmp_path / "two.json"
    analyze(smear[1], out, JobRunner(analyze_field, models_fingerprint()), jobs=2)
    assert out.read_bytes() == seen[1].read_bytes()
