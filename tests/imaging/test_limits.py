"""Bombs are refused by their structure, and files of cameras and scanners are not."""

import io
import struct

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from core.errors import TooComplexError
from core.imaging import limits
from core.imaging.limits import Extent, measure
from core.synthetic.examples import synthetic_slides
from tests.dicom_files import compressed, header, uid, written
from tests.images import encoded

NOISE = np.random.default_rng(1).integers(0, 255, (60, 80, 3), np.uint8)


def many_scans(number):
    """A progressive JPEG whose last scan comes again and again."""
    data = encoded(NOISE, "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    return data[:start] + data[start:-2] * number + data[-2:]


def chunk(kind, body=b""):
    return struct.pack(">L4s", len(body), kind) + body + bytes(4)


def many_chunks(number, kind=b"tEXt"):
    data = encoded(NOISE)
    return data[:33] + chunk(kind) * number + data[33:]


def directories(number, tags=()):
    """A TIFF of so many directories."""
    one = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHLL", *tag) for tag in tags)
    step = len(one) + 4
    links = [8 + step * n for n in range(1, number)] + [0]
    return b"II*\0" + struct.pack("<L", 8) + b"".join(one + struct.pack("<L", at) for at in links)


def codestream(side, tile, layers=1):
    """The main header of a JPEG 2000 codestream."""
    size = struct.pack(">HHH8LH", 0xFF51, 47, 0, side, side, 0, 0, tile, tile, 0, 0, 3) + bytes(9)
    style = struct.pack(">HHBBHB", 0xFF52, 12, 0, 0, layers, 1) + bytes(5)
    return b"\xff\x4f" + size + style


def in_dicom(frames):
    dataset = header(syntax=uid.JPEG2000)
    dataset.PixelData = b"".join(
        b"\xfe\xff\x00\xe0" + struct.pack("<L", len(frame)) + frame for frame in [b"", *frames]
    )
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return written(dataset)


def animated_webp(number):
    frame = struct.pack("<4sL", b"ANMF", 16) + bytes(16)
    return b"RIFF" + struct.pack("<L", 4 + 24 * number) + b"WEBP" + frame * number


BOMBS = {
    "scans": (many_scans(300), "64 scans"),
    "segments": (b"\xff\xd8" + b"\xff\xe1\0\2" * 20_000, "10,000 segments"),
    "chunks": (many_chunks(2_000_000), "50,000 chunks"),
    "animation": (many_chunks(6_000, b"fcTL"), "5,000 frames"),
    "pages": (directories(300_000), "5,000 pages"),
    "sub-images": (directories(1, [(330, 4, 2**31, 8)]), "5,000 pages"),
    "tags": (b"II*\0\x08\0\0\0" + struct.pack("<H", 60_000), "2,000 tags"),
    "tiles": (directories(2, [(324, 4, 60_000, 8)]), "100,000 tiles"),
    "webp": (animated_webp(6_000), "5,000 frames"),
    "fragments": (in_dicom([b"\0\0"] * 6_000), "5,000 frames"),
    "codestream tiles": (in_dicom([codestream(4096, 8)]), "100,000 tiles"),
    "layers": (in_dicom([codestream(4096, 4096, 65_535)]), "64 layers"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_files_of_too_many_parts_are_rejected(name):
    data, why = BOMBS[name]
    with pytest.raises(TooComplexError, match=why) as refused:
        measure(data)
    assert "save it again" in str(refused.value)


def test_a_small_file_cannot_hold_a_huge_image():
    blank = np.zeros((8000, 8000), np.uint8)
    codes = imagecodecs.jpeg2k_encode(blank)
    assert len(codes) < 5000
    for data in (encoded(blank), in_dicom([codes])):
        with pytest.raises(TooComplexError, match="cannot hold 64 megapixels"):
            measure(data)
    assert measure(encoded(np.zeros((3000, 3000), np.uint8))).pixels == 9_000_000


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw", "big_tiff": True}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_the_size_is_read_from_every_header(form, options):
    extent = measure(encoded(NOISE, form, **options))
    assert extent.pixels == 60 * 80
    assert not extent.heavy


def test_all_pages_and_frames_count():
    images = [Image.fromarray(NOISE)] * 3
    stream = io.BytesIO()
    images[0].save(stream, "TIFF", save_all=True, append_images=images[1:])
    assert measure(stream.getvalue()).pixels == 3 * 60 * 80
    dicom = written(compressed(NOISE, "JPEG2000", uid.JPEG2000Lossless, "YBR_RCT"))
    assert measure(dicom).pixels == 60 * 80


def test_slow_formats_and_large_images_are_heavy():
    assert Extent(limits.LIGHT_COST + 1, 0).heavy
    slow = in_dicom([codestream(3000, 3000) + bytes(100_000)])
    assert measure(slow).heavy
    assert not any(measure(data).heavy for _, data in synthetic_slides())


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"no image"]
)
def test_broken_headers_are_left_to_the_decoders(data):
    assert measure(data) == Extent()


def test_directories_that_close_a_loop_end():
    data = b"II*\0" + struct.pack("<LHL", 8, 0, 8)
    assert measure(data).pixels == 0
