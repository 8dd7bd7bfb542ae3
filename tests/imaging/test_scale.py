"""The red cells are the ruler when the header has none."""

import numpy as np
import pytest

from core.imaging.scale import field_scale, red_cell_scale
from core.results import Box, FieldImage, ImageProperties, Scale


def image(scale=None):
    pixels = np.zeros((480, 640, 3), np.uint8)
    return FieldImage("a", pixels, "0" * 64, ImageProperties("PNG", "RGB", 8, 1), scale)


def red(x, y, width=75, height=75):
    return Box(x, y, width, height)


INNER = [red(100 + 80 * i, 200) for i in range(5)]


def test_the_header_comes_first():
    assert field_scale(image(0.25), INNER) == Scale(0.25, "file")


def test_the_median_red_cell_is_seven_and_a_half_micrometres():
    scale = field_scale(image(), [*INNER, red(10, 10, 160, 80)])
    assert scale.source == "red cells"
    assert scale.micrometres_per_pixel == pytest.approx(0.1)


def test_an_oval_cell_counts_with_the_mean_of_its_sides():
    ovals = [red(100 + 80 * i, 200, 70, 80) for i in range(5)]
    assert field_scale(image(), ovals).micrometres_per_pixel == pytest.approx(0.1)


@pytest.mark.parametrize("fifth", [red(0, 200, 40), red(600, 200, 40), red(100, 0), red(100, 405)])
def test_cut_cells_are_no_ruler(fifth):
    assert field_scale(image(), [*INNER[:4], fifth]) is None


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
    assert field_scale(image(), cells).micrometres_per_pixel == pytest.approx(0.072, rel=0.1)
