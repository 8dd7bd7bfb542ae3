"""From the bytes of an upload to its `FieldImage`s.

The format is recognised by content. Limits are checked on the header, before pixels
are decoded. Of a header only the pixel scale is kept: EXIF and DICOM may hold identifiers of
patients.
"""

import hashlib
import re
import unicodedata
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from core.domain.results import FieldImage, ImageProperties, Pixels
from core.errors import (
    DamagedImageError,
    EmptyFileError,
    InputError,
    TooLargeError,
    UnsupportedFormatError,
)
from core.imaging import bmp, png
from core.imaging.colour import (
    adobe_rgb_to_srgb,
    on_white,
    primaries_to_srgb,
    profile_to_srgb,
    to_8_bits,
)
from core.imaging.formats import form_of
from core.imaging.jpeg import (
    SEQUENTIAL_OR_PROGRESSIVE,
    decode_jpeg,
    decode_whole,
    jpeg_header,
)
from core.imaging.planes import Allowance, Plane, Reader, fields_of, upright
from core.imaging.scale import header_scale
from core.settings import Settings, get_settings

Result = TypeVar("Result")

_NAME_LENGTH = 120
_MOST_NAMED = 10
_STRIP = 256
"""Rows."""
_MPF_WITHIN = 2**18
"""Bytes at the beginning of a JPEG in which its list of further images stands."""
_SRGB_GAMMA = (0.445, 0.465)
"""What writers put into gAMA for sRGB: 1 / 2.2, rounded in some way."""

# Warnings of Pillow about broken tags are harmless here, and the settings limit pixels.
warnings.filterwarnings("ignore", module=r"PIL\.")
Image.MAX_IMAGE_PIXELS = None


def read_images(
    data: bytes, name: str, *, settings: Settings | None = None
) -> tuple[FieldImage, ...]:
    """Decode every image of a file to 8-bit sRGB, upright, with its scale if the header has one.

    Returns at least one image, in the order of the file. Transparent pixels lie on white. A focus
    stack is one image, its sharpest plane; smaller copies of another image are left out. An image
    that cannot be read is named in the notes of the first one that can.
    Raises the subclasses of `InputError`; nothing else, whatever the bytes.
    """
    settings = settings or get_settings()
    if not data:
        raise EmptyFileError
    check_bytes(len(data), settings)
    form = form_of(data, name)
    allowance = Allowance(settings)
    readers = _guarded(lambda: _READERS[form](data, allowance))
    planes: list[Plane] = []
    failures: dict[int, InputError] = {}
    for number, reader in enumerate(readers):
        try:
            planes.append(replace(_guarded(reader), number=number))
        except InputError as error:
            failures[number] = error
    if not planes:
        raise next(iter(failures.values()))
    fields = {plane.number: plane for plane in fields_of(planes)}
    pages = {number: page for page, number in enumerate(sorted(fields.keys() | failures), 1)}
    notes = _failure_notes({pages[number]: error for number, error in failures.items()}, len(pages))
    sha256 = hashlib.sha256(data).hexdigest()
    return tuple(
        FieldImage(
            name=display_name(name),
            pixels=plane.pixels,
            sha256=sha256,
            properties=ImageProperties(form, plane.mode, plane.bit_depth, len(data), len(pages)),
            micrometres_per_pixel=plane.micrometres_per_pixel,
            page=pages[number],
            notes=(*plane.notes, *(notes if number == min(fields) else ())),
        )
        for number, plane in sorted(fields.items())
    )


def read_images_from(path: Path) -> tuple[FieldImage, ...]:
    """Decode every image of a file on disk; files over the limit are not loaded into memory.

    Raises as `read_images`, and OSError when the file cannot be read.
    """
    check_bytes(path.stat().st_size, get_settings())
    return read_images(path.read_bytes(), path.name)


def display_name(name: str) -> str:
    """Return a file name to show: without folders and invisible characters, and not too long."""
    base = re.split(r"[/\\]", name)[-1]
    base = "".join(
        c for c in unicodedata.normalize("NFC", base) if unicodedata.category(c)[0] != "C"
    )
    base = " ".join(base.split())
    if len(base) > _NAME_LENGTH:
        base = f"{base[: _NAME_LENGTH - 11]}…{base[-10:]}"
    return base if base.strip(".") else "unnamed"


def _failure_notes(failures: dict[int, InputError], images: int) -> tuple[str, ...]:
    """Return a sentence for every reason why images of a file were not read."""
    by_reason: dict[str, list[int]] = {}
    for page, error in failures.items():
        by_reason.setdefault(str(error), []).append(page)
    return tuple(
        f"Image{'s' * (len(pages) > 1)} {', '.join(map(str, pages[:_MOST_NAMED]))}"
        f"{' …' * (len(pages) > _MOST_NAMED)} of {images} in this file "
        f"{'were' if len(pages) > 1 else 'was'} not read. {reason}"
        for reason, pages in by_reason.items()
    )


def _guarded(decode: Callable[[], Result]) -> Result:
    """Turn every exception of a decoder into an `InputError`."""
    try:
        return decode()
    except InputError:
        raise
    except MemoryError as error:
        raise TooLargeError("too many pixels", "the free memory") from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise DamagedImageError from error


def check_bytes(number: int, settings: Settings) -> None:
    """Raise TooLargeError for a file of more bytes than the settings allow."""
    if number > settings.max_file_megabytes * 1_000_000:
        raise TooLargeError(f"{number / 1e6:,.1f} MB", f"{settings.max_file_megabytes:,} MB")


def _open(data: bytes, form: str) -> Image.Image:
    """Read the header only."""
    try:
        return Image.open(BytesIO(data), formats=(form,))
    except UnidentifiedImageError as error:
        raise DamagedImageError from error


def _jpeg(data: bytes, allowance: Allowance) -> list[Reader]:
    images = [data, *_further_images(data, allowance.settings.max_file_images)]
    allowance.check_number(len(images))
    return [partial(_jpeg_plane, image, allowance) for image in images]


def _further_images(data: bytes, most: int) -> list[bytes]:
    """Return what follows the first image of a Multi-Picture file (CIPA DC-007) and is as large.

    What is smaller, or grey beside a first one in colour, are previews, gain and depth maps. At
    most `most` images are checked.
    """
    if data.find(b"MPF\0", 0, _MPF_WITHIN) < 0:
        return []
    found: list[bytes] = []
    first = header = jpeg_header(data)
    at = 0
    for _ in range(most):
        at = -1 if header.end is None else data.find(b"\xff\xd8\xff", at + header.end)
        if at < 0:
            break
        try:
            header = jpeg_header(data[at:])
        except DamagedImageError:  # no true beginning
            break
        if header.size == first.size and len(header.identifiers) == len(first.identifiers):
            found.append(data[at:] if header.end is None else data[at : at + header.end + 2])
    return found


def _jpeg_plane(data: bytes, allowance: Allowance) -> Plane:
    header = jpeg_header(data)
    allowance.check(header.size)
    if header.precision != 8 or header.frame not in SEQUENTIAL_OR_PROGRESSIVE:
        values = to_8_bits(decode_jpeg(data), header.precision)
        return _plane(Image.fromarray(values), header.precision, None)
    opened: list[Image.Image] = []

    def decode(whole: bytes) -> NDArray[np.uint8]:
        opened.append(_open(whole, "JPEG"))
        return np.asarray(opened[-1])

    decode_whole(data, header, decode)
    return _plane(opened[-1], 8, header_scale(opened[-1]))


def _png(data: bytes, allowance: Allowance) -> list[Reader]:
    chunks = png.read_chunks(data)
    image = _open(chunks.data, "PNG")
    if chunks.bit_depth == 16 and not chunks.animated:
        return [partial(_deep_png_plane, image, chunks, allowance)]
    return _frames(image, allowance, 8 if image.mode == "P" else chunks.bit_depth, chunks)


def _deep_png_plane(image: Image.Image, chunks: png.PngChunks, allowance: Allowance) -> Plane:
    """Decode 16-bit words whole: Pillow keeps the high byte, which leaves little of 12-bit data."""
    allowance.check(image.size)
    values = np.asarray(imagecodecs.png_decode(chunks.data))
    values = values[..., None] if values.ndim == 2 else values
    colours = to_8_bits(values[..., : 1 if values.shape[-1] < 3 else 3])
    deep = Image.fromarray(colours[..., 0] if colours.shape[-1] == 1 else colours)
    deep.info = image.info
    if values.shape[-1] in (2, 4):
        deep.putalpha(Image.fromarray((values[..., -1] // 257).astype(np.uint8)))
    plane = _plane(deep, 16, header_scale(image), chunks)
    return replace(plane, mode=image.mode)


def _webp(data: bytes, allowance: Allowance) -> list[Reader]:
    return _frames(_open(data, "WEBP"), allowance, 8)


def _frames(
    image: Image.Image, allowance: Allowance, bit_depth: int, chunks: png.PngChunks | None = None
) -> list[Reader]:
    """Return a reader of every frame of an animation, or of the one image."""
    number = int(getattr(image, "n_frames", 1))
    allowance.check_number(number)
    scale = header_scale(image)

    def frame(index: int) -> Plane:
        allowance.check(image.size)
        if index:
            image.seek(index)
        elif chunks and not all(row.any() for row in np.asarray(image)[-2:]):
            png.check_rows(chunks)
        return _plane(image, bit_depth, scale, chunks)

    return [partial(frame, index) for index in range(number)]


def _bmp(data: bytes, allowance: Allowance) -> list[Reader]:
    return [partial(_bmp_plane, data, allowance)]


def _bmp_plane(data: bytes, allowance: Allowance) -> Plane:
    data = bmp.with_known_header(data)
    if not bmp.has_bit_fields(data):
        image = _open(data, "BMP")
        allowance.check(image.size)
        return _plane(image, 1 if image.mode == "1" else 8, header_scale(image))
    allowance.check(bmp.size_of(data))
    image = bmp.decode_bit_fields(data)
    return _plane(image, 8, header_scale(image))


def _tiff(data: bytes, allowance: Allowance) -> list[Reader]:
    from core.imaging.tiff import TiffImages  # tifffile is slow to load

    images = TiffImages(data, allowance)
    return _raw(data, allowance) if images.is_camera_raw else images.readers()


def _raw(data: bytes, allowance: Allowance) -> list[Reader]:
    from core.imaging.raw import develop  # brings LibRaw

    return [partial(develop, data, allowance)]


def _dicom(data: bytes, allowance: Allowance) -> list[Reader]:
    from core.imaging.dicom import open_dicom  # pydicom is slow to load

    return open_dicom(data, allowance).readers()


_READERS: dict[str, Callable[[bytes, Allowance], list[Reader]]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
    "BMP": _bmp,
    "TIFF": _tiff,
    "RAW": _raw,
    "DICOM": _dicom,
}


def _plane(
    image: Image.Image,
    bit_depth: int,
    scale: float | None,
    chunks: png.PngChunks | None = None,
) -> Plane:
    """Decode an image that Pillow opened, of any mode, to upright sRGB on white."""
    image.load()
    mode, orientation, is_adobe_rgb = image.mode, *_exif(image)
    profile = chunks.profile if chunks else image.info.get("icc_profile")
    shown: Image.Image = image
    if mode.startswith(("I", "F")):
        shown = Image.fromarray(to_8_bits(np.asarray(image)))
    alpha = None
    if shown.has_transparency_data:
        shown = shown if shown.mode == "RGBA" else shown.convert("RGBA")
        alpha = np.asarray(shown.getchannel("A"))
    if shown.mode not in ("L", "RGB", "CMYK") and (shown.mode != "RGBA" or profile is not None):
        shown = _as_rgb(shown, mode)
    notes: tuple[str, ...] = ()
    if profile is not None:
        shown, notes = profile_to_srgb(shown, profile)
    rgb = _colours(shown)
    low, high = _SRGB_GAMMA
    if chunks and chunks.gamma and (chunks.primaries or not low <= chunks.gamma <= high):
        rgb = primaries_to_srgb(rgb, chunks.gamma, chunks.primaries)
    elif is_adobe_rgb and profile is None:
        rgb = adobe_rgb_to_srgb(rgb)
    rgb = rgb if alpha is None else on_white(rgb, alpha)
    return Plane(upright(rgb, orientation), mode, bit_depth, scale, notes)


def _colours(image: Image.Image) -> Pixels:
    """Return the RGB of an image strip by strip: of a whole one Pillow makes three copies."""
    width, height = image.size
    rgb = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _STRIP):
        bottom = min(top + _STRIP, height)
        rgb[top:bottom] = np.asarray(image.crop((0, top, width, bottom)).convert("RGB"))
    return rgb


def _as_rgb(image: Image.Image, mode: str) -> Image.Image:
    try:
        return image.convert("RGB")
    except ValueError as error:
        raise UnsupportedFormatError(f"The colour mode {mode}") from error


def _exif(image: Image.Image) -> tuple[int, bool]:
    """Return the orientation, 1 when EXIF is broken or missing, and whether it says Adobe RGB."""
    try:
        exif = image.getexif()
        orientation = int(exif.get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - a broken EXIF block is no reason to reject the pixels
        return 1, False
    try:
        index = exif.get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex)
    except Exception:  # noqa: BLE001
        index = None
    return orientation, str(index).startswith("R03")
