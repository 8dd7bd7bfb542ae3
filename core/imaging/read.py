"""From the bytes of an upload to a `FieldImage`.

The format is told by content, never by name. Limits are checked on the header, before pixels
are decoded. Of everything a header may say, only the pixel scale is kept: EXIF and DICOM carry
identifiers.
"""

import hashlib
import re
import unicodedata
import warnings
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from core.errors import (
    DamagedImageError,
    EmptyFileError,
    InputError,
    NotAnImageError,
    TooLargeError,
    TooSmallError,
    UnsupportedFormatError,
)
from core.imaging.scale import header_scale, microscope_scale, tiff_scale
from core.results import FieldImage, ImageProperties, Pixels
from core.settings import Settings, get_settings

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".dcm", ".dicom"})
"""Usual file-name endings of the formats, for picking files out of folders only."""

_BMP_HEADER_SIZES = {12, 40, 52, 56, 64, 108, 124}
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_OTHER_FORMATS = (
    (0, b"GIF8", "A GIF picture"),
    (0, b"%PDF", "A PDF document"),
    (0, b"%!PS", "A PostScript document"),
    (0, b"\0\0\1\0", "An icon file"),
    (0, b"8BPS", "A Photoshop document"),
    (0, b"\0\0\0\x0cjP  ", "A JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "A JPEG 2000 picture"),
    (0, b"PK\3\4", "A ZIP archive"),
    (0, b"\x1f\x8b", "A compressed archive"),
    (0, b"<svg", "An SVG drawing"),
    (4, b"ftyphei", "A HEIC picture"),
    (4, b"ftypmif1", "A HEIF picture"),
    (4, b"ftypavi", "An AVIF picture"),
    (4, b"ftyp", "A video"),
    (8, b"AVI ", "A video"),
)
_NAME_LENGTH = 120

# What Pillow has to say of broken tags is harmless here, and the settings limit pixels.
warnings.filterwarnings("ignore", module=r"PIL\.")
Image.MAX_IMAGE_PIXELS = None


def read_images(
    data: bytes, name: str, *, settings: Settings | None = None
) -> tuple[FieldImage, ...]:
    """Decode every image of a file to 8-bit RGB, upright, with its scale if the header has one.

    Returns at least one image, in the order of the file. Transparent pixels lie on white.
    Raises the subclasses of `InputError`; nothing else, whatever the bytes.
    """
    return (read_image(data, name, settings=settings),)


def read_image(data: bytes, name: str, *, settings: Settings | None = None) -> FieldImage:
    """Decode the first image of a file. Raises as `read_images`."""
    settings = settings or get_settings()
    if not data:
        raise EmptyFileError
    _check_bytes(len(data), settings)
    form = _form(data)
    decode = _decode_dicom if form == "DICOM" else _decode
    try:
        pixels, properties, scale = decode(data, form, settings)
    except InputError:
        raise
    except MemoryError as error:
        raise TooLargeError("too many pixels", "the free memory") from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise DamagedImageError from error
    return FieldImage(
        name=display_name(name),
        pixels=pixels,
        sha256=hashlib.sha256(data).hexdigest(),
        properties=properties,
        micrometres_per_pixel=scale,
    )


def read_image_file(path: Path, *, settings: Settings | None = None) -> FieldImage:
    """Read a picture from a file; files over the limit are not loaded into memory.

    Raises the subclasses of `InputError`, and OSError when the file cannot be read.
    """
    _check_bytes(path.stat().st_size, settings or get_settings())
    return read_image(path.read_bytes(), path.name, settings=settings)


def display_name(name: str) -> str:
    """Return a file name fit to be shown: no folders, no invisible characters, not too long."""
    base = re.split(r"[/\\]", name)[-1]
    base = "".join(
        c for c in unicodedata.normalize("NFC", base) if unicodedata.category(c)[0] != "C"
    )
    base = " ".join(base.split())
    if len(base) > _NAME_LENGTH:
        base = f"{base[: _NAME_LENGTH - 11]}…{base[-10:]}"
    return base if base.strip(".") else "unnamed"


def _decode(
    data: bytes, form: str, settings: Settings
) -> tuple[Pixels, ImageProperties, float | None]:
    """Return the pixels, what the file says of them, and micrometres per pixel."""
    with _open(data, form) as picture:
        _check_size(picture.size, settings)
        properties = ImageProperties(
            format=form,
            mode=picture.mode,
            bit_depth=_bit_depth(picture, data),
            file_bytes=len(data),
            frames=getattr(picture, "n_frames", 1),
        )
        scale = _scale(picture)
        orientation = _orientation(picture)
        if form == "PNG":
            _check_sums(data)
        picture.load()
        decoded: Image.Image = picture
        if properties.bit_depth == 16 and len(picture.getbands()) >= 3:
            decoded = _deep_colours(data) or picture
        rgb = _to_rgb(decoded, properties)
        if form != "TIFF":  # Pillow and OpenCV turn TIFF upright themselves
            rgb.getexif()[ExifTags.Base.Orientation] = orientation
            ImageOps.exif_transpose(rgb, in_place=True)
        return np.array(rgb, dtype=np.uint8), properties, scale


def _decode_dicom(
    data: bytes, form: str, settings: Settings
) -> tuple[Pixels, ImageProperties, float | None]:
    """As `_decode`."""
    from core.imaging.dicom import open_dicom  # pydicom is slow to load

    picture = open_dicom(data)
    _check_size(picture.size, settings)
    properties = ImageProperties(form, picture.mode, picture.bit_depth, len(data), picture.frames)
    values = picture.decode()
    pixels = values if values.dtype == np.uint8 else _to_8_bits(values)
    pixels = 255 - pixels if picture.bright_is_low else pixels
    rgb = np.ascontiguousarray(pixels if pixels.ndim == 3 else np.dstack([pixels] * 3))
    return rgb, properties, microscope_scale(picture.micrometres)


def _form(data: bytes) -> str:
    """Tell the format by its first bytes."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith(_TIFF_MAGIC):
        return "TIFF"
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    if data[128:132] == b"DICM":
        return "DICOM"
    for offset, magic, what in _OTHER_FORMATS:
        if data[offset:].startswith(magic) if offset else data.startswith(magic):
            raise UnsupportedFormatError(what)
    raise NotAnImageError


def _open(data: bytes, form: str) -> Image.Image:
    """Read the header only."""
    try:
        return Image.open(BytesIO(data), formats=(form,))
    except (UnidentifiedImageError, KeyError, NotImplementedError) as error:
        if form == "TIFF" and (variant := _tiff_variant(data)):
            raise UnsupportedFormatError(variant) from error
        raise DamagedImageError from error


def _tiff_variant(data: bytes) -> str | None:
    """Describe a TIFF with a sound directory whose pixel layout Pillow does not know."""
    stream = BytesIO(data)
    directory = TiffImagePlugin.ImageFileDirectory_v2(stream.read(8))
    stream.seek(directory.next)
    directory.load(stream)
    bits, width = directory.get(TiffImagePlugin.BITSPERSAMPLE), directory.get(256)
    if not (bits and width):
        return None
    compression = directory.get(TiffImagePlugin.COMPRESSION, 1)
    return f"This kind of TIFF ({len(bits)} × {bits[0]} bits, compression {compression})"


def _check_bytes(number: int, settings: Settings) -> None:
    if number > settings.max_file_megabytes * 1_000_000:
        raise TooLargeError(f"{number / 1e6:,.1f} MB", f"{settings.max_file_megabytes:,} MB")


def _check_size(size: tuple[int, int], settings: Settings) -> None:
    width, height = size
    if width * height > settings.max_megapixels * 1_000_000:
        raise TooLargeError(f"{width:,} × {height:,} px", f"{settings.max_megapixels:,} megapixels")
    if min(size) < settings.min_side_pixels:
        raise TooSmallError(width, height, settings.min_side_pixels)


def _check_sums(data: bytes) -> None:
    """Raise unless all chunks of a PNG are as they were written.

    Pillow decodes damaged pixels to other ones without a word.
    """
    with Image.open(BytesIO(data), formats=("PNG",)) as picture:
        picture.verify()


def _bit_depth(picture: Image.Image, data: bytes) -> int:
    """Return the bits per channel in the file; a palette's colours have 8."""
    if picture.mode in ("P", "PA"):
        return 8
    if picture.format == "PNG":
        return data[24]  # IHDR: width, height, bit depth
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        return int(picture.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))[0])
    return 1 if picture.mode == "1" else 8


def _scale(picture: Image.Image) -> float | None:
    """Return micrometres per pixel from the header, or None."""
    if not isinstance(picture, TiffImagePlugin.TiffImageFile):
        return header_scale(picture)
    tags = picture.tag_v2
    try:
        resolution = float(tags[TiffImagePlugin.X_RESOLUTION]), float(tags[283])
    except (ArithmeticError, KeyError, TypeError, ValueError):
        return None
    return tiff_scale(str(tags.get(270, "")), resolution, int(tags.get(296, 2)))


def _orientation(picture: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) when there is none or EXIF is broken."""
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - a broken EXIF block is no reason to refuse the pixels
        return 1


def _to_rgb(picture: Image.Image, properties: ImageProperties) -> Image.Image:
    """Convert a picture of any mode to 8-bit RGB."""
    if picture.mode.startswith(("I", "F")):
        picture = Image.fromarray(_to_8_bits(np.asarray(picture)))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    try:
        return picture.convert("RGB")
    except ValueError as error:
        raise UnsupportedFormatError(f"The colour mode {properties.mode}") from error


def _deep_colours(data: bytes) -> Image.Image | None:
    """Decode 16-bit colours with OpenCV, which keeps all bits; None when it cannot.

    Pillow keeps the high byte only, which leaves little of 12-bit data in 16-bit words.
    """
    deep = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if deep is None or deep.ndim != 3 or deep.dtype != np.uint16:
        return None
    colours = _to_8_bits(deep[..., 2::-1])
    if deep.shape[2] == 4:
        colours = np.dstack([colours, (deep[..., 3] // 257).astype(np.uint8)])
    return Image.fromarray(colours)


def _to_8_bits(values: NDArray[np.generic]) -> Pixels:
    """Scale grey values or colours of any type to 0..255.

    Fractions in 0..1 fill the range; non-negative values are scaled by the smallest camera range
    (8, 10, 12, 14, 16 bits) that holds them; anything else from its minimum to its maximum.
    """
    numbers = np.asarray(values, np.float32)
    numbers = np.where(np.isfinite(numbers), numbers, np.float32(0))
    low, high = float(numbers.min()), float(numbers.max())
    fractions = np.issubdtype(values.dtype, np.floating) and high <= 1
    if low >= 0 and fractions:
        low, high = 0.0, 1.0
    elif low >= 0 and high < 2**16:
        low, high = 0.0, next(2.0**bits - 1 for bits in (8, 10, 12, 14, 16) if high < 2**bits)
    spread = (high - low) or 1.0
    scaled: Pixels = np.rint((numbers - low) * (255 / spread)).clip(0, 255).astype(np.uint8)
    return scaled
