"""The header's scale holds while the cells confirm it; else the red cells are the ruler."""

import io

import numpy as np
import pytest
import tifffile

from core.domain.boxes import Box
from core.domain.results import Scale
from core.imaging.read import read_images
from core.imaging.scale import (
    AGREEMENT,
    FieldScale,
    field_scale,
    is_possible,
    ome_scale,
    red_cell_scale,
    tiff_scale,
    white_cell_scale,
)

SIZE = (640, 480)


def red(x, y, width=75, height=75):
    return Box(x, y, width, height)


INNER = [red(100 + 80 * i, 200) for i in range(5)]
"""Whole red cells that give 0.1 µm per pixel."""
WHITE = [red(100, 300, 130, 130)]


@pytest.mark.parametrize("header", [0.1, 0.1 * AGREEMENT - 0.001, 0.1 / AGREEMENT + 0.001])
def test_a_header_that_the_red_cells_confirm_comes_first(header):
    assert field_scale(header, SIZE, INNER, WHITE) == FieldScale(Scale(header, "file"))


@pytest.mark.parametrize(
    ("header", "verdict"),
    [
        (0.15, "does not fit this field: its red cells would be 11.2 µm across"),
        (0.06, "does not fit this field: its red cells would be 4.5 µm across"),
        (1.5, "is impossible for this field: its red cells would be 112 µm across"),
        (0.04, "is impossible for this field: its red cells would be 3 µm across"),
    ],
)
def test_red_cells_replace_a_header_that_they_contradict(header, verdict):
    checked = field_scale(header, SIZE, INNER, WHITE)
    assert checked.scale == Scale(pytest.approx(0.1), "red cells")
    assert checked.is_settled
    assert f"{header} µm per pixel, {verdict}" in checked.warning
    assert "0.100 µm per pixel, is used instead" in checked.warning


@pytest.mark.parametrize(
    ("header", "reds", "kind"), [(0.25, 4, "red"), (0.045, 2, "red"), (0.3, 1, "white")]
)
def test_too_few_red_cells_contradict_a_header_and_settle_nothing(header, reds, kind):
    checked = field_scale(header, SIZE, INNER[:reds], WHITE)
    assert checked.scale is None
    assert not checked.is_settled
    assert f"its {kind} cells would be" in checked.warning
    assert "nothing is classified" in checked.warning


@pytest.mark.parametrize("reds", [0, 1, 2, 4])
def test_a_header_stands_where_few_cells_fit_it(reds):
    expected = FieldScale(Scale(0.12, "file"))
    assert field_scale(0.12, SIZE, INNER[:reds], WHITE) == expected
    assert field_scale(0.12, SIZE, INNER[:reds]) == expected


def test_without_a_header_the_median_red_cell_is_seven_and_a_half_micrometres():
    checked = field_scale(None, SIZE, [*INNER, red(10, 10, 160, 80)])
    assert checked.scale == Scale(pytest.approx(0.1), "red cells")
    assert checked.warning is None
    assert field_scale(None, SIZE, INNER[:4], WHITE) == FieldScale(None)


def test_an_oval_cell_counts_with_the_mean_of_its_sides():
    ovals = [red(100 + 80 * i, 200, 70, 80) for i in range(5)]
    assert red_cell_scale(ovals, *SIZE) == pytest.approx(0.1)


@pytest.mark.parametrize("fifth", [red(0, 200, 40), red(600, 200, 40), red(100, 0), red(100, 405)])
def test_cut_cells_are_no_ruler(fifth):
    assert red_cell_scale([*INNER[:4], fifth], *SIZE) is None


def test_cells_between_4_and_40_micrometres_are_possible():
    for pixels, white, possible in ((41, True, True), (39, True, False), (39, False, True)):
        assert is_possible(red(0, 0, pixels, pixels), 0.1, white=white) == possible
    assert is_possible(red(0, 0, 399, 399), 0.1, white=True)
    assert not is_possible(red(0, 0, 401, 401), 0.1, white=False)


def ome(attributes):
    return f'<?xml version="1.0"?><OME><Image ID="Image:0"><Pixels ID="Pixels:0" {attributes}/>'


@pytest.mark.parametrize(
    ("attributes", "scale"),
    [
        ('PhysicalSizeX="0.16" PhysicalSizeY="0.16"', 0.16),
        ('PhysicalSizeX="0.16" PhysicalSizeXUnit="µm"', 0.16),
        ("PhysicalSizeX='160' PhysicalSizeXUnit='nm' PhysicalSizeY='0.16'", 0.16),
        ('PhysicalSizeX="1.6E-4" PhysicalSizeXUnit="mm"', 0.16),
        ('PhysicalSizeX="0.16" PhysicalSizeXUnit="&#181;m"', 0.16),
        ('PhysicalSizeX="0.16" PhysicalSizeXUnit="\u00c2\u00b5m"', 0.16),  # UTF-8 as Latin-1
        ('PhysicalSizeX="0.16" PhysicalSizeY="0.32"', None),
        ('PhysicalSizeX="0.16" PhysicalSizeXUnit="pixel"', None),
        ('PhysicalSizeX="0.16" PhysicalSizeY="what"', None),
        ('PhysicalSizeX="160"', None),
        ('SizeX="1"', None),
    ],
)
def test_ome_names_the_physical_size_of_a_pixel(attributes, scale):
    assert ome_scale(ome(attributes)) == (scale and pytest.approx(scale))
    # The resolution of an OME-TIFF may say something else.
    found = tiff_scale(ome(attributes), (10_000, 10_000), 3)
    assert found == (scale and pytest.approx(scale))


@pytest.mark.parametrize(
    ("unit", "resolution", "scale"),
    [
        ("\\u00B5m", (5, 5), 0.2),
        ("micron", (5, 5), 0.2),
        ("mm", (5000, 5000), 0.2),
        ("inch", (127_000, 127_000), 0.2),
        ("\\u00B5m", (5, 2.5), None),
        ("pixel", (5, 5), None),
    ],
)
def test_imagej_names_the_unit_and_oblong_pixels_are_no_scale(unit, resolution, scale):
    found = tiff_scale(f"ImageJ=1.53k\nunit={unit}\n", resolution, 1)
    assert found == (scale and pytest.approx(scale))


def test_the_scale_of_an_ome_tiff_is_read(pack):
    pixels = read_images(pack.bccd(0), "a")[0].pixels
    stream = io.BytesIO()
    size = {"PhysicalSizeX": 72.0, "PhysicalSizeY": 72.0}
    units = {"PhysicalSizeXUnit": "nm", "PhysicalSizeYUnit": "nm"}
    tifffile.imwrite(stream, pixels, photometric="rgb", ome=True, metadata=size | units)
    (image,) = read_images(stream.getvalue(), "a.ome.tif")
    assert np.array_equal(image.pixels, pixels)
    assert image.micrometres_per_pixel == pytest.approx(0.072)


def test_fewer_cells_give_the_rough_scale_that_crops_need():
    assert red_cell_scale(INNER[:2], 640, 480, at_least=2) == pytest.approx(0.1)
    assert red_cell_scale(INNER[:1], 640, 480, at_least=2) is None


def test_real_red_cells_give_a_plausible_scale(pack):
    """BCCD: 100x oil; red cells of its annotations are 90-110 px wide at 640 x 480."""
    import re

    xml = pack.read("bccd.zip", "Annotations/BloodImage_00003.xml").decode()
    cells = [
        red(x, y, right - x, bottom - y)
        for x, y, right, bottom in (
            map(int, found)
            for found in re.findall(
                r"<name>RBC</name>.*?<xmin>(\d+)</xmin>\s*<ymin>(\d+)</ymin>"
                r"\s*<xmax>(\d+)</xmax>\s*<ymax>(\d+)</ymax>",
                xml,
                re.DOTALL,
            )
        )
    ]
    assert red_cell_scale(cells, *SIZE) == pytest.approx(0.072, rel=0.1)


def test_three_whole_white_cells_are_a_rough_ruler():
    white = [Box(10 + 100 * i, 10, 40, 40) for i in range(3)]
    assert white_cell_scale(white, 640, 480) == pytest.approx(12 / 40)
    truncated = Box(0, 10, 40, 40)
    assert white_cell_scale([*white[:2], truncated], 640, 480) is None
