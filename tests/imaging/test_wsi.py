"""Slides are read where and as they are; what is no slide stays a picture."""

from contextlib import suppress
from dataclasses import replace
from itertools import pairwise, product

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tifffile import TiffWriter, imwrite

from core.errors import DamagedSlideError, InputError
from core.imaging.read import read_images_from
from core.imaging.wsi import Slide, Tile, is_slide, tile_grid
from core.settings import Settings
from core.synthetic.fields import SyntheticField, make_field
from core.synthetic.slides import GLASS, make_slide, write_slide

SMALL = Settings(max_megapixels=1)


@pytest.fixture(scope="module")
def made():
    return make_slide(1600, 1200, [(make_field(3, 640, 480, red_cell_pixels=48), 700, 500)])


@pytest.fixture(scope="module")
def path(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "made.svs"
    write_slide(made, path)
    return path


def write_tiff(path, pixels, **options):
    imwrite(path, pixels, photometric="rgb", compression="zlib", **options)
    return path


def test_a_slide_says_its_size_and_scale(made, path):
    with Slide(path) as slide:
        assert (slide.width, slide.height) == (1600, 1200)
        assert slide.format == "aperio"
        assert slide.micrometres_per_pixel == pytest.approx(made.micrometres_per_pixel, abs=1e-6)
        assert slide.downsamples == pytest.approx((1, 4, 16))
        assert slide.pixels(75) == round(75 / made.micrometres_per_pixel)


def test_regions_are_what_lies_there_and_white_beyond(made, path):
    with Slide(path) as slide:
        np.testing.assert_array_equal(slide.read(690, 480, 300, 200), made.pixels[480:680, 690:990])
        corner = slide.read(1590, -5, 20, 20)
        assert (corner[:5] == 255).all()
        assert (corner[:, 10:] == 255).all()
        assert (corner[5:, :10] == GLASS).all()


def test_coarser_levels_show_the_same_region(made, path):
    wanted = cv2.resize(
        made.pixels[512:1024, 768:1280], (128, 128), interpolation=cv2.INTER_AREA
    ).astype(int)
    with Slide(path) as slide:
        assert slide.level_for(4 * made.micrometres_per_pixel) == 1
        assert slide.level_for(0.01) == 0
        found = slide.read(768, 512, 512, 512, level=1)
    assert found.shape == (128, 128, 3)
    assert np.abs(found - wanted).mean() < 1


def test_glass_is_told_from_a_quarter_of_a_lymphocyte(tmp_path):
    pixels = np.full((1200, 1200, 3), GLASS, np.uint8)
    cv2.circle(pixels, (600, 600), 30, (120, 90, 160), -1)  # 9 µm across
    path = tmp_path / "cell.svs"
    write_slide(SyntheticField(pixels, (), 0.15), path)
    with Slide(path) as slide:
        for left, top in product((200, 600), repeat=2):
            assert not slide.is_glass(Tile(0, 0, 900, 900, (left, top, left + 400, top + 400)))
        assert slide.is_glass(Tile(0, 0, 900, 900, (0, 0, 400, 400)))


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(100, 700), st.floats(0.05, 0.4))
def test_cores_cover_a_slide_without_overlap(width, height, side, share):
    margin = int(side * share)
    tiles = list(tile_grid(width, height, side, margin))
    assert {(t.width, t.height) for t in tiles} == {(min(side, width), min(side, height))}
    for axis, length, size in ((0, width, "width"), (1, height, "height")):
        cuts = sorted({(t.interior[axis], t.interior[axis + 2]) for t in tiles})
        assert (cuts[0][0], cuts[-1][1]) == (0, length)
        assert all(a[1] == b[0] for a, b in pairwise(cuts))
        for tile in tiles:
            start = (tile.x, tile.y)[axis]
            end = start + getattr(tile, size)
            assert start == 0 or tile.interior[axis] - start >= margin
            assert end == length or end - tile.interior[axis + 2] >= margin
            assert 0 <= start < end <= length
    rows, columns = ({t.interior[i::2] for t in tiles} for i in (1, 0))
    assert len(tiles) == len({t.interior for t in tiles}) == len(rows) * len(columns)


def test_scanner_formats_and_large_tiled_tiffs_are_slides(path, made, tmp_path):
    tiled = write_tiff(tmp_path / "tiled.tif", made.pixels, tile=(256, 256))
    flat = write_tiff(tmp_path / "flat.tif", made.pixels)
    picture = tmp_path / "picture.png"
    cv2.imwrite(str(picture), made.pixels)
    text = tmp_path / "text.svs"
    text.write_text("no slide")
    assert is_slide(path)
    assert is_slide(tiled, SMALL)
    for other in (tiled, flat, picture, text, tmp_path / "none.svs"):
        assert not is_slide(other)
    assert not is_slide(flat, SMALL)  # only tiles can be read one by one


@pytest.mark.parametrize(
    ("metadata", "scale"),
    [
        ({"PhysicalSizeX": 0.16, "PhysicalSizeXUnit": "µm"}, 0.16),
        ({"PhysicalSizeX": 0.16}, 0.16),
        ({"PhysicalSizeX": 0.00016, "PhysicalSizeXUnit": "mm"}, 0.16),
        ({"PhysicalSizeX": 160.0}, None),
        ({}, None),
    ],
)
def test_ome_tiff_says_its_scale(tmp_path, metadata, scale):
    path = tmp_path / "slide.ome.tif"
    pixels = np.full((512, 768, 3), 200, np.uint8)
    write_tiff(path, pixels, tile=(256, 256), metadata={"axes": "YXS", **metadata}, ome=True)
    with Slide(path) as slide:
        assert slide.micrometres_per_pixel == scale
        assert slide.read(0, 0, 768, 512).shape == (512, 768, 3)


def test_resolution_tags_give_the_scale_if_a_microscope_can_have_written_them(tmp_path):
    pixels = np.full((512, 512, 3), 200, np.uint8)
    for per_centimetre, scale in ((1e4 / 0.25, 0.25), (118.1, None)):
        path = tmp_path / f"{per_centimetre}.tif"
        with TiffWriter(path) as writer:
            writer.write(
                pixels,
                photometric="rgb",
                tile=(256, 256),
                resolution=(per_centimetre, per_centimetre),
                resolutionunit="CENTIMETER",
            )
        with Slide(path) as slide:
            assert slide.micrometres_per_pixel == (scale and pytest.approx(scale))


def test_a_damaged_slide_is_said(path, tmp_path):
    content = bytearray(path.read_bytes())
    damaged = tmp_path / "damaged.svs"
    middle = len(content) // 2
    content[middle - 50_000 : middle + 50_000] = bytes(100_000)
    damaged.write_bytes(content)
    assert is_slide(damaged)
    with Slide(damaged) as slide, pytest.raises(DamagedSlideError):
        slide.read(0, 0, 1600, 1200)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9])
def test_a_slide_cut_short_is_an_input_error(path, tmp_path, share):
    cut = tmp_path / "cut.svs"
    content = path.read_bytes()
    cut.write_bytes(content[: int(share * len(content))])

    def read():
        if not is_slide(cut):
            return read_images_from(cut)
        with Slide(cut) as slide:
            return slide.read(0, 0, slide.width, slide.height)

    with suppress(InputError):  # unless the full level is whole and smaller ones are cut
        assert "was not read" in read()[0].notes[0]


def test_fields_of_two_scales_make_no_slide(made):
    field = make_field(3, 300, 200, white_cells=0, red_cell_pixels=48)
    other = replace(field, micrometres_per_pixel=1.0)
    with pytest.raises(ValueError, match="one scale, not 2"):
        make_slide(700, 400, [(field, 0, 0), (other, 350, 0)])
