"""A wrong scale in the header of a real field turns no answer."""

import io
from dataclasses import replace

import pytest
from PIL import Image

from core.datasets.readers import open_set
from core.domain.boxes import Box
from core.domain.results import Cell, FieldImage, ImageProperties, Scale
from core.imaging.read import read_images
from core.imaging.scale import FieldScale
from core.inference.pipeline import judge_sizes


def field(pixels, scale=None):
    return FieldImage("a", pixels, "0" * 64, ImageProperties("PNG", "RGB", 8, 1), scale)


def tagged(pixels, micrometres_per_pixel):
    """Return a field read from a PNG whose header has this scale."""
    stream = io.BytesIO()
    dpi = 25_400 / micrometres_per_pixel
    Image.fromarray(pixels).save(stream, "PNG", dpi=(dpi, dpi))
    (image,) = read_images(stream.getvalue(), "field.png")
    return image


@pytest.mark.parametrize("scale", [0.1, 1.6])
def test_benign_fields_of_another_calibration_stay_benign(analyzer, pack, scale):
    data = open_set("taleqani")
    benign = [e for e in data.examples if e.label == "Benign"][::43]
    assert len(benign) >= 10
    for example in benign:
        pixels = data.read(example)
        wrong, plain = analyzer.stage(tagged(pixels, scale)), analyzer.stage(field(pixels))
        assert wrong.probabilities == plain.probabilities
        assert wrong.status == plain.status
        (sentence,) = wrong.warnings
        assert f"{scale} µm per pixel" in sentence
        assert "scale of the red cells" in sentence
        assert plain.warnings == ()


@pytest.mark.parametrize("scale", [0.02, 0.25, 1.5])
def test_cells_are_named_by_the_scale_of_the_red_cells(analyzer, pack, scale):
    pixels = read_images(pack.bccd(0), "a")[0].pixels
    plain, wrong = analyzer.analyze(field(pixels)), analyzer.analyze(tagged(pixels, scale))
    assert wrong.cells == plain.cells
    assert wrong.scale == plain.scale
    assert len(wrong.warnings) == 1
    true = analyzer.analyze(tagged(pixels, 0.072))
    assert true.scale == Scale(pytest.approx(0.072, rel=1e-3), "file")
    assert true.warnings == ()


def test_nothing_is_classified_on_a_scale_that_no_red_cells_settle(analyzer, pack):
    data = open_set("pbc")
    cells = [e for e in data.of_split("val") if e.label == "lymphocyte"][:6]
    for example in cells:
        pixels = data.read(example)[36:156, 36:156]  # hardly any red cell is whole
        plain = analyzer.analyze(field(pixels))
        wrong = analyzer.analyze(tagged(pixels, 0.7))
        assert [c.type for c in wrong.cells] == [c.type for c in plain.cells]
        assert {c.status for _, c in wrong.white_cells()} == {"uncertain"}
        assert wrong.scale is None
        assert wrong.counts.types == {}
        (sentence,) = wrong.warnings
        assert "nothing is classified" in sentence


def test_a_stage_is_not_suggested_on_a_scale_that_is_not_settled(analyzer, pack, monkeypatch):
    data = open_set("taleqani")
    pixels = data.read(next(e for e in data.examples if e.label == "Pre"))
    plain = analyzer.stage(field(pixels))
    assert plain.status == "classified"
    unsettled = FieldScale(None, "Doubtful.", is_settled=False)
    monkeypatch.setattr("core.inference.pipeline.checked_scale", lambda *_: unsettled)
    held = analyzer.stage(replace(field(pixels), notes=("Noted.",)))
    assert (held.stage, held.status) == (plain.stage, "uncertain")
    assert held.warnings == ("Noted.", "Doubtful.")


def test_cells_of_absurd_size_are_not_counted_and_named():
    def cell(kind, side):
        return Cell(kind, Box(0, 0, side, side), 0.9)

    cells = [cell("wbc", 140), cell("wbc", 2500), cell("wbc", 30), cell("platelet", 30)]
    judged, warnings = judge_sizes(cells, FieldScale(Scale(0.1, "file")))
    expected = ["classified", "out_of_scope", "out_of_scope", "classified"]
    assert [c.status for c in judged] == expected
    assert warnings[0].startswith("2 objects are")
    assert judge_sizes(cells, FieldScale(None)) == (tuple(cells), ())
