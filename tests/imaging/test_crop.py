import numpy as np
import pytest

from core.domain.boxes import Box
from core.imaging.crop import crop_cell, crop_square, glass_colour
from tests.images import read_image


def test_a_crop_is_centred_and_keeps_its_shape():
    picture = np.full((300, 300, 3), 255, np.uint8)
    picture[100:140, 60:80] = 0  # 20 wide, 40 high
    crop = crop_cell(picture, Box(60, 100, 20, 40), size=104, margin=0.15)
    assert crop.shape == (104, 104, 3)
    rows, columns = np.nonzero(crop[..., 0] < 128)
    assert rows.mean() == pytest.approx(51.5, abs=1.5)
    assert columns.mean() == pytest.approx(51.5, abs=1.5)
    assert np.ptp(rows) == pytest.approx(80, abs=4)
    assert np.ptp(columns) == pytest.approx(40, abs=4)


def test_beyond_the_edge_lies_glass_and_no_second_half_of_the_cell():
    picture = np.full((300, 400, 3), (230, 222, 226), np.uint8)
    picture[120:160, :15] = (90, 40, 130)  # the rest of a cell that the left edge cuts
    crop = crop_square(picture, Box(0, 120, 15, 40), 60, 60)
    dark = crop[..., 1] < 128
    assert dark.sum() == pytest.approx(15 * 40, rel=0.05)
    assert crop[30, :20].tolist() == [[230, 222, 226]] * 20


def test_glass_is_the_bright_part_of_a_real_field(pack):
    pixels = read_image(pack.bccd(0), "field.jpg").pixels
    glass = np.array(glass_colour(pixels))
    brightness = pixels.reshape(-1, 3).mean(1)
    assert np.percentile(brightness, 75) < glass.mean() <= brightness.max()


def test_a_box_outside_has_no_crop():
    with pytest.raises(ValueError, match="outside"):
        crop_cell(np.zeros((480, 640, 3), np.uint8), Box(700, 10, 20, 20))
