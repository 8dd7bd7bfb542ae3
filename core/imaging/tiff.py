"""TIFF of any layout: pages, sub-images, channels and focus planes.

tifffile (https://github.com/cgohlke/tifffile) parses tags and unpacks strips and tiles. Every pixel
of a page must come from the file: arrays begin as zeros, and a strip or tile that is missing, cut
or short makes the page a damaged one.
"""

import logging
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import product
from typing import Any
from xml.etree.ElementTree import Element

import imagecodecs
import numpy as np
from defusedxml.ElementTree import fromstring
from numpy.typing import NDArray
from PIL import Image
from tifffile import TIFF, TiffFile, TiffPage

from core.domain.results import Pixels
from core.errors import DamagedImageError, TooComplexError, UnsupportedFormatError
from core.imaging.colour import on_white, palette_to_8_bits, profile_to_srgb, to_8_bits
from core.imaging.jpeg import SEQUENTIAL_OR_PROGRESSIVE, decode_whole, jpeg_header
from core.imaging.limits import TiffHeader
from core.imaging.planes import Allowance, Plane, Reader, upright
from core.imaging.scale import tiff_scale

# tifffile quotes tags in what it logs, names among them.
logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _MASK, _CMYK, _YCBCR = range(7)
_NAMES = {8: "CIELab", 9: "ICCLab", 10: "ITULab", 32844: "LogL", 32845: "LogLuv", 51177: "depth"}
_OF_A_SENSOR = (32803, 34892)
"""Photometric interpretations CFA and LinearRaw."""
_ONLY_IN_RAW = (34713, 32767, 65535)
"""Compressions of Nikon, Sony and Pentax."""
_JPEG, _OLD_JPEG = 7, 6
_READ_COMPRESSIONS = frozenset(
    {1, 5, 8, 32946, 32773}  # none, LZW, Deflate, PackBits
    | {_JPEG, _OLD_JPEG, 33003, 33004, 33005, 34712}  # JPEG, JPEG 2000
    | {34925, 34926, 50000, 34887}  # LZMA, Zstandard, LERC
    | {34927, 50001, 34933, 50002, 52546}  # WebP, PNG, JPEG XL
)
"""Those whose decoders notice that data is missing; JPEG XR and CCITT do not."""
_REDUCED, _TRANSPARENCY = 1, 4
"""Bits of NewSubfileType."""
_MOST_CHANNELS = 16
_MOST_SUB_IMAGES = 16
_COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
_RED_GREEN_BLUE = tuple(_COLOURS.values())

_IMAGEJ_AXES = (("C", "channels"), ("Z", "slices"), ("T", "frames"))

Samples = Callable[[], NDArray[Any]]
ColourTable = NDArray[np.floating]
"""256 x 3: the colour of each value of a channel."""


@dataclass(frozen=True, slots=True)
class _Directory:
    """A page and the reader of its samples, which need not lie where the page says."""

    page: TiffPage
    samples: Samples

    @property
    def is_grey(self) -> bool:
        return self.page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO) and (
            self.page.samplesperpixel == 1
        )

    @property
    def size(self) -> tuple[int, int]:
        return int(self.page.imagewidth), int(self.page.imagelength)


class TiffImages:
    """The images of a TIFF. Its directories are parsed; pixels are decoded on demand."""

    def __init__(self, data: bytes, allowance: Allowance) -> None:
        """Read all directories. Raises TooLargeError, and what tifffile raises when broken."""
        self._data, self._allowance = data, allowance
        self._file = TiffFile(BytesIO(data), _multifile=False)
        offsets, self._is_cut = _directories(data, allowance.settings.max_file_images)
        allowance.check_number(len(offsets))
        self._main = [self._page(offset, (i,)) for i, offset in enumerate(offsets)]
        if not any(self._main):
            raise DamagedImageError

    @property
    def is_camera_raw(self) -> bool:
        """Whether the pixels are those of a camera's sensor, before development."""
        if self._data[8:10] == b"CR" and self._data[:4] == b"II*\0":
            return True
        return any(
            page.photometric in _OF_A_SENSOR or page.compression in _ONLY_IN_RAW
            for page in filter(None, self._with_sub_images())
        )

    def readers(self) -> list[Reader]:
        """Return a reader of each plane that may be a field, in the order of the file."""
        description = str(self._main[0].description) if self._main[0] else ""
        if description.startswith("ImageJ="):
            readers = self._imagej()
        elif description.rstrip().endswith("OME>"):
            readers = self._ome(description)
        else:
            readers = self._plain()
        return [*readers, _damaged] if self._is_cut else readers

    def _page(self, offset: int, index: tuple[int, ...]) -> TiffPage | None:
        """Return a page, or None when its directory is broken."""
        self._file.filehandle.seek(offset)
        try:
            page = TiffPage(self._file, index=index)
        except Exception:  # noqa: BLE001 - tifffile raises nearly anything on broken tags
            return None
        return page if page.imagewidth and page.imagelength else None

    def _with_sub_images(self) -> list[TiffPage | None]:
        """Return every page followed by its sub-images; None for a broken page."""
        found: list[TiffPage | None] = []
        for i, page in enumerate(self._main):
            below = () if page is None else (page.subifds or ())[:_MOST_SUB_IMAGES]
            inner = [self._page(offset, (i, j)) for j, offset in enumerate(below)]
            found += [page, *filter(None, inner)]
        return found

    def _plain(self) -> list[Reader]:
        """Every page is an image, except reduced copies and masks; so are full-size sub-images."""
        pages = self._with_sub_images()
        fields = [page for page in pages if page is None or not _is_secondary(page)]
        if not any(fields):
            fields = [max(filter(None, pages), key=lambda page: page.imagewidth)]
        directories = [self._directory(page) for page in fields]
        grey = [d for d in directories if d is not None and d.is_grey]
        if len(grey) == len(directories) and len(grey) in (3, 4) and _one_size(grey):
            return [partial(self._channels, grey, None, None)]
        return [
            _damaged if d is None else partial(self._channels, [d], None, None) for d in directories
        ]

    def _directory(self, page: TiffPage | None) -> _Directory | None:
        return page and _Directory(page, partial(_samples, page, self._data))

    def _imagej(self) -> list[Reader]:
        """Take apart a hyperstack; its planes may lie behind the first, without directories."""
        metadata = self._file.imagej_metadata or {}
        sizes = {axis: max(1, int(metadata.get(name, 1))) for axis, name in _IMAGEJ_AXES}
        page = self._main[0]
        number = math.prod(sizes.values())
        if page is None or (page.samplesperpixel > 1 and sizes["C"] == page.samplesperpixel):
            number, sizes["C"] = number // sizes["C"], 1
        if number == 1:
            return self._plain()
        self._allowance.check_number(number // sizes["C"])
        planes = self._planes_of(number)
        if planes is None:
            return self._plain()
        tables = _imagej_colours(metadata, sizes["C"])
        return self._hyperstack(planes, sizes, str(metadata.get("order", "czt")), tables, 0)

    def _planes_of(self, number: int) -> list[_Directory | None] | None:
        """Return the planes of an ImageJ stack; None when the file holds another number."""
        if len(self._main) == number:
            return [self._directory(page) for page in self._main]
        first = self._main[0]
        if len(self._main) != 1 or first is None or not first.is_contiguous:
            return None
        start, length = first.dataoffsets[0], first.nbytes
        return [
            _Directory(first, partial(_contiguous, first, self._data, start + i * length))
            for i in range(number)
        ]

    def _ome(self, description: str) -> list[Reader]:
        """Take apart the images of an OME-TIFF by their dimensions."""
        readers: list[Reader] = []
        for image, pixels in enumerate(_children(fromstring(description), "Pixels")):
            channels = list(_children(pixels, "Channel"))
            per_pixel = max([int(c.get("SamplesPerPixel", 1)) for c in channels], default=1)
            sizes = {axis: int(pixels.get(f"Size{axis}", 1)) for axis in "CZT"}
            sizes["C"] = max(1, sizes["C"] // per_pixel)
            number = math.prod(sizes.values())
            self._allowance.check_number(number // sizes["C"])
            order = pixels.get("DimensionOrder", "XYCZT")[2:]
            places = _ome_places(pixels, sizes, order, len(self._main))
            planes = [None if at is None else self._directory(self._main[at]) for at in places]
            readers += self._hyperstack(planes, sizes, order, _ome_colours(channels), image)
        return readers or self._plain()

    def _hyperstack(
        self,
        planes: Sequence[_Directory | None],
        sizes: dict[str, int],
        order: str,
        tables: list[ColourTable] | None,
        image: int,
    ) -> list[Reader]:
        """Return a reader for every time and depth, of all its channels together."""
        order = order.upper()
        steps, step = {}, 1
        for axis in order if sorted(order) == sorted("CZT") else "CZT":
            steps[axis], step = step, step * sizes[axis]
        readers: list[Reader] = []
        for time, depth in product(range(sizes["T"]), range(sizes["Z"])):
            stack = (image, time) if sizes["Z"] > 1 else None
            base = time * steps["T"] + depth * steps["Z"]
            group = [planes[base + c * steps["C"]] for c in range(sizes["C"])]
            whole = [plane for plane in group if plane is not None]
            if len(whole) < len(group):
                readers.append(_damaged)
            elif all(plane.is_grey for plane in whole):
                readers.append(partial(self._channels, whole, tables, stack))
            else:  # each channel has colours of its own
                readers += [partial(self._channels, [plane], None, stack) for plane in whole]
        return readers

    def _channels(
        self, channels: list[_Directory], tables: list[ColourTable] | None, stack: object
    ) -> Plane:
        """Decode one image: a page, or grey channels that are added up in their colours."""
        first = channels[0]
        self._allowance.check(first.size)
        scale = _scale(first.page)
        if len(channels) == 1:
            pixels, notes = _upright_rgb(first)
            return Plane(pixels, _mode(first.page), _bits(first.page), scale, notes, stack=stack)
        if tables is None or len(tables) != len(channels):
            raise UnsupportedFormatError(
                f"An image of {len(channels)} grey pages or channels whose colours are not named",
                "Save it as RGB (in ImageJ: Image, Type, RGB Color) and send it again.",
            )
        if not _one_size(channels):
            raise DamagedImageError
        values = np.stack([_one_channel(channel) for channel in channels])
        values = values if values.dtype == np.uint8 else to_8_bits(values)
        total = sum(table[value] for table, value in zip(tables, values, strict=True))
        pixels = np.rint(np.minimum(total, 255)).astype(np.uint8)
        pixels = upright(pixels, _orientation(first.page))
        return Plane(pixels, _mode(first.page), _bits(first.page), scale, stack=stack)


def _directories(data: bytes, limit: int) -> tuple[list[int], bool]:
    """Return the offsets of the main directories, and whether the chain leads out of the file.

    At most one more than `limit`; a chain that leads back ends there.
    """
    found: list[int] = []
    try:
        header = TiffHeader(data)
        offset: int | None = header.first
        while offset and offset not in found and len(found) <= limit:
            _, following = header.directory(offset)
            found.append(offset)
            offset = following
    except (struct.error, TooComplexError):
        return found, True
    return found, offset is None


def _damaged() -> Plane:
    raise DamagedImageError


def _is_secondary(page: TiffPage) -> bool:
    """Return whether a page is a reduced copy or a mask, by its tags."""
    old = page.tags.valueof(255)
    return bool(
        int(page.subfiletype) & (_REDUCED | _TRANSPARENCY) or page.photometric == _MASK or old == 2
    )


def _one_size(directories: Sequence[_Directory]) -> bool:
    return len({directory.size for directory in directories}) == 1


def _contiguous(page: TiffPage, data: bytes, start: int) -> NDArray[Any]:
    """Return the samples of a plane without a directory. Raises DamagedImageError."""
    if start + page.nbytes > len(data):
        raise DamagedImageError
    kind = np.dtype(page.parent.byteorder + str(np.dtype(page.dtype).char))
    values = np.frombuffer(data, kind, math.prod(page.shaped), start).reshape(page.shaped)
    return _by_pixel(values.astype(kind.newbyteorder("=")))


def _samples(page: TiffPage, data: bytes) -> NDArray[Any]:
    """Return the samples of a page, H x W x S. Raises DamagedImageError, UnsupportedFormatError."""
    codec = _codec(page)
    places = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    is_cut = any(not length or start + length > len(data) for start, length in places)
    if is_cut or len(places) < math.prod(page.chunked):
        raise DamagedImageError
    if page.compression == _JPEG:
        for start, length in places:
            _check_jpeg(data[start : start + length], page.jpegtables)
    if _is_plain_ycbcr(page):
        sides = tuple(page.tags.valueof(530) or (2, 2))
        if sides != (1, 1):
            segments = [data[start : start + length] for start, length in places]
            return _subsampled(page, segments, codec, sides)
    whole: NDArray[Any] = np.zeros(page.shaped, page.dtype)
    filled = 0
    for unpacked, (sample, depth, top, left, _), _shape in page.segments(maxworkers=1):
        if unpacked is None:
            raise DamagedImageError
        deep, high, wide, _ = unpacked.shape
        part = whole[sample, depth : depth + deep, top : top + high, left : left + wide]
        part[...] = unpacked[: part.shape[0], : part.shape[1], : part.shape[2]]
        filled += part.size
    if filled != whole.size:
        raise DamagedImageError
    return _by_pixel(whole)


def _is_plain_ycbcr(page: TiffPage) -> bool:
    """Return whether a page is YCbCr that no JPEG decoder converts.

    Raises UnsupportedFormatError for odd layouts.
    """
    if page.photometric != _YCBCR or page.compression in (_JPEG, _OLD_JPEG):
        return False
    if page.planarconfig != 1 or page.bitspersample != 8 or page.samplesperpixel != 3:
        raise UnsupportedFormatError(_described(page))
    return True


def _by_pixel(values: NDArray[Any]) -> NDArray[Any]:
    """Bring tifffile's axes (plane, depth, H, W, sample) to H x W x S."""
    if values.shape[1] != 1:
        raise UnsupportedFormatError("A TIFF of volumes", "Save its planes as single images.")
    planes = values[:, 0]
    return planes[0] if len(planes) == 1 else np.moveaxis(planes[..., 0], 0, -1)


def _codec(page: TiffPage) -> Callable[..., bytes] | None:
    """Return the decompressor. Raises UnsupportedFormatError for layouts that are not read."""
    known = page.photometric in range(7) and page.dtype is not None and page.dtype.kind in "buif"
    if not known or page.compression not in _READ_COMPRESSIONS:
        raise UnsupportedFormatError(_described(page))
    return None if page.compression == 1 else TIFF.DECOMPRESSORS[page.compression]


def _described(page: TiffPage) -> str:
    bits: Any = page.bitspersample
    depth = "+".join(map(str, bits)) if isinstance(bits, tuple) else bits
    colours = _NAMES.get(int(page.photometric), f"colours {int(page.photometric)}")
    return (
        f"This kind of TIFF ({page.samplesperpixel} × {depth} bits, {colours}, "
        f"compression {int(page.compression)})"
    )


def _check_jpeg(segment: bytes, tables: bytes | None) -> None:
    """Raise DamagedImageError when pixels are missing in a JPEG strip or tile."""
    header = jpeg_header(segment)
    if header.end is None or (header.precision == 8 and header.frame in SEQUENTIAL_OR_PROGRESSIVE):
        decode_whole(
            segment, header, lambda whole: np.asarray(imagecodecs.jpeg_decode(whole, tables=tables))
        )


def _subsampled(
    page: TiffPage,
    segments: list[bytes],
    codec: Callable[..., bytes] | None,
    sides: tuple[int, int],
) -> NDArray[np.uint8]:
    """Return YCbCr, H x W x 3.

    Stored in units of sides[0] x sides[1] luminances and two chroma (TIFF 6.0, section 21).
    """
    across, down = sides
    width, height = int(page.imagewidth), int(page.imagelength)
    wide, high = (page.tilewidth, page.tilelength) if page.is_tiled else (width, page.rowsperstrip)
    whole = np.zeros((height, width, 3), np.uint8)
    columns = math.ceil(width / wide)
    for index, segment in enumerate(segments):
        top, left = index // columns * high, index % columns * wide
        rows = high if page.is_tiled else min(high, height - top)
        units = math.ceil(rows / down), math.ceil(wide / across)
        length = math.prod(units) * (across * down + 2)
        values = segment if codec is None else codec(segment, out=length)
        unit = np.frombuffer(values, np.uint8, length).reshape(*units, across * down + 2)
        block = np.empty((units[0], down, units[1], across, 3), np.uint8)
        luminance = unit[..., :-2].reshape(*units, down, across)
        block[..., 0] = luminance.transpose(0, 2, 1, 3)
        block[..., 1:] = unit[:, None, :, None, -2:]
        pixels = block.reshape(units[0] * down, units[1] * across, 3)
        part = whole[top : top + high, left : left + wide]
        part[:] = pixels[: part.shape[0], : part.shape[1]]
    return whole


def _upright_rgb(directory: _Directory) -> tuple[Pixels, tuple[str, ...]]:
    """Decode a page to upright sRGB; the second value are notes."""
    page = directory.page
    values = directory.samples()
    own = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _PALETTE: 1, _MASK: 1, _CMYK: 4}
    colours = own.get(int(page.photometric), 3)
    if values.shape[-1] < colours or (colours == 1 and values.shape[-1] == 3):
        raise UnsupportedFormatError(_described(page))
    extra = tuple(int(kind) for kind in page.extrasamples)
    alpha = values[..., colours] if extra[:1] in ((1,), (2,)) else None
    image = _image(page, values[..., :colours])
    notes: tuple[str, ...] = ()
    if profile := page.tags.valueof(34675):
        image, notes = profile_to_srgb(image, bytes(profile))
    rgb = np.array(image if image.mode == "RGB" else image.convert("RGB"))
    if alpha is not None:
        rgb = on_white(rgb, _full_range(page, alpha), premultiplied=extra[0] == 1)
    return upright(rgb, _orientation(page)), notes


def _image(page: TiffPage, values: NDArray[Any]) -> Image.Image:
    """Return colours as an image of mode L, RGB or CMYK."""
    match int(page.photometric):
        case 3:
            palette = palette_to_8_bits(np.asarray(page.colormap).T)
            return Image.fromarray(palette[values[..., 0]])
        case 6 if page.compression not in (_JPEG, _OLD_JPEG):
            return Image.fromarray(_ycbcr(page, values))
        case 5:
            return Image.fromarray(_full_range(page, values), "CMYK")
        case 0 | 1 | 4:
            return Image.fromarray(_grey(page, values[..., 0]))
        case _:
            return Image.fromarray(_scaled(page, values))


def _one_channel(directory: _Directory) -> NDArray[Any]:
    values = directory.samples()[..., 0]
    if directory.page.photometric == _WHITE_IS_ZERO:
        return _grey(directory.page, values)
    return values if values.dtype.itemsize > 1 else _scaled(directory.page, values)


def _grey(page: TiffPage, values: NDArray[Any]) -> Pixels:
    scaled = _scaled(page, values)
    return 255 - scaled if page.photometric == _WHITE_IS_ZERO else scaled


def _scaled(page: TiffPage, values: NDArray[Any]) -> Pixels:
    """Bring samples to 8 bits: deep ones by the range of a camera that holds them."""
    bits = _bits(page)
    if values.dtype.kind == "b" or (values.dtype.kind == "u" and bits < 8):
        return to_8_bits(values.astype(np.uint8), bits)
    return values if values.dtype == np.uint8 else to_8_bits(values)


def _full_range(page: TiffPage, values: NDArray[Any]) -> Pixels:
    """Bring ink or transparency to 8 bits: of these the whole range is meant."""
    if values.dtype == np.uint8:
        return values
    return to_8_bits(values, _bits(page) if values.dtype.kind == "u" else None)


def _ycbcr(page: TiffPage, values: NDArray[np.uint8]) -> Pixels:
    """Convert YCbCr to RGB with the file's own coefficients and ranges (TIFF 6.0, section 20)."""
    red, green, blue = _rationals(page.tags.valueof(529)) or (0.299, 0.587, 0.114)
    low_y, high_y, zero_b, high_b, zero_r, high_r = _rationals(page.tags.valueof(532)) or (
        *(0.0, 255.0),
        *(128.0, 255.0) * 2,
    )
    samples = values.astype(np.float32)
    y = (samples[..., 0] - low_y) * (255 / (high_y - low_y))
    cb = (samples[..., 1] - zero_b) * (127 / (high_b - zero_b))
    cr = (samples[..., 2] - zero_r) * (127 / (high_r - zero_r))
    r, b = y + cr * (2 - 2 * red), y + cb * (2 - 2 * blue)
    g = (y - red * r - blue * b) / green
    return np.asarray(np.rint(np.dstack([r, g, b])).clip(0, 255), np.uint8)


def _rationals(values: Any) -> tuple[float, ...] | None:
    """Return pairs of numerator and denominator as numbers; None without or with a zero."""
    try:
        return tuple(a / b for a, b in zip(values[::2], values[1::2], strict=True))
    except (TypeError, ZeroDivisionError, ValueError):
        return None


def _bits(page: TiffPage) -> int:
    bits: Any = page.bitspersample
    return int(bits[0] if isinstance(bits, tuple) else bits)


def _mode(page: TiffPage) -> str:
    """Return Pillow's name of the pixel mode."""
    match int(page.photometric):
        case 3:
            return "P"
        case 5:
            return "CMYK"
        case 0 | 1 | 4:
            bits, kind = _bits(page), page.dtype.kind if page.dtype is not None else "u"
            grey = "F" if kind == "f" else "1" if bits == 1 else "L" if bits <= 8 else "I;16"
            return "I" if bits > 16 and kind != "f" else grey
        case _:
            return "RGBA" if tuple(page.extrasamples)[:1] in ((1,), (2,)) else "RGB"


def _orientation(page: TiffPage) -> int:
    value = page.tags.valueof(274)
    return int(value) if isinstance(value, int) else 1


def _scale(page: TiffPage) -> float | None:
    """Return micrometres per pixel from the tags, or None."""
    across, down = (_rationals(page.tags.valueof(tag)) for tag in (282, 283))
    unit = page.tags.valueof(296)
    return tiff_scale(
        # OME and ImageJ describe all pages in the first.
        str(page.description or page.parent.pages.first.description),
        None if across is None or down is None else (across[0], down[0]),
        int(unit) if isinstance(unit, int) else 2,
    )


def _imagej_colours(metadata: dict[str, Any], channels: int) -> list[ColourTable] | None:
    """Return the colours of the channels; None when the file shows them in grey."""
    if metadata.get("mode") == "grayscale" or channels > _MOST_CHANNELS:
        return None
    tables = metadata.get("LUTs")
    if tables is not None and len(tables) >= channels:
        tables = [np.asarray(table, np.float32).T for table in tables[:channels]]
        is_grey = all((table == table[:, :1]).all() for table in tables)
        shaped = all(table.shape == (256, 3) for table in tables)
        return tables if shaped and not is_grey else None
    if metadata.get("mode") == "composite" and channels <= len(_RED_GREEN_BLUE):
        return [_ramp(colour) for colour in _RED_GREEN_BLUE[:channels]]
    return None


def _ramp(colour: tuple[int, ...]) -> ColourTable:
    return np.arange(256, dtype=np.float32)[:, None] * (np.array(colour, np.float32) / 255)


def _ome_colours(channels: list[Element]) -> list[ColourTable] | None:
    """Return the colours of the channels; None when neither colours nor names are given."""
    words = [int(channel.get("Color", -1)) for channel in channels]
    colours = [tuple(word >> shift & 255 for shift in (24, 16, 8)) for word in words]
    if len(set(colours)) == 1:  # OME's default is white for every channel
        named = [_COLOURS.get(str(c.get("Name", "")).strip().lower()) for c in channels]
        if None in named:
            return None
        colours = [colour for colour in named if colour is not None]
    return [_ramp(colour) for colour in colours]


def _ome_places(pixels: Element, sizes: dict[str, int], order: str, pages: int) -> list[int | None]:
    """Return the number of the page of each plane, in the order of the dimensions."""
    axes = order if sorted(order) == sorted("CZT") else "CZT"
    number = math.prod(sizes.values())
    places: list[int | None] = [None] * number
    for block in _children(pixels, "TiffData"):
        step, first = 1, 0
        for axis in axes:
            first += step * int(block.get(f"First{axis}", 0))
            step *= sizes[axis]
        page = int(block.get("IFD", 0))
        length = int(block.get("PlaneCount", 1 if "IFD" in block.attrib else number))
        for i in range(max(0, min(length, number - first, pages - page))):
            places[first + i] = page + i
    return places


def _children(element: Element, name: str) -> list[Element]:
    """Return the elements of a name in any namespace."""
    return [found for found in element.iter() if str(found.tag).rpartition("}")[2] == name]
