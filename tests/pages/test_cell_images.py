import numpy as np
import pytest

from core.domain.boxes import Box
from ui.components.cell_images import cell_image, surroundings


def disc(diameter_um, micrometres_per_pixel):
    """A black cell of a physical size in a white field."""
    side = round(160 / micrometres_per_pixel)
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    radius = diameter_um / micrometres_per_pixel / 2
    pixels = np.where((x**2 + y**2 < radius**2)[..., None], 0, 255).astype(np.uint8)
    box = Box(side / 2 - radius, side / 2 - radius, 2 * radius, 2 * radius)
    return np.broadcast_to(pixels, (side, side, 3)), box


@pytest.mark.parametrize("scale", [0.06, 0.12, 0.3])
@pytest.mark.parametrize("diameter", [7.5, 18.0])
def test_a_cell_is_drawn_as_large_as_it_is_whatever_the_image_scale(diameter, scale):
    pixels, box = disc(diameter, scale)
    image = cell_image(pixels, box, scale, 240)
    assert image.shape == (240, 240, 3)
    dark = (image[..., 0] < 128).sum()
    assert 2 * np.sqrt(dark / np.pi) * 24 / 240 == pytest.approx(diameter, rel=0.06)


def test_without_a_scale_a_cell_is_taken_for_an_ordinary_white_cell():
    pixels, box = disc(9.0, 0.12)
    dark = (cell_image(pixels, box, None, 240)[..., 0] < 128).sum()
    assert 2 * np.sqrt(dark / np.pi) * 24 / 240 == pytest.approx(13.5, rel=0.06)


def test_the_cell_is_framed_among_its_neighbours():
    pixels, box = disc(12.0, 0.12)
    around, side = surroundings(pixels, box, 0.12, 400)
    framed = np.argwhere((around != around[..., :1]).any(-1))
    low, high = framed.min(0), framed.max(0)
    assert side == pytest.approx(96, rel=0.01)
    assert ((high - low) * side / 400).tolist() == pytest.approx([12, 12], abs=1.5)
    assert ((high + low) / 2).tolist() == pytest.approx([200, 200], abs=3)


def test_at_the_edge_the_frame_is_where_the_cell_is():
    pixels = np.full((300, 500, 3), 255, np.uint8)
    around, side = surroundings(pixels, Box(440, 30, 40, 40), 0.2, 300)
    framed = np.argwhere((around != 255).any(-1))
    assert side == pytest.approx(300 * 0.2)
    assert framed.min(0).tolist() == pytest.approx([30, 240], abs=3)
    assert framed.max(0).tolist() == pytest.approx([70, 280], abs=3)


def test_beyond_the_edge_there_is_nothing_to_mistake_for_a_cell():
    field = np.full((200, 200, 3), 230, np.uint8)
    field[:10, :10] = 60  # a cell that the corner cuts
    image = cell_image(field, Box(-10, -10, 20, 20), 0.12, 240)
    assert (image[:100, :100] == 230).all()
    assert (image < 100).any()
