"""Which planes of a file are fields, how many may be read, and what is said of the others."""

import io
import struct

import cv2
import numpy as np
import pytest
import tifffile

from core.errors import TooLargeError, UnsupportedFormatError
from core.imaging.read import read_images
from core.settings import Settings
from tests import dicom_files
from tests.imaging.files import (
    blurred,
    encoded,
    fields_of,
    focus,
    shrunk,
    tiff,
    tiff_pages,
)


@pytest.fixture(scope="module")
def fields(pack):
    return fields_of(pack)


def test_more_images_than_the_settings_allow_are_too_large(fields):
    data = tiff_pages([(shrunk(fields[0], 100), {})] * 6)
    with pytest.raises(TooLargeError, match="6 images in one file; the limit is 5 images"):
        read_images(data, "many.tif", settings=Settings(max_file_images=5))
    assert len(read_images(data, "many.tif", settings=Settings(max_file_images=6))) == 6


def test_what_is_over_the_pixels_of_a_file_is_named_and_the_rest_read(fields):
    data = tiff_pages([(np.tile(field, (2, 2, 1)), {}) for field in fields])
    images = read_images(data, "large.tif", settings=Settings(max_file_megapixels=3))
    assert [image.page for image in images] == [1, 2]
    assert images[0].notes[0].startswith("Images 3, 4, 5 of 5 in this file were not read. ")
    assert "the limit is 3 megapixels a file" in images[0].notes[0]
    assert images[1].notes == ()


def test_a_frame_bomb_is_rejected_by_its_header():
    dataset = dicom_files.native(np.zeros((60, 60, 3), np.uint8))
    dataset.NumberOfFrames = 10_000
    with pytest.raises(TooLargeError, match="10,000 images"):
        read_images(dicom_files.written(dataset), "bomb.dcm")


@pytest.mark.parametrize("sigma", [3, 8, 20, 40])
@pytest.mark.parametrize("number", [0, 3])
def test_the_sharpest_plane_is_the_field_whatever_the_blur_of_the_first(fields, sigma, number):
    planes = np.stack([blurred(fields[number], sigma), fields[number]])
    (image,) = read_images(tiff(planes[None, :, None], imagej=True), "focus.tif")
    np.testing.assert_array_equal(image.pixels, fields[number])
    assert "the sharpest, plane 2, was analysed" in image.notes[0]


def test_a_stack_that_drifts_is_one_field(fields):
    planes = np.stack([np.roll(fields[0], 8, axis=1), fields[0], blurred(fields[0], 2)])
    (image,) = read_images(tiff(planes[None, :, None], imagej=True), "drift.tif")
    assert "focus stack of 3 planes" in image.notes[0]


def test_slices_that_show_different_fields_are_fields(fields):
    images = read_images(tiff(np.stack(fields)[None, :, None], imagej=True), "series.tif")
    assert [image.page for image in images] == [1, 2, 3, 4, 5]


def from_the_side(pixels):
    """A lamp that is out of place."""
    across = np.linspace(1.0, 0.3, pixels.shape[1])[:, None]
    return (pixels * across).astype(np.uint8)


def through_an_eyepiece(pixels):
    height, width = pixels.shape[:2]
    mask = cv2.circle(np.zeros((height, width), np.uint8), (width // 2, height // 2), 250, 1, -1)
    return pixels * mask[..., None]


@pytest.mark.parametrize("view", [from_the_side, through_an_eyepiece])
def test_what_all_fields_share_makes_no_focus_stack_and_no_copy(fields, view):
    seen = [view(field) for field in fields]
    slices = read_images(tiff(np.stack(seen)[None, :, None], imagej=True), "slices.tif")
    assert len(slices) == len(fields)
    data = tiff_pages([(seen[0], {}), (shrunk(seen[1], 320), {}), (shrunk(seen[0], 160), {})])
    pages = read_images(data, "pages.tif")
    assert [page.width for page in pages] == [640, 320]
    planes = np.stack([view(blurred(fields[0], 6)), seen[0]])
    (image,) = read_images(tiff(planes[None, :, None], imagej=True), "focus.tif")
    np.testing.assert_array_equal(image.pixels, seen[0])


def test_a_stack_whose_directories_are_left_out_is_read(fields):
    """ImageJ writes one directory, and all planes behind it."""
    data = bytearray(tiff(np.stack(fields)[:, None, None], imagej=True))
    (first,) = struct.unpack_from("<L", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<L", data, first + 2 + 12 * entries, 0)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        assert len(file.pages) == 1
    images = read_images(bytes(data), "virtual.tif")
    for image, field in zip(images, fields, strict=True):
        np.testing.assert_array_equal(image.pixels, field)
    cut = bytes(data[: first + 4 * fields[0].size])
    images = read_images(cut, "cut.tif")
    assert "Image" in images[0].notes[0]
    for image in images:
        np.testing.assert_array_equal(image.pixels, fields[image.page - 1])


def test_focus_planes_of_dicom_may_be_counted_in_its_header(fields):
    dataset = dicom_files.native(focus(fields[1]))
    dataset.add_new(0x00480303, "UL", 5)
    (image,) = read_images(dicom_files.written(dataset), "focus.dcm")
    np.testing.assert_array_equal(image.pixels, fields[1])


def test_a_smaller_page_that_shows_something_else_is_a_field(fields):
    data = tiff_pages([(fields[0], {}), (shrunk(fields[1], 320), {})])
    images = read_images(data, "two.tif")
    assert [image.width for image in images] == [640, 320]


def test_a_file_of_reduced_images_only_gives_the_largest(fields):
    pages = [(shrunk(fields[0], width), {"subfiletype": 1}) for width in (160, 320)]
    (image,) = read_images(tiff_pages(pages), "previews.tif")
    assert image.width == 320


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_page_is_turned_upright(fields, orientation):
    tag = [(274, "H", 1, orientation, True)]
    data = tiff_pages([(field, {"extratags": tag}) for field in fields[:2]])
    images = read_images(data, "turned.tif")
    for image, field in zip(images, fields, strict=False):
        upright = {
            1: field,
            2: field[:, ::-1],
            3: field[::-1, ::-1],
            4: field[::-1],
            5: field.transpose(1, 0, 2),
            6: np.rot90(field, -1),
            7: field[::-1, ::-1].transpose(1, 0, 2),
            8: np.rot90(field, 1),
        }
        np.testing.assert_array_equal(image.pixels, upright[orientation])


@pytest.mark.parametrize(
    ("marker", "what"), [(0xC9, "arithmetic-coded JPEG"), (0xC5, "hierarchical JPEG")]
)
def test_jpeg_that_no_decoder_knows_is_named(fields, marker, what):
    data = bytearray(encoded(fields[0], "JPEG"))
    data[data.index(b"\xff\xc0") + 1] = marker
    with pytest.raises(UnsupportedFormatError, match=what):
        read_images(bytes(data), "odd.jpg")


def test_transparency_of_either_kind_lies_on_white(fields):
    alpha = np.full(fields[0].shape[:2], 255, np.uint8)
    alpha[:, :320] = 0
    plain = tiff(np.dstack([fields[0], alpha]), photometric="rgb", extrasamples=["unassalpha"])
    ready = fields[0] * (alpha[..., None] > 0)
    premultiplied = tiff(np.dstack([ready, alpha]), photometric="rgb", extrasamples=["assocalpha"])
    for data in (plain, premultiplied):
        (image,) = read_images(data, "cut.tif")
        assert (image.pixels[:, :320] == 255).all()
        np.testing.assert_array_equal(image.pixels[:, 320:], fields[0][:, 320:])


def test_a_chain_of_pages_that_leads_back_ends(fields):
    data = bytearray(tiff_pages([(field, {}) for field in fields[:2]]))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        first, last = (page.offset for page in file.pages)
    (entries,) = struct.unpack_from("<H", data, last)
    struct.pack_into("<L", data, last + 2 + 12 * entries, first)
    assert len(read_images(bytes(data), "circle.tif")) == 2


def test_a_mosaic_that_no_camera_format_explains_is_named(fields):
    sensor = cv2.cvtColor(fields[0], cv2.COLOR_RGB2GRAY)
    options = {"photometric": 32803, "extratags": [(33421, "H", 2, (2, 2), True)]}
    data = tiff_pages([(shrunk(fields[0], 160), {"subfiletype": 1}), (sensor, options)])
    with pytest.raises(UnsupportedFormatError, match="Camera raw of this kind"):
        read_images(data, "camera.nef")
