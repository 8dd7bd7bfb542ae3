"""Every format of the registry writes a file, and no two of one page share a key or a name."""

import json
from dataclasses import replace

import pytest

from core.domain.boxes import Box
from core.domain.results import FailedFile, StageResult
from core.domain.taxonomy import LEUKOCYTES, STAGES
from core.exports.registry import (
    CASE_FORMATS,
    COUNT_FORMATS,
    HISTORY_FORMATS,
    RANGE_FORMATS,
    STAGE_FORMATS,
    CountExport,
    StageExport,
    export_files,
)
from core.imaging.segmentation import METHODS
from core.synthetic.examples import synthetic_slides, synthetic_truth
from tests.cases.made import analysis_of, red, white
from tests.exports.cases import make_case, read_pixels
from tests.images import read_image

PLACES = (CASE_FORMATS, HISTORY_FORMATS, COUNT_FORMATS, STAGE_FORMATS, RANGE_FORMATS)
FAILED = FailedFile("broken.png", "It is no image.")


def graded(stage):
    probabilities = {key: 0.7 if key == stage else 0.1 for key in STAGES}
    return StageResult("a.png", stage, probabilities, 0.7, "classified")


@pytest.mark.parametrize("formats", PLACES)
def test_keys_and_endings_are_unique(formats):
    for of in (lambda form: form.key, lambda form: form.ending, lambda form: form.label):
        assert len({of(form) for form in formats}) == len(formats)


def test_the_fields_of_the_count_page_are_written_in_every_format():
    analyses = make_case().analyses
    export = CountExport(
        analyses,
        ["P-1", "P-2", "P-1"],
        [FAILED],
        {"wbc": "1.0.0"},
        lambda: ((read_pixels(i), analysis) for i, analysis in enumerate(analyses)),
    )
    written = {file.name: file.write() for file in export_files(COUNT_FORMATS, export, "x")}
    assert written["x.xlsx"].startswith(b"PK")
    assert written["x_images.zip"].startswith(b"PK")
    assert written["x_differential.csv"].count(b"\r\nP-2,") == len(LEUKOCYTES) + 1
    assert json.loads(written["x.json"])["errors"] == [
        {"file": "broken.png", "error": "It is no image."}
    ]


def test_cells_are_measured_only_when_asked():
    name, data = synthetic_slides()[0]
    image = read_image(data, name)
    truth = synthetic_truth()[image.sha256]["cells"]
    cells = [replace(white(), box=Box(*cell["box"])) for cell in truth if cell["type"]][:3]
    cut_off = replace(white(), box=Box(0, 100, 60, 60))
    found = analysis_of(image, *cells, red(), cut_off)
    export = CountExport([found], ["P-1"], [], {}, lambda: [(image.pixels, found)])
    assert "nucleus_area" not in export.cells()
    for method in METHODS:
        table = replace(export, segmentation=method).cells()
        assert len(table) == len(found.cells)
        measured = table.head(len(cells))
        assert (measured["nucleus_area"] <= measured["cell_area"]).all()
        assert (measured["area_unit"] == "µm²").all()
        assert table.tail(2)[["nucleus_area", "lobes"]].isna().all(axis=None)
        assert (table["segmentation"] == method).all()


@pytest.mark.parametrize(("patients", "has_pooled"), [(["P-1", "P-1"], True), (["P-1", "P-2"], 0)])
def test_fields_of_several_patients_have_no_pooled_answer(patients, has_pooled):
    pooled = dict.fromkeys(patients, graded("Pre"))
    export = StageExport([graded("Pre"), graded("Pro")], patients, pooled, [FAILED])
    written = {file.key: file.write() for file in export_files(STAGE_FORMATS, export, "x")}
    assert set(written) == {"xlsx", "csv", "json"}
    assert bool(json.loads(written["json"])["pooled"]) == has_pooled


def test_a_download_is_recorded_after_it_was_written():
    recorded = []
    first, *_ = export_files(STAGE_FORMATS, StageExport([], [], {}, []), "x", recorded.append)
    assert not recorded
    first.write()
    assert recorded == ["xlsx"]
