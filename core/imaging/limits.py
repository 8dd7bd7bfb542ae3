"""What a file costs to decode, by its structure alone, before any decoder sees it.

Only headers and markers are walked, and no walk goes on past the limit that it checks: the time is
some milliseconds, whatever the bytes. Broken structure is left to the decoders, which say so.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from core.errors import DamagedImageError, TooComplexError
from core.imaging.formats import is_dicom
from core.imaging.jpeg import FRAMES, SCAN, jpeg_2000_header, segments
from core.imaging.png import chunk_heads

MOST_SCANS = 64
"""Of a JPEG; encoders write 1 to 20."""
MOST_SEGMENTS = 10_000
"""Of a JPEG before its first scan."""
MOST_CHUNKS = 50_000
"""Of a PNG or WebP: 8 kB each in 100 megapixels."""
MOST_DIRECTORIES = 5_000
"""Of a TIFF, thumbnails and resolution levels among them."""
MOST_TAGS = 2_000
"""Of one TIFF directory."""
MOST_TILES = 100_000
"""Tiles or strips of a TIFF, or tiles of a JPEG 2000 codestream."""
MOST_FRAMES = 5_000
"""Of an animation or a DICOM file."""
MOST_LAYERS = 64
"""Quality layers of a JPEG 2000 codestream."""
MOST_EXPANSION = 500
"""Bytes of pixels for each byte of a large file; fields of cells reach 100."""
LIGHT_COST = 25_000_000
"""Pixels of a baseline JPEG that are decoded in about a quarter of a second."""

_SCANS_OF_COST = 8
_SLOW = 8
"""How much slower wavelets and raw sensor data are than JPEG, about."""
_TIFF_TYPES = {3: "H", 4: "L", 13: "L", 16: "Q", 18: "Q"}
"""Of whole numbers, as `struct` calls them."""
_WAVELETS = (33003, 33005, 33007, 34712)
"""TIFF compressions by JPEG 2000."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What the headers of a file say of its size."""

    pixels: int = 0
    """Of all images together; 0 where the header does not say."""
    cost: float = 0.0
    """Time to decode, as pixels of a baseline JPEG."""

    @property
    def heavy(self) -> bool:
        """Whether decoding takes more than a fraction of a second, or 75 MB of pixels."""
        return max(self.pixels, self.cost) > LIGHT_COST


def measure(data: bytes) -> Extent:
    """Return the extent of a file. Raises TooComplexError when a limit is passed.

    A file of a format that is not known here, or whose header is broken, has an empty extent.
    """
    walk = _walk_of(data)
    try:
        extent = walk(data) if walk else Extent()
    except (struct.error, IndexError, KeyError):
        return Extent()
    if extent.pixels > LIGHT_COST and 3 * extent.pixels > MOST_EXPANSION * len(data):
        raise TooComplexError(
            f"its {len(data):,} bytes cannot hold {extent.pixels / 1e6:,.0f} megapixels"
        )
    return extent


def _walk_of(data: bytes) -> Callable[[bytes], Extent] | None:
    if is_dicom(data):
        return _dicom
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp
    return next((walk for magic, walk in _BY_MAGIC.items() if data.startswith(magic)), None)


def _limit(number: int, most: int, what: str) -> None:
    if number > most:
        raise TooComplexError(f"it has more than {most:,} {what}")


def _jpeg(data: bytes) -> Extent:
    """Walk the segments (ISO/IEC 10918-1 Annex B): the frame's size, then the scans."""
    pixels = scans = 0
    for number, (code, _, at) in enumerate(segments(data)):
        _limit(number, MOST_SEGMENTS, "segments")
        if code == SCAN:
            scans += 1
            _limit(scans, MOST_SCANS, "scans")
        elif code in FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 3)
            pixels = max(pixels, height * width)
    return Extent(pixels, pixels * max(1, scans / _SCANS_OF_COST))


def _png(data: bytes) -> Extent:
    width, height, interlaced = struct.unpack_from(">LL4x?", data, 16)
    frames = 0
    for chunks, (kind, _, _) in enumerate(chunk_heads(data), 1):
        _limit(chunks, MOST_CHUNKS, "chunks")
        frames += kind == b"fcTL"
        _limit(frames, MOST_FRAMES, "frames")
    pixels = width * height
    return Extent(pixels, pixels * (2 if interlaced else 1))


def _webp(data: bytes) -> Extent:
    at, chunks, frames, pixels = 12, 0, 0, 0
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sL", data, at)
        chunks += 1
        _limit(chunks, MOST_CHUNKS, "chunks")
        body = data[at + 8 : at + 18]
        if kind == b"VP8X":
            width, height = (1 + int.from_bytes(body[i : i + 3], "little") for i in (4, 7))
            pixels = width * height
        elif kind == b"VP8L":
            bits = int.from_bytes(body[1:5], "little")
            pixels = max(pixels, (1 + (bits & 0x3FFF)) * (1 + (bits >> 14 & 0x3FFF)))
        elif kind == b"VP8 ":
            width, height = struct.unpack_from("<HH", body, 6)
            pixels = max(pixels, (width & 0x3FFF) * (height & 0x3FFF))
        frames += kind == b"ANMF"
        _limit(frames, MOST_FRAMES, "frames")
        at += 8 + length + length % 2
    return Extent(pixels, 2 * pixels)


def _bmp(data: bytes) -> Extent:
    form = "<HH" if data[14] == 12 else "<ll"
    width, height = struct.unpack_from(form, data, 18)
    return Extent(abs(width * height), abs(width * height))


def _tiff(data: bytes) -> Extent:
    """Walk all directories (TIFF 6.0; BigTIFF), sub-images too; loops end where they close."""
    header = TiffHeader(data)
    ahead = [header.first]
    seen: set[int] = set()
    tiles, pixels, cost = 0, 0, 0.0
    while ahead:
        start = ahead.pop()
        if not start or start in seen or start >= len(data):
            continue
        seen.add(start)
        _limit(len(seen), MOST_DIRECTORIES, "pages")
        entries, following = header.directory(start)
        tiles += sum(entries[tag][1] for tag in (273, 324) if tag in entries)
        _limit(tiles, MOST_TILES, "tiles or strips")
        width, height, compression, inner = (
            header.values(entries[tag]) if tag in entries else [] for tag in (256, 257, 259, 330)
        )
        size = width[0] * height[0] if width and height else 0
        pixels += size
        wavelets = bool(compression) and compression[0] in _WAVELETS
        if wavelets:
            _codestream(data)
        cost += size * (_SLOW if wavelets else 1)
        ahead += [*inner, following or 0]
    return Extent(pixels, cost)


TiffEntry = tuple[int, int, int]
"""Of a tag: its type, the number of its values, and where the entry begins."""


class TiffHeader:
    """The directories of a TIFF (TIFF 6.0, section 2) or BigTIFF. A cut one raises struct.error."""

    def __init__(self, data: bytes) -> None:
        order = "<" if data.startswith(b"II") else ">"
        self._data, self._order, self._big = data, order, data[2:4] in (b"+\0", b"\0+")
        self._number, self._entry, self._link = (
            struct.Struct(order + form)
            for form in (("Q", "HHQQ", "Q") if self._big else ("H", "HHLL", "L"))
        )
        self.first: int
        """Offset of the first directory."""
        (self.first,) = self._link.unpack_from(data, 8 if self._big else 4)

    def directory(self, start: int) -> tuple[dict[int, TiffEntry], int | None]:
        """Return the entries by tag, and the offset of the next directory; None where it is cut.

        Raises TooComplexError.
        """
        (tags,) = self._number.unpack_from(self._data, start)
        _limit(tags, MOST_TAGS, "tags in a page")
        first = start + self._number.size
        end = first + tags * self._entry.size
        if end > len(self._data):
            raise struct.error
        entries = {
            tag: (kind, count, at)
            for (tag, kind, count, _), at in zip(
                self._entry.iter_unpack(self._data[first:end]),
                range(first, end, self._entry.size),
                strict=True,
            )
        }
        is_cut = end + self._link.size > len(self._data)
        return entries, None if is_cut else self._link.unpack_from(self._data, end)[0]

    def values(self, entry: TiffEntry) -> list[int]:
        """Return the whole numbers of a tag, which lie in its entry when they fit there."""
        kind, count, at = entry
        if kind not in _TIFF_TYPES:
            return []
        _limit(count, MOST_DIRECTORIES, "pages")
        place = at + self._entry.size - self._link.size
        numbers = struct.Struct(f"{self._order}{count}{_TIFF_TYPES[kind]}")
        if numbers.size > self._link.size:
            (place,) = self._link.unpack_from(self._data, place)
        return list(numbers.unpack_from(self._data, place))


def _dicom(data: bytes) -> Extent:
    """Count the items of encapsulated pixels; sizes are left to the reader of the header."""
    fragments = data.count(b"\xfe\xff\x00\xe0")
    _limit(fragments, MOST_FRAMES, "frames")
    size = _codestream(data)
    if size:
        return Extent(size, _SLOW * size)
    return Extent(0, LIGHT_COST + 1.0 if fragments else len(data) / 3)


def _codestream(data: bytes) -> int:
    """Return the pixels of the first JPEG 2000 codestream; 0 when it is broken or missing."""
    try:
        header = jpeg_2000_header(data)
    except DamagedImageError:
        return 0
    _limit(header.tiles, MOST_TILES, "tiles")
    _limit(header.layers, MOST_LAYERS, "layers")
    return header.size[0] * header.size[1]


_BY_MAGIC: Mapping[bytes, Callable[[bytes], Extent]] = {
    b"\xff\xd8\xff": _jpeg,
    b"\x89PNG\r\n\x1a\n": _png,
    b"BM": _bmp,
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _tiff),
}
