"""BMP headers that Pillow does not know: bit fields of any width and OS/2 version 2."""

import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.domain.results import Pixels
from core.errors import DamagedImageError, UnsupportedFormatError

_FIELDS = (3, 6)
"""BI_BITFIELDS, BI_ALPHABITFIELDS."""
_OS2_ONLY = {16, 24, 48, 60, 64}


def with_known_header(data: bytes) -> bytes:
    """Return an OS/2 version 2 file with the 40 bytes of a Windows header; others as they are."""
    size = struct.unpack_from("<L", data, 14)[0]
    if size not in _OS2_ONLY:
        return data
    header = data[14 : 14 + size].ljust(40, b"\0")[:40]
    coding = struct.unpack_from("<L", header, 16)[0]
    if coding > 2:  # 3 is Huffman there, 4 is RLE24
        raise UnsupportedFormatError("An OS/2 bitmap in this coding")
    start = struct.unpack_from("<L", data, 10)[0] + 40 - size
    whole = b"BM" + struct.pack("<LLL", len(data) + 40 - size, 0, start)
    return whole + struct.pack("<L", 40) + header[4:] + data[14 + size :]


def has_bit_fields(data: bytes) -> bool:
    """Return whether masks define the channels of a pixel."""
    size = struct.unpack_from("<L", data, 14)[0]
    return size >= 40 and struct.unpack_from("<L", data, 30)[0] in _FIELDS


def size_of(data: bytes) -> tuple[int, int]:
    """Return width and height of a file with a Windows header."""
    width, height = struct.unpack_from("<ll", data, 18)
    return width, abs(height)


def decode_bit_fields(data: bytes) -> Image.Image:
    """Return the image as RGB, or RGBA with an alpha mask, and its dots per inch in `info`.

    `size_of` must have been checked. Raises DamagedImageError.
    """
    (start,) = struct.unpack_from("<L", data, 10)
    header, _, rows, _, bits, coding = struct.unpack_from("<LllHHL", data, 14)
    width, height = size_of(data)
    if bits not in (16, 32) or min(width, height) < 1:
        raise DamagedImageError
    masks = struct.unpack_from("<4L", data, 54)
    alpha_mask = masks[3] if header >= 56 or coding == 6 else 0
    stride = (width * bits // 8 + 3) // 4 * 4
    if len(data) < start + stride * height:
        raise DamagedImageError
    words = np.frombuffer(data, np.uint8, stride * height, start).reshape(height, stride)
    pixels = words[:, : width * bits // 8].copy().view("<u2" if bits == 16 else "<u4")
    pixels = pixels if rows < 0 else pixels[::-1]
    used = masks if alpha_mask else masks[:3]
    image = Image.fromarray(np.dstack([_channel(pixels, mask) for mask in used]))
    image.info["dpi"] = tuple(0.0254 * n for n in struct.unpack_from("<ll", data, 38))
    return image


def _channel(pixels: NDArray[np.unsignedinteger], mask: int) -> Pixels:
    """Return the bits under a mask, scaled to 0..255."""
    if not mask:
        return np.zeros(pixels.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    highest = mask >> shift
    values = (pixels.astype(np.uint32) & mask) >> shift
    return np.asarray(np.rint(values * (255 / highest)), np.uint8)
