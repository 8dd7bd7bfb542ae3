"""Every kind of picture a microscope's software writes becomes upright 8-bit RGB."""

import hashlib
import io

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from core.imaging.read import display_name, read_images
from tests.images import read_image

WIDTH, HEIGHT = 100, 80


def colours():
    """A smooth picture whose four corners differ, so that turning and channel swaps show."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.dstack([x * 2, y * 3, 255 - x - y]).astype(np.uint8)


def encode(pixels, form, **options):
    stream = io.BytesIO()
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(stream, form, **options)
    return stream.getvalue()


def test_a_real_field_keeps_its_pixels_and_says_what_it_was(pack):
    data = pack.png(pack.bccd(0))
    field = read_image(data, "C:\\slides\\BloodImage.png")
    with Image.open(io.BytesIO(pack.bccd(0))) as original:
        np.testing.assert_array_equal(field.pixels, np.array(original.convert("RGB")))
    assert field.name == "BloodImage.png"
    assert field.sha256 == hashlib.sha256(data).hexdigest()
    assert (field.width, field.height) == (640, 480)
    properties = field.properties
    assert (properties.format, properties.mode, properties.bit_depth) == ("PNG", "RGB", 8)
    assert properties.file_bytes == len(data)
    assert field.micrometres_per_pixel is None


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
def test_the_format_is_told_by_content_whatever_the_name(form):
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}
    data = encode(colours(), form, **options.get(form, {}))
    field = read_image(data, "report.pdf")
    assert field.properties.format == form
    tolerance = 6 if form == "JPEG" else 0
    assert np.abs(field.pixels.astype(int) - colours()).max() <= tolerance


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_image_upright(form, orientation):
    picture = Image.fromarray(colours())
    picture.getexif()[274] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}
    data = encode(picture, form, exif=picture.getexif(), **options.get(form, {}))
    # EXIF 2.3, tag 274: where row 0 and column 0 of the stored picture belong.
    stored = colours()
    upright = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(stored, 1),
    }
    got = read_image(data, "turned").pixels
    assert got.shape == upright[orientation].shape
    assert np.abs(got.astype(int) - upright[orientation]).max() <= (6 if form == "JPEG" else 0)


def test_grey_becomes_three_equal_channels():
    grey = colours()[..., 0]
    field = read_image(encode(grey, "PNG"), "grey.png")
    np.testing.assert_array_equal(field.pixels, np.dstack([grey] * 3))
    assert field.properties.mode == "L"


def test_palette_and_one_bit_images_are_read():
    palette = Image.fromarray(colours()).quantize(64)
    field = read_image(encode(palette, "PNG"), "palette.png")
    np.testing.assert_array_equal(field.pixels, np.array(palette.convert("RGB")))
    assert (field.properties.mode, field.properties.bit_depth) == ("P", 8)

    bits = Image.fromarray(colours()[..., 0] > 90)
    field = read_image(encode(bits, "TIFF"), "bits.tif")
    assert field.properties.bit_depth == 1
    assert set(np.unique(field.pixels)) == {0, 255}


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_becomes_the_colours_it_prints(form):
    cmyk = Image.new("CMYK", (WIDTH, HEIGHT), (0, 255, 255, 0))
    field = read_image(encode(cmyk, form), "print")
    assert field.properties.mode == "CMYK"
    assert np.abs(field.pixels.astype(int) - (255, 0, 0)).max() <= 6


def test_transparent_pixels_lie_on_white():
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:, : WIDTH // 2] = 0
    field = read_image(encode(np.dstack([colours(), alpha]), "PNG"), "cut.png")
    assert (field.pixels[:, : WIDTH // 2] == 255).all()
    np.testing.assert_array_equal(field.pixels[:, WIDTH // 2 :], colours()[:, WIDTH // 2 :])

    grey = np.dstack([colours()[..., 0], alpha])
    field = read_image(encode(Image.fromarray(grey, "LA"), "PNG"), "cut.png")
    assert (field.pixels[:, : WIDTH // 2] == 255).all()


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("extension", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bit_words_are_scaled_by_the_camera_range(bits, extension, channels):
    rgb = np.round(colours() / 255 * (2**bits - 1)).astype(np.uint16)
    rgb[0, 0] = 2**bits - 1
    stored = rgb[..., ::-1] if channels == 3 else rgb[..., 0]
    field = read_image(cv2.imencode(extension, stored)[1].tobytes(), "deep")
    expected = rgb if channels == 3 else np.dstack([rgb[..., 0]] * 3)
    expected = expected / (2**bits - 1) * 255
    assert np.abs(field.pixels - expected).max() <= 1
    assert field.properties.bit_depth == 16


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_float_tiffs_are_scaled_to_their_range(top):
    values = (colours()[..., 0] / 255 * top).astype(np.float32)
    values[0, 0], values[0, 1] = top, np.nan
    field = read_image(encode(Image.fromarray(values), "TIFF"), "float.tif")
    expected = np.nan_to_num(values) / top * 255
    assert np.abs(field.pixels[..., 0] - expected).max() <= 1
    assert field.properties.bit_depth == 32


@pytest.mark.parametrize("form", ["TIFF", "PNG", "WEBP"])
def test_every_frame_is_an_image_with_its_page(form):
    frames = [Image.fromarray(np.roll(colours(), 20 * i, axis=1)) for i in range(3)]
    options = {"lossless": True} if form == "WEBP" else {}
    data = encode(frames[0], form, save_all=True, append_images=frames[1:], **options)
    fields = read_images(data, "stack")
    assert [field.page for field in fields] == [1, 2, 3]
    for field, frame in zip(fields, frames, strict=True):
        assert field.properties.frames == 3
        np.testing.assert_array_equal(field.pixels, np.asarray(frame))


@pytest.mark.parametrize(
    ("options", "scale"),
    [
        ({"dpi": (72, 72)}, None),
        ({"dpi": (300, 300)}, None),
        ({"resolution_unit": "cm", "x_resolution": 50_000, "y_resolution": 50_000}, 0.2),
        ({"resolution_unit": "cm", "x_resolution": 50_000, "y_resolution": 20_000}, None),
        ({"resolution_unit": "cm", "x_resolution": 1e7, "y_resolution": 1e7}, None),
        ({"resolution_unit": "inch", "x_resolution": 254_000, "y_resolution": 254_000}, 0.1),
    ],
)
def test_only_a_plausible_microscope_scale_is_taken_from_tiff_tags(options, scale):
    field = read_image(encode(colours(), "TIFF", **options), "scaled.tif")
    assert field.micrometres_per_pixel == (None if scale is None else pytest.approx(scale))


def test_png_and_jpeg_resolution_tags_give_the_scale():
    assert read_image(
        encode(colours(), "PNG", dpi=(254_000, 254_000)), "a"
    ).micrometres_per_pixel == pytest.approx(0.1, rel=1e-3)
    jpeg = bytearray(encode(colours(), "JPEG", dpi=(1, 1)))
    assert jpeg[6:10] == b"JFIF"
    jpeg[13:18] = b"\x02" + (40_000).to_bytes(2) * 2  # unit cm, 40,000 px/cm
    assert read_image(bytes(jpeg), "b").micrometres_per_pixel == pytest.approx(0.25, rel=1e-3)


@pytest.mark.parametrize("unit", ["um", "micron", "\\u00B5m"])
def test_imagej_writes_pixels_per_micrometre(unit):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270] = f"ImageJ=1.53k\nunit={unit}\nloop=false\n"
    tags[282] = tags[283] = 8.0
    tags[296] = 1
    field = read_image(encode(colours(), "TIFF", tiffinfo=tags), "imagej.tif")
    assert field.micrometres_per_pixel == pytest.approx(0.125)


def test_imagej_inches_are_no_microscope_scale():
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270] = "ImageJ=1.53k\nunit=inch\n"
    tags[282] = tags[283] = 96.0
    field = read_image(encode(colours(), "TIFF", tiffinfo=tags), "imagej.tif")
    assert field.micrometres_per_pixel is None


@given(st.text(max_size=400))
def test_display_names_are_short_visible_and_without_folders(name):
    shown = display_name(name)
    assert 0 < len(shown) <= 120
    assert "/" not in shown
    assert "\\" not in shown
    assert shown.isprintable()
    assert display_name(shown) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\slides\\a b.png", "a b.png"),
        ("evil\u202egnp.exe", "evilgnp.exe"),
        ("a\x00b\n.png", "ab.png"),
        ("..", "unnamed"),
        ("", "unnamed"),
        ("f" * 500 + ".tiff", "f" * 109 + "…" + "fffff.tiff"),
    ],
)
def test_hostile_names_are_made_harmless(name, shown):
    assert display_name(name) == shown
