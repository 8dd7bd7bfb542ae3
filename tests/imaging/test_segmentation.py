"""Nucleus and cytoplasm against masks drawn by hand, and measures against known shapes."""

import cv2
import numpy as np
import pytest

from core.domain.boxes import Box
from core.imaging.illumination import set_white_point
from core.imaging.segmentation import METHODS, CellSegmentation, measure_cell, segment_cell
from tests.images import decoded


def dice(found, wanted):
    return 2 * (found & wanted).sum() / (found.sum() + wanted.sum())


def filled(outlines, shape):
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [np.round(line - 0.5).astype(np.int32) for line in outlines], 1)
    return canvas > 0


@pytest.mark.parametrize("method", METHODS)
def test_nuclei_and_cells_lie_where_people_drew_them(pack, method):
    nuclei, cells = [], []
    for number in range(1, 101, 4):
        image = decoded(pack.read("cellavision_cells.zip", f"images/{number:03}.webp"))
        mask = decoded(pack.read("cellavision_cells.zip", f"masks/{number:03}.png"))[..., 0]
        x, y, width, height = cv2.boundingRect((mask > 60).astype(np.uint8))
        found = segment_cell(set_white_point(image), Box(x, y, width, height), method)
        nuclei.append(dice(filled(found.outlines(found.nucleus), mask.shape), mask > 200))
        cells.append(dice(filled(found.outlines(found.cell), mask.shape), mask > 60))
    assert np.median(nuclei) > 0.95
    assert min(nuclei) > 0.6
    assert np.median(cells) > 0.90


def drawn(*circles, radius_of_cell=60):
    nucleus, cell = np.zeros((2, 160, 160), np.uint8)
    cv2.circle(cell, (80, 80), radius_of_cell, 1, -1)
    for centre, radius in circles:
        cv2.circle(nucleus, centre, radius, 1, -1)
    return CellSegmentation(
        nucleus > 0, (cell | nucleus) > 0, x=10, y=20, pixels_per_cell_pixel=0.5
    )


def test_a_disc_has_the_area_and_roundness_of_a_disc():
    measures = measure_cell(drawn(((80, 80), 40)), micrometres_per_pixel=0.2)
    assert measures.nucleus_area == pytest.approx(np.pi * (40 * 0.5 * 0.2) ** 2, rel=0.03)
    assert measures.cell_area == pytest.approx(np.pi * (60 * 0.5 * 0.2) ** 2, rel=0.03)
    assert measures.nucleus_cytoplasm_ratio == pytest.approx(40**2 / (60**2 - 40**2), rel=0.05)
    assert measures.nucleus_roundness > 0.95
    assert measures.lobes == 1


def test_lobes_are_counted_and_make_a_nucleus_less_round():
    measures = measure_cell(drawn(((55, 80), 20), ((105, 80), 20)))
    assert measures.lobes == 2
    assert measures.nucleus_roundness < 0.6
    assert measures.nucleus_area == pytest.approx(2 * np.pi * 10**2, rel=0.03)


def test_without_cytoplasm_the_ratio_is_infinite():
    assert measure_cell(drawn(((80, 80), 60))).nucleus_cytoplasm_ratio == float("inf")


def test_outlines_lie_in_pixels_of_the_image():
    segmentation = drawn(((80, 80), 40))
    (outline,) = segmentation.outlines(segmentation.nucleus)
    assert outline.mean(0) == pytest.approx([10 + 40, 20 + 40], abs=0.6)


def test_empty_glass_has_no_nucleus():
    assert segment_cell(np.full((90, 90, 3), 235, np.uint8), Box(20, 20, 50, 50)) is None


def test_the_scale_of_the_image_does_not_change_the_measures(pack):
    image = set_white_point(decoded(pack.read("cellavision_cells.zip", "images/001.webp")))
    large = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    box = Box(90, 90, 130, 130)
    one = measure_cell(segment_cell(image, box), 0.1)
    two = measure_cell(segment_cell(large, Box(180, 180, 260, 260)), 0.05)
    assert two.nucleus_area == pytest.approx(one.nucleus_area, rel=0.05)
    assert two.cell_area == pytest.approx(one.cell_area, rel=0.1)
