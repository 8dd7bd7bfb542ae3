import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.datasets.readers import open_set
from core.imaging.illumination import (
    GLASS,
    background,
    flatten,
    flatten_uneven,
    set_white_point,
)


@pytest.fixture(scope="module")
def field(pack):
    data = open_set("bccd")
    return data.read(data.examples[3])


def _light(height, width, kind):
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    light = np.ones((height, width, 3), np.float32)
    if kind == "vignette":
        return light * (1 - 0.6 * (x**2 + y**2) / 2)[..., None]
    if kind == "gradient":
        return light * (1 + 0.3 * x[..., None] * np.array([1, 0.6, -0.4], np.float32)) / 1.3
    return light * np.array([1.0, 0.85, 0.6], np.float32)


def _lit(pixels, kind):
    return np.clip(pixels * _light(*pixels.shape[:2], kind), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ["vignette", "gradient", "tint"])
def test_a_field_looks_the_same_under_any_light(field, kind):
    even, uneven = flatten(field).astype(int), flatten(_lit(field, kind)).astype(int)
    before = np.abs(_lit(field, kind).astype(int) - field).mean()
    assert before > 10
    assert np.abs(even - uneven).mean() < 2.5


def test_glass_becomes_white_and_cells_stay_dark(field):
    flat = flatten(field)
    assert flat.shape == field.shape
    assert flat.dtype == np.uint8
    light = background(flat)
    assert abs(float(light.mean()) - GLASS) < 6
    nuclei = field[..., 1] < np.percentile(field[..., 1], 2)
    assert flat[nuclei, 1].mean() < 0.75 * flat[..., 1].mean()


def test_a_cell_that_fills_half_the_image_keeps_its_cytoplasm(pack):
    data = open_set("txl")
    name = "0342f086-e691-57cf-b5b2-e602d9f97246"
    close_up = data.read(next(e for e in data.examples if name in e.member))
    side = close_up.shape[0]
    middle = slice(side * 35 // 100, side * 65 // 100)

    def contrast(pixels):
        return np.median(pixels[middle, middle, 1]) / np.percentile(pixels[..., 1], 90)

    assert contrast(flatten(close_up)) < 1.25 * contrast(set_white_point(close_up))


def test_only_clearly_uneven_light_is_corrected_for_a_model_of_even_fields(field):
    assert flatten_uneven(field) is field
    tinted = _lit(field, "tint")
    assert flatten_uneven(tinted) is tinted
    for kind in ("vignette", "gradient"):
        uneven = _lit(field, kind)
        np.testing.assert_array_equal(flatten_uneven(uneven), flatten(uneven))


def test_one_estimate_serves_all_tiles_of_a_slide(field):
    light = background(field)
    half = field.shape[1] // 2
    whole = flatten(field, light)
    left = flatten(field[:, :half], light[:, : light.shape[1] // 2])
    assert np.abs(whole[:, : half - 8].astype(int) - left[:, :-8]).mean() < 2


def test_the_background_is_small_whatever_the_size():
    assert background(np.full((3000, 4000, 3), 200, np.uint8)).shape == (90, 120, 3)
    assert background(np.full((10, 20, 3), 200, np.uint8)).shape == (10, 20, 3)


@pytest.mark.parametrize("tint", [(1, 1, 1), (1.0, 0.8, 0.55), (0.7, 0.8, 0.9), (0.5, 0.5, 0.5)])
def test_the_white_point_of_a_cell_takes_any_tint_away(pack, tint):
    data = open_set("pbc")
    cell = data.read(data.of_split("test")[7])
    tinted = np.clip(cell * np.array(tint), 0, 255).astype(np.uint8)
    wanted, corrected = set_white_point(cell).astype(int), set_white_point(tinted).astype(int)
    assert np.abs(wanted - corrected).mean() < 3
    small = cv2.resize(corrected.astype(np.uint8), (48, 48), interpolation=cv2.INTER_AREA)
    assert np.abs(np.percentile(small.reshape(-1, 3), 95, axis=0) - GLASS).max() < 4


@given(arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))))
def test_any_image_can_be_corrected(pixels):
    for corrected in (flatten(pixels), set_white_point(pixels)):
        assert corrected.shape == pixels.shape
        assert corrected.dtype == np.uint8


@pytest.mark.parametrize("long", [1, 2, 7, 50, 1000])
@pytest.mark.parametrize("short", [1, 2, 3, 6, 9, 20])
def test_even_light_stays_even_however_narrow_the_image(short, long):
    light = background(np.full((short, long, 3), 120, np.uint8))
    assert np.allclose(light, 120, atol=2)
