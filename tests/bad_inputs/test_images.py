"""Whatever is handed in as a picture ends in a picture or in a sentence."""

import io
import re
import struct
import tracemalloc
import zlib
from contextlib import suppress
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from core.errors import (
    DamagedImageError,
    EmptyFileError,
    InputError,
    NotAnImageError,
    TooLargeError,
    TooSmallError,
    UnsupportedFormatError,
)
from core.settings import Settings
from tests.images import read_image

MAGIC = {
    "JPEG": b"\xff\xd8\xff\xe0",
    "PNG": b"\x89PNG\r\n\x1a\n",
    "BMP": b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0",
    "TIFF": b"II*\0\x08\0\0\0",
    "WEBP": b"RIFF\0\0\0\0WEBPVP8 ",
}


@pytest.fixture(scope="module")
def field(pack):
    """One real field in every format that is read."""
    webp = pack.bccd(3)
    return {form: pack.encoded(webp, form) for form in MAGIC}


def made(form, size=(100, 80), **options):
    stream = io.BytesIO()
    Image.new("RGB", size, "pink").save(stream, form, **options)
    return stream.getvalue()


def png_claiming(width, height):
    """A small PNG whose header claims a large picture."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    return MAGIC["PNG"] + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def test_an_empty_file_is_named_so():
    with pytest.raises(EmptyFileError, match="empty"):
        read_image(b"", "a.png")


@pytest.mark.parametrize(
    "data",
    [b"patient,count\n1,2\n", b"BMW is a car, not a bitmap.", b"RIFF", b"\0" * 5000, b"\xff"],
)
def test_what_is_no_image_is_named_so_in_spite_of_its_name(data):
    with pytest.raises(NotAnImageError, match="not an image"):
        read_image(data, "field.png")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (made("GIF"), "GIF"),
        (made("PDF"), "PDF"),
        (made("EPS"), "PostScript"),
        (made("ICO", size=(64, 64)), "icon"),
        (made("JPEG2000"), "JPEG 2000"),
        (made("AVIF"), "AVIF"),
        (b"PK\3\4" + b"\0" * 50, "ZIP"),
    ],
)
def test_known_formats_that_are_not_read_are_named(data, what):
    with pytest.raises(UnsupportedFormatError, match=what) as caught:
        read_image(data, "field.jpg")
    assert re.search(r"\. (Save|Unpack|Export) .*\.$", str(caught.value))


@pytest.mark.parametrize("form", MAGIC)
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.3, 0.7, 0.95])
def test_an_image_cut_short_is_damaged(field, form, kept):
    data = field[form]
    cut = data[: max(len(MAGIC[form]), int(kept * len(data)))]
    with pytest.raises(DamagedImageError, match="cut short"):
        read_image(cut, f"cut.{form.lower()}")


@given(st.data())
def test_a_png_with_a_changed_byte_in_its_pixels_is_damaged(field, data):
    png = bytearray(field["PNG"])
    place = data.draw(st.integers(png.index(b"IDAT") + 4, png.rindex(b"IEND") - 9))
    png[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DamagedImageError):
        read_image(bytes(png), "field.png")


@pytest.mark.parametrize("size", [(60_000, 60_000), (10_001, 10_000), (2**31 - 1, 2**31 - 1)])
def test_pixel_bombs_are_rejected_by_their_header(size):
    sides = "{:,} × {:,} px".format(*size)
    with pytest.raises(TooLargeError, match=f"{sides}; the limit is 50 megapixels"):
        read_image(png_claiming(*size), "bomb.png")


def test_a_tall_jpeg_header_is_rejected_before_decoding(field):
    data = bytearray(field["JPEG"])
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", 60_000, 60_000)
    with pytest.raises(TooLargeError):
        read_image(bytes(data), "bomb.jpg")


def test_limits_come_from_the_settings(field):
    with pytest.raises(TooLargeError, match="limit is 1 MB"):
        read_image(field["BMP"] + b"\0" * 200_000, "a.bmp", settings=Settings(max_file_megabytes=1))
    big = made("PNG", size=(1100, 1000))
    with pytest.raises(TooLargeError, match="1,100 × 1,000 px; the limit is 1 megapixels"):
        read_image(big, "a.png", settings=Settings(max_megapixels=1))
    assert read_image(big, "a.png", settings=Settings(max_megapixels=2)).width == 1100


@pytest.mark.parametrize("size", [(1, 1), (47, 300), (300, 47)])
def test_too_few_pixels_are_rejected(size):
    with pytest.raises(TooSmallError, match=f"{size[0]} × {size[1]} px"):
        read_image(made("PNG", size=size), "thumbnail.png")


def test_a_compressed_text_bomb_is_not_unpacked(field):
    body = b"Comment\0\0" + zlib.compress(b"\0" * 200_000_000, 9)
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body
    chunk += struct.pack(">I", zlib.crc32(b"zTXt" + body))
    png = field["PNG"]
    tracemalloc.start()
    try:
        image = read_image(png[:33] + chunk + png[33:], "text.png")
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(image.pixels, read_image(png, "plain.png").pixels)


def test_a_broken_exif_block_does_not_cost_the_image(field):
    jpeg = field["JPEG"]
    exif = b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\xff" * 30
    broken = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    np.testing.assert_array_equal(
        read_image(broken, "a.jpg").pixels, read_image(jpeg, "a.jpg").pixels
    )


def test_no_sentence_shows_a_path_or_a_python_name():
    samples = [b"", b"text", made("GIF"), MAGIC["PNG"], png_claiming(60_000, 60_000)]
    for data in samples:
        with pytest.raises(InputError) as caught:
            read_image(data, "/srv/secret/field.png")
        sentence = str(caught.value)
        assert sentence.endswith(".")
        assert "secret" not in sentence
        assert "Error" not in sentence


def answers(data):
    """A picture or an InputError; anything else fails the test."""
    with suppress(InputError):
        assert read_image(data, "any").pixels.shape[2] == 3


@given(st.sampled_from(list(MAGIC)), st.binary(max_size=400))
def test_random_bytes_after_a_true_beginning(form, tail):
    answers(MAGIC[form] + tail)


@given(st.binary(max_size=400))
def test_random_bytes(data):
    answers(data)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), form=st.sampled_from(list(MAGIC)))
def test_mutated_real_fields(small_field, data, form):
    """Bytes are changed, cut and repeated anywhere, but most often in the header."""
    picture = bytearray(small_field(form))
    last = len(picture) - 1
    places = st.one_of(st.integers(0, min(200, last)), st.integers(0, last))
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=12)):
        picture[place] = value
    end = data.draw(st.one_of(st.none(), st.integers(0, last)))
    answers(bytes(picture[:end]))


@pytest.fixture(scope="module")
def small_field(pack):
    """A real field shrunk so that hundreds of variants decode quickly."""
    with Image.open(io.BytesIO(pack.bccd(5))) as picture:
        small = picture.convert("RGB").resize((96, 72))

    @cache
    def encoded(form):
        stream = io.BytesIO()
        small.save(stream, form, **({"compression": "tiff_lzw"} if form == "TIFF" else {}))
        return stream.getvalue()

    return encoded
