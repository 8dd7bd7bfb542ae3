"""JPEG and JPEG 2000 codestreams: what their markers say, and decoding of what Pillow does not.

Markers after ISO/IEC 10918-1 Annex B, and ISO/IEC 15444-1 Annex A.
"""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from core.errors import DamagedImageError, UnsupportedFormatError

Colours = Literal["GRAYSCALE", "RGB", "YCBCR"]

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""In coded data, where `FF 00` is a byte and `FF D0` to `FF D7` restart."""
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""Markers that begin a frame (SOF)."""
SCAN, END = 0xDA, 0xD9
"""Markers that begin a scan (SOS) and end the image (EOI)."""
SEQUENTIAL_OR_PROGRESSIVE = (0xC0, 0xC1, 0xC2)
"""Frames with Huffman codes and DCT, which all decoders know."""
_TAILS = (b"\0" * 64, b"\x55\xaa" * 32)
"""Two continuations of coded data: pixels that lack data differ by what follows."""


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What the markers of a JPEG file say."""

    frame: int
    """Low byte of the SOF marker: C0 baseline, C1 extended, C2 progressive, C3 lossless; F7 is
    JPEG-LS."""
    precision: int
    """Bits per sample."""
    size: tuple[int, int]
    """Width and height."""
    identifiers: tuple[int, ...]
    """Of the components."""
    subsampled: bool
    jfif: bool
    adobe: int | None
    """Colour transform of the Adobe marker: 0 none, 1 YCbCr, 2 YCCK; None without the marker."""
    end: int | None
    """Where the end marker is that follows the last scan; None without one."""
    refined: bool
    """Whether the scans hold every bit of every coefficient."""

    @property
    def colours(self) -> Colours | None:
        """What the samples are by the codestream itself; None where it does not say."""
        if len(self.identifiers) == 1:
            return "GRAYSCALE"
        if self.adobe is not None:
            return "YCBCR" if self.adobe else "RGB"
        if self.jfif or self.subsampled:
            return "YCBCR"
        return "RGB" if self.identifiers == (0x52, 0x47, 0x42) else None


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the marker of each segment, its offset and that of the segment's length.

    The last one is the end marker, if there is one.
    """
    at = 2
    while found := _MARKER.search(data, at):
        code, at = data[found.start() + 1], found.end()
        if code in (0x01, 0xD8):
            continue
        yield code, found.start(), at
        if code == END:
            return
        at += max(2, int.from_bytes(data[at : at + 2], "big"))


def jpeg_header(data: bytes) -> JpegHeader:
    """Read the markers. Raises DamagedImageError where the frame's is missing or senseless."""
    try:
        return _walk(data)
    except (struct.error, IndexError) as error:
        raise DamagedImageError from error


def _walk(data: bytes) -> JpegHeader:
    jfif, adobe, end = False, None, None
    frame: tuple[int, int, int, int] | None = None
    components: list[tuple[int, int]] = []
    depths: dict[tuple[int, int], int] = {}
    for code, start, at in segments(data):
        body = data[at + 2 : at + int.from_bytes(data[at : at + 2], "big")]
        if code == END:
            end = start
        elif code in FRAMES and frame is None:
            precision, height, width, number = struct.unpack(">BHHB", body[:6])
            frame = code, precision, width, height
            components = [(body[6 + 3 * i], body[7 + 3 * i]) for i in range(number)]
        elif code == 0xE0 and body.startswith(b"JFIF\0"):
            jfif = True
        elif code == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
            adobe = body[11]
        elif code == SCAN and body:
            _note_scan(body, depths)
    if frame is None or not components:
        raise DamagedImageError
    last = 63 if frame[0] in (0xC2, 0xCA) else 0
    wanted = [(name, k) for name, _ in components for k in range(last + 1)]
    return JpegHeader(
        *frame[:2],
        size=(frame[2], frame[3]),
        identifiers=tuple(name for name, _ in components),
        subsampled=len({factors for _, factors in components}) > 1,
        jfif=jfif,
        adobe=adobe,
        end=end,
        refined=all(depths.get(key) == 0 for key in wanted),
    )


def _note_scan(body: bytes, depths: dict[tuple[int, int], int]) -> None:
    """Keep how many low bits of which coefficients are missing after a scan."""
    number = body[0]
    first, last, approximation = body[1 + 2 * number : 4 + 2 * number]
    for name in body[1 : 1 + 2 * number : 2]:
        for k in range(first, min(last, 63) + 1):
            depths[name, k] = approximation & 15


def decode_jpeg(data: bytes, *, stored: Colours | None = None) -> NDArray[np.integer]:
    """Return the samples of any JPEG, H x W grey or H x W x 3 RGB, of 8 or 16 bits.

    `stored` says what the samples are where the codestream does not or is to be overruled. Raises
    DamagedImageError when pixels are missing, UnsupportedFormatError.
    """
    header = jpeg_header(data)
    if header.frame == 0xF7:
        return np.asarray(imagecodecs.jpegls_decode(data))
    check_readable(header)
    if len(header.identifiers) not in (1, 3):
        raise UnsupportedFormatError(f"A JPEG with {len(header.identifiers)} colour channels")
    stored = stored or header.colours
    out = "GRAYSCALE" if len(header.identifiers) == 1 else "RGB"

    def decode(whole: bytes) -> NDArray[np.integer]:
        return np.asarray(imagecodecs.jpeg8_decode(whole, colorspace=stored, outcolorspace=out))

    return decode_whole(data, header, decode)


def decode_whole(
    data: bytes, header: JpegHeader, decode: Callable[[bytes], NDArray[np.integer]]
) -> NDArray[np.integer]:
    """Decode a file, with or without its end marker. Raises DamagedImageError for missing rows.

    Decoders fill rows without data and say nothing. What they fill is flat, and changes with what
    follows the data.
    """
    if header.end is not None:
        values = decode(data)
        corner = values[-8:, -8:]
        if (corner != corner[:1, :1]).any():
            return values
    elif not header.refined:
        raise DamagedImageError
    first, second = (decode(data[: header.end] + tail + bytes((0xFF, END))) for tail in _TAILS)
    if not np.array_equal(first, second):
        raise DamagedImageError
    return first


def check_readable(header: JpegHeader) -> None:
    """Raise UnsupportedFormatError for the kinds of JPEG that no decoder here knows."""
    if header.frame not in (0xC0, 0xC1, 0xC2, 0xC3):
        kind = "An arithmetic-coded" if header.frame in (0xC9, 0xCA, 0xCB) else "A hierarchical"
        raise UnsupportedFormatError(f"{kind} JPEG")


@dataclass(frozen=True, slots=True)
class Jpeg2000Header:
    """What the main header of a JPEG 2000 codestream says."""

    size: tuple[int, int]
    components: int
    tiles: int
    layers: int
    """Of quality."""
    transformed: bool
    """Whether the decoder turns luminance and chroma into RGB."""


def jpeg_2000_header(data: bytes) -> Jpeg2000Header:
    """Read the main header. Raises DamagedImageError."""
    try:
        start = data.index(b"\xff\x4f\xff\x51")
        right, down, left, top, wide, high, tile_left, tile_top, components = struct.unpack_from(
            ">8LH", data, start + 8
        )
        style = data.index(b"\xff\x52", start + 42 + 3 * components)
        layers, transformed = struct.unpack_from(">H?", data, style + 6)
        tiles = -((tile_left - right) // wide) * -((tile_top - down) // high)
    except (struct.error, ValueError, ZeroDivisionError) as error:
        raise DamagedImageError from error
    return Jpeg2000Header((right - left, down - top), components, tiles, layers, transformed)


def is_luminance_and_chroma(samples: NDArray[np.integer]) -> bool:
    """Return whether three channels of 8 bits are rather YCbCr than RGB.

    Both chroma of a stained smear stay near 128, which is what grey glass has, and vary less than
    luminance; green and blue of the same field do neither.
    """
    luminance = float(samples[..., 0].std())
    return all(
        abs(float(chroma.mean()) - 128) < 40 and float(chroma.std()) <= 0.7 * luminance
        for chroma in (samples[..., 1], samples[..., 2])
    )
