"""No pixel comes from anything but the file: constant images stay constant, whole, cut or short."""

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from pydicom import uid

from core.errors import DamagedImageError, InputError
from core.imaging.read import read_images
from tests import dicom_files
from tests.imaging.files import KINDS, chunk, dicom_frame, encoded, tiff

HEIGHT, WIDTH = 120, 160
LOSS = 3
"""Grey levels by which a coded constant may vary."""


def run_lengths(fields):
    dataset = dicom_files.native(fields[0])
    dataset.compress(uid.RLELossless)
    return dicom_files.written(dataset)


def tiff_in(coding):
    options = {"tile": (64, 64)} if coding == "jpeg" else {}
    return lambda fields: tiff(fields[0], photometric="rgb", compression=coding, **options)


CODINGS = ["packbits", "lzma", "zstd", "jpeg", "jpeg2000", "png", "jpegxl", "lerc", "lzw", "zlib"]
BUILDERS = {
    **{kind.name: kind.written for kind in KINDS if not kind.refused},
    **{f"{coding}.tif": tiff_in(coding) for coding in CODINGS},
    "run lengths.dcm": run_lengths,
    "jpeg.dcm": lambda fields: dicom_files.written(dicom_files.jpeg(fields[0])),
    "jpeg 2000.dcm": lambda fields: dicom_frame(
        encoded(fields[0], "JPEG2000", no_jp2=True, mct=1),
        fields[0].shape,
        uid.JPEG2000Lossless,
        "YBR_RCT",
    ),
    "plain.jpg": lambda fields: encoded(fields[0], "JPEG"),
    "plain.bmp": lambda fields: encoded(fields[0], "BMP"),
    "plain.png": lambda fields: encoded(fields[0], "PNG"),
}


def noise():
    generator = np.random.default_rng(3)
    coarse = generator.integers(0, 255, (5, HEIGHT // 4, WIDTH // 4, 3), np.uint8)
    return [cv2.resize(c, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST) for c in coarse]


def constant():
    return [np.full((HEIGHT, WIDTH, 3), 200, np.uint8)] * 5


def is_constant(data, name):
    """Every image is one value; a sentence counts as well."""
    try:
        images = read_images(data, name)
    except InputError:
        return True
    loss = 40 if "focus" in name else LOSS  # its blank plane has another value
    return all(int(np.ptp(image.pixels)) <= loss for image in images)


@pytest.mark.parametrize("name", BUILDERS)
def test_constant_images_stay_constant_after_others(name):
    build = BUILDERS[name]
    before, data = build(noise()), build(constant())
    cuts = [data[: int(share * len(data))] for share in (0.2, 0.45, 0.7, 0.9, 0.99)]

    def decode(part):
        read_images(before, name)
        return is_constant(part, name)

    assert read_images(data, name)
    with ThreadPoolExecutor(3) as threads:
        assert all(threads.map(decode, [data, *cuts] * 3))


def with_short_strips(data):
    """Every strip or tile says that it has six tenths of its bytes."""
    short = bytearray(data)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        for page in file.pages:
            tag = page.tags.get(279) or page.tags.get(325)
            values = tag.value if isinstance(tag.value, tuple) else (tag.value,)
            packed = struct.pack(
                f"<{len(values)}{'H' if tag.dtype == 3 else 'L'}", *(int(0.6 * v) for v in values)
            )
            short[tag.valueoffset : tag.valueoffset + len(packed)] = packed
    return bytes(short)


@pytest.mark.parametrize("coding", [None, *CODINGS])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_strips_that_are_short_make_a_tiff_damaged(coding, planes):
    if planes == "separate" and coding in ("jpeg", "jpeg2000", "jpegxl", "png", "lerc"):
        pytest.skip("codings of whole pixels")
    pixels = noise()[0]
    pixels = np.moveaxis(pixels, -1, 0) if planes == "separate" else pixels
    data = tiff(pixels, photometric="rgb", planarconfig=planes, compression=coding, rowsperstrip=16)
    assert read_images(data, "whole.tif")
    with pytest.raises(DamagedImageError):
        read_images(with_short_strips(data), "short.tif")


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_codings_that_do_not_notice_missing_rows_are_named(compression):
    bits = encoded(Image.fromarray(noise()[0][..., 0] > 90), "TIFF", compression=compression)
    with pytest.raises(InputError, match="1 × 1 bits, colours 1, compression"):
        read_images(bits, "fax.tif")


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA"])
def test_a_png_with_too_few_rows_is_damaged(mode):
    whole = encoded(Image.fromarray(noise()[0] // 2 + 100).convert(mode), "PNG")
    assert read_images(whole, "whole.png")
    parts, rows, at = [], b"", 8
    while at < len(whole):
        length, kind = struct.unpack(">L4s", whole[at : at + 8])
        body = whole[at + 8 : at + 8 + length]
        if kind == b"IDAT":
            rows += body
        else:
            parts.append((kind, body))
        at += 12 + length
    rows = zlib.decompress(rows)
    parts.insert(-1, (b"IDAT", zlib.compress(rows[: int(0.6 * len(rows))])))
    with pytest.raises(DamagedImageError):
        read_images(whole[:8] + b"".join(chunk(*part) for part in parts), "short.png")


def test_a_black_png_is_whole():
    black = encoded(Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)), "PNG")
    assert read_images(black, "black.png")[0].pixels.max() == 0


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.4, 0.6, 0.9])
def test_a_jpeg_that_ends_before_its_rows_is_damaged(pack, progressive, share):
    with Image.open(io.BytesIO(pack.bccd(0))) as image:
        jpeg = encoded(image.convert("RGB"), "JPEG", quality=90, progressive=progressive)
    cut = jpeg[: int(share * len(jpeg))]
    with pytest.raises(DamagedImageError):
        read_images(cut, "cut.jpg")
    if not progressive:
        with pytest.raises(DamagedImageError):
            read_images(cut + b"\xff\xd9", "closed.jpg")
