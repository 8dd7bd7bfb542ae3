"""Whatever is handed in as DICOM ends in a picture or in a sentence."""

import struct
import tracemalloc
import zlib
from contextlib import suppress
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import uid
from pydicom.encaps import encapsulate

from core.errors import (
    DamagedImageError,
    InputError,
    TooLargeError,
    TooSmallError,
    UnsupportedFormatError,
)
from core.settings import Settings
from tests.dicom_files import header, jpeg, native, with_palette, written
from tests.images import read_image

PLAIN = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)


@cache
def sound(form):
    """A small picture in each way of writing it."""
    if form == "runs":
        dataset = native(PLAIN)
        dataset.compress(uid.RLELossless, generate_instance_uid=False)  # its length is random
    else:
        dataset = {
            "native": lambda: native(PLAIN),
            "implicit": lambda: native(PLAIN, syntax=uid.ImplicitVRLittleEndian),
            "jpeg": lambda: jpeg(PLAIN),
            "palette": lambda: with_palette(PLAIN)[0],
        }[form]()
    return written(dataset)


FORMS = ["native", "implicit", "jpeg", "palette", "runs"]


def refused(dataset, error, sentence, **options):
    data = dataset if isinstance(dataset, bytes) else written(dataset)
    with pytest.raises(error, match=sentence) as caught:
        read_image(data, "field.dcm", **options)
    assert "Doe" not in str(caught.value)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.3, 0.7, 0.95])
def test_an_image_cut_short_is_damaged(form, kept):
    data = sound(form)
    refused(data[: max(132, int(kept * len(data)))], DamagedImageError, "cut short")


@pytest.mark.parametrize("make", [native, jpeg])
def test_pixel_bombs_are_rejected_by_their_header(make):
    dataset = make(PLAIN)
    dataset.Rows = dataset.Columns = 60_000
    refused(dataset, TooLargeError, "60,000 × 60,000 px; the limit is 50 megapixels")


def test_limits_come_from_the_settings():
    large = native(np.zeros((1000, 1100), np.uint8))
    refused(large, TooLargeError, "1,100 × 1,000 px", settings=Settings(max_megapixels=1))
    refused(native(np.zeros((47, 300), np.uint8)), TooSmallError, "300 × 47 px")


def test_a_frame_larger_than_its_header_says_is_not_decoded():
    dataset = native(PLAIN, syntax=uid.JPEGBaseline8Bit)
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    dataset.PixelData = jpeg(np.zeros((6000, 6000, 3), np.uint8)).PixelData
    dataset["PixelData"].VR = "OB"
    refuse_within(written(dataset), DamagedImageError, megabytes=20)


def test_run_lengths_that_unpack_to_far_more_are_not_unpacked():
    dataset = native(PLAIN, syntax=uid.RLELossless)
    run = b"\x81\0" * 1_000_000
    lengths = struct.pack("<16L", 3, 64, 64 + len(run), 64 + 2 * len(run), *[0] * 12)
    dataset.PixelData = encapsulate([lengths + 3 * run])
    dataset["PixelData"].VR = "OB"
    refuse_within(written(dataset), DamagedImageError, megabytes=60)


def test_a_deflated_file_is_not_inflated():
    dataset = header(syntax=uid.DeflatedExplicitVRLittleEndian)
    whole = written(dataset)
    stream = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = stream.compress(b"\0" * 200_000_000) + stream.flush()
    refuse_within(whole + bomb, UnsupportedFormatError, megabytes=20)


def refuse_within(data, error, megabytes):
    with suppress(InputError):
        read_image(sound("native"), "loads pydicom")
    tracemalloc.start()
    try:
        with pytest.raises(error):
            read_image(data, "bomb.dcm")
        assert tracemalloc.get_traced_memory()[1] < megabytes * 1_000_000
    finally:
        tracemalloc.stop()


def test_an_image_without_pixels_is_damaged():
    dataset = native(PLAIN)
    del dataset.PixelData
    refused(dataset, DamagedImageError, "Copy it again")


@pytest.mark.parametrize(
    ("syntax", "named"),
    [(uid.MPEG2MPML, "MPEG2 Main"), (uid.MPEG4HP41, "MPEG-4"), ("1.2.3.4", "coding is")],
)
def test_codings_that_cannot_be_decoded_are_named(syntax, named):
    dataset = native(PLAIN)
    dataset.PixelData = encapsulate([b"\0" * 100])
    dataset["PixelData"].VR = "OB"
    data = written(dataset)
    old = uid.ExplicitVRLittleEndian.encode()
    refused(replaced(data, old, str(syntax).encode()), UnsupportedFormatError, named)
    refused(replaced(data, old, str(syntax).encode()), UnsupportedFormatError, "PNG or TIFF")


def replaced(data, old, new):
    """Exchange the transfer syntax, of short explicit length."""
    old, new = (text + b"\0" * (len(text) % 2) for text in (old, new))
    place = data.index(b"UI" + struct.pack("<H", len(old)) + old)
    return data[:place] + b"UI" + struct.pack("<H", len(new)) + new + data[place + 4 + len(old) :]


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        (uid.CTImageStorage, "CT Image Storage"),
        (uid.BasicTextSRStorage, "Basic Text SR Storage"),
        (uid.EncapsulatedPDFStorage, "Encapsulated PDF Storage"),
        ("1.2.3.4", "this kind is not"),
    ],
)
def test_dicom_of_another_kind_is_named(kind, named):
    refused(header(kind=kind), UnsupportedFormatError, named)
    refused(header(kind=kind), UnsupportedFormatError, "Export it as PNG or TIFF")


def test_whole_slides_are_to_be_exported_as_tiled_tiff():
    dataset = native(np.stack([PLAIN] * 4), kind=uid.VLWholeSlideMicroscopyImageStorage)
    dataset.TotalPixelMatrixColumns = dataset.TotalPixelMatrixRows = 192
    refused(dataset, UnsupportedFormatError, "whole slide in DICOM .* Export it as tiled TIFF")


@pytest.mark.parametrize(
    ("elements", "error"),
    [
        ({"PhotometricInterpretation": "HSV"}, UnsupportedFormatError),
        ({"PhotometricInterpretation": "YBR_RCT"}, UnsupportedFormatError),
        ({"BitsAllocated": 32, "BitsStored": 32}, UnsupportedFormatError),
        ({"BitsStored": 1}, UnsupportedFormatError),
        ({"BitsStored": 12}, UnsupportedFormatError),
        ({"SamplesPerPixel": 1}, DamagedImageError),
        ({"SamplesPerPixel": 4}, DamagedImageError),
        ({"NumberOfFrames": -1}, DamagedImageError),
        ({"NumberOfFrames": 2**31 - 1}, TooLargeError),
        ({"Rows": None}, DamagedImageError),
        (
            {"PhotometricInterpretation": "PALETTE COLOR", "SamplesPerPixel": 1},
            UnsupportedFormatError,
        ),
    ],
)
def test_layouts_that_make_no_sense_or_are_not_read(elements, error):
    dataset = native(PLAIN)
    for name, value in elements.items():
        setattr(dataset, name, value)
    refused(dataset, error, r"\.$")


@pytest.mark.parametrize("name", ["", "..", "\0", "/srv/Doe/"])
def test_empty_names_are_replaced(name):
    dataset = native(PLAIN)
    dataset.PatientName = ""
    assert read_image(written(dataset), name).name == "unnamed"


def answers(data):
    """A picture or an InputError; anything else fails the test."""
    with suppress(InputError):
        assert read_image(data, "any").pixels.shape[2] == 3


@given(st.binary(max_size=400))
def test_random_bytes_after_a_true_beginning(tail):
    answers(b"\0" * 128 + b"DICM" + tail)


@given(st.data(), st.sampled_from(FORMS))
def test_mutated_images(data, form):
    """Bytes are changed and cut anywhere, but most often in the header."""
    picture = bytearray(sound(form))
    last = len(picture) - 1
    places = st.one_of(st.integers(128, 900), st.integers(0, last))
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=12)):
        picture[place] = value
    end = data.draw(st.one_of(st.none(), st.integers(0, last)))
    answers(bytes(picture[:end]))
