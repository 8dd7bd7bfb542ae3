"""PNG chunk by chunk: whole pixels are read whatever the other chunks are like."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import imagecodecs

from core.errors import DamagedImageError

_SIGNATURE = 8
_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT"})
_KEPT = frozenset({b"pHYs", b"eXIf"})
_MOST_PROFILE_BYTES = 32_000_000


@dataclass(slots=True)
class PngChunks:
    """A PNG without what a decoder could stumble over, and what its colour chunks say."""

    data: bytes
    """The same file with the chunks that hold pixels, scale and EXIF."""
    bit_depth: int
    animated: bool = False
    profile: bytes | None = None
    """ICC profile of iCCP; empty when it cannot be unpacked."""
    gamma: float | None = None
    """Of gAMA: the power with which values were encoded; None where sRGB or iCCP overrule it."""
    primaries: tuple[float, ...] | None = None
    """Of cHRM: x and y of white, red, green and blue."""
    kinds: set[bytes] = field(default_factory=set)


def chunk_heads(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, offset and length of each chunk, up to IEND or the end of the file."""
    at = _SIGNATURE
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">L4s", data, at)
        yield kind, at, length
        if kind == b"IEND":
            return
        at += 12 + length


def read_chunks(data: bytes) -> PngChunks:
    """Take a PNG apart. Raises DamagedImageError when a chunk that holds pixels was changed or cut.

    Pillow decodes damaged pixels to other ones without a word, and refuses texts and profiles
    over 1 MB; large and broken chunks beside the pixels are left out here.
    """
    if len(data) < 33:
        raise DamagedImageError
    parts = [data[:_SIGNATURE]]
    found = PngChunks(b"", data[24])
    for kind, at, length in chunk_heads(data):
        end = at + 12 + length
        body = memoryview(data)[at + 8 : end - 4]
        sound = len(body) == length and data[end - 4 : end] == struct.pack(
            ">L", zlib.crc32(body, zlib.crc32(kind))
        )
        if kind in _PIXELS and not sound:
            raise DamagedImageError
        if sound:
            if kind in _PIXELS or (kind in _KEPT and kind not in found.kinds and length < 2**16):
                parts.append(data[at:end])
            _note_colours(found, kind, body)
            found.kinds.add(kind)
    if b"IEND" not in found.kinds:
        raise DamagedImageError
    found.data = b"".join(parts)
    found.animated = b"acTL" in found.kinds
    if found.kinds & {b"sRGB", b"iCCP"}:
        found.gamma = found.primaries = None
    return found


def check_rows(chunks: PngChunks) -> None:
    """Raise DamagedImageError unless the data unpacks to all rows of the (first) image.

    Pillow fills rows without data with zeros and says nothing; libpng does say so.
    """
    try:
        imagecodecs.png_decode(chunks.data)
    except imagecodecs.PngError as error:
        raise DamagedImageError from error


def _note_colours(found: PngChunks, kind: bytes, body: memoryview) -> None:
    if kind == b"iCCP":
        found.profile = _profile(bytes(body))
    elif kind == b"gAMA" and len(body) == 4:
        found.gamma = struct.unpack(">L", body)[0] / 100_000 or None
    elif kind == b"cHRM" and len(body) == 32:
        values = tuple(value / 100_000 for value in struct.unpack(">8L", body))
        found.primaries = values if all(0 < value < 1 for value in values) else None


def _profile(body: bytes) -> bytes:
    """Unpack an ICC profile; empty when it is broken or larger than any true one."""
    _, _, packed = body.partition(b"\0")
    stream = zlib.decompressobj()
    try:
        profile = stream.decompress(packed[1:], _MOST_PROFILE_BYTES)
    except zlib.error:
        return b""
    return profile if stream.eof else b""
