"""Samples of any depth, transparency and colour space become 8-bit sRGB."""

from functools import cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from core.domain.results import Pixels

_BROKEN_PROFILE = (
    "The colour profile in the file cannot be used and was ignored, so colours may be wrong. "
    "Export the image with an sRGB profile."
)
_NO_DIFFERENCE = 2
"""Grey levels: a profile that changes no colour by more is sRGB itself, rounded."""
_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
_SRGB_PRIMARIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_ADOBE_PRIMARIES = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
_ADOBE_GAMMA = 563 / 256
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def to_8_bits(values: NDArray[np.generic], bits: int | None = None) -> Pixels:
    """Scale grey values or colours of any type to 0..255.

    With `bits` their full range is known. Without, fractions in 0..1 fill the range; non-negative
    values are scaled by the smallest camera range (8, 10, 12, 14, 16 bits) that holds them;
    anything else from its minimum to its maximum.
    """
    numbers = np.asarray(values, np.float32)
    numbers = np.where(np.isfinite(numbers), numbers, np.float32(0))
    low, high = float(numbers.min()), float(numbers.max())
    fractions = np.issubdtype(values.dtype, np.floating) and high <= 1
    if bits is not None:
        low, high = 0.0, 2.0**bits - 1
    elif low >= 0 and fractions:
        low, high = 0.0, 1.0
    elif low >= 0 and high < 2**16:
        low, high = 0.0, next(2.0**bits - 1 for bits in (8, 10, 12, 14, 16) if high < 2**bits)
    spread = (high - low) or 1.0
    scaled: Pixels = np.rint((numbers - low) * (255 / spread)).clip(0, 255).astype(np.uint8)
    return scaled


def on_white(rgb: Pixels, alpha: Pixels, *, premultiplied: bool = False) -> Pixels:
    """Lay colours on white by their transparency, H x W.

    A channel that is 0 everywhere is no transparency: nothing would be seen.
    """
    if not alpha.any():
        return rgb
    laid = np.empty_like(rgb)
    for row in range(len(rgb)):  # row by row: wide numbers of a whole image take four times more
        opaque = alpha[row, :, None].astype(np.uint16)
        shown = rgb[row].astype(np.uint16)
        if not premultiplied:
            shown = (shown * opaque + 127) // 255
        laid[row] = np.minimum(shown + 255 - opaque, 255)
    return laid


def palette_to_8_bits(palette: NDArray[np.integer]) -> Pixels:
    """Return the colours of a palette of 16-bit words; some writers fill them with 8-bit values."""
    wide = palette.dtype.itemsize > 1 and palette.max(initial=0) > 255
    return (palette >> (8 if wide else 0)).astype(np.uint8)


def ycbcr_to_rgb(samples: Pixels) -> Pixels:
    """Convert full-range YCbCr (ITU-R BT.601, as in JFIF) to RGB."""
    return np.array(Image.fromarray(samples, "YCbCr").convert("RGB"))


def profile_to_srgb(image: Image.Image, profile: bytes) -> tuple[Image.Image, tuple[str, ...]]:
    """Convert an image of mode L, RGB or CMYK by its ICC profile; the second value are notes.

    Relative colorimetric with black point compensation. The image comes back as it was where the
    profile is sRGB itself; a broken one, or one for other channels, is ignored with a note.
    """

    def converted(before: Image.Image) -> Image.Image:
        return ImageCms.applyTransform(before, transform) or before

    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space == "RGB" and image.mode == "L":
            image = image.convert("RGB")
        if space != _SPACES.get(image.mode):
            return image, (_BROKEN_PROFILE,)
        transform = ImageCms.buildTransform(
            source,
            _srgb(),
            image.mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if image.mode != "CMYK":
            steps = _steps(image.mode)
            before, after = (
                np.asarray(colours.convert("RGB"), np.int16)
                for colours in (steps, converted(steps))
            )
            if np.abs(before - after).max() <= _NO_DIFFERENCE:
                return image, ()
        return converted(image), ()
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return image, (_BROKEN_PROFILE,)


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@cache
def _steps(mode: str) -> Image.Image:
    """Return an image of colours all over the space."""
    levels = np.linspace(0, 255, 17).round().astype(np.uint8)
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1)
    return Image.fromarray(cube.reshape(17, -1, 3))


def adobe_rgb_to_srgb(rgb: Pixels) -> Pixels:
    """Convert Adobe RGB (1998), which cameras name in EXIF without a profile (DCF 2.0)."""
    return primaries_to_srgb(rgb, 1 / _ADOBE_GAMMA, _ADOBE_PRIMARIES)


def primaries_to_srgb(
    rgb: Pixels, gamma: float, primaries: tuple[float, ...] | None = None
) -> Pixels:
    """Convert colours that were encoded with a power of `gamma`, as PNG's gAMA and cHRM say.

    `primaries` are x and y of white, red, green and blue; without them those of sRGB. White is
    adapted after Bradford.
    """
    primaries = primaries or _SRGB_PRIMARIES
    linear = (np.arange(256) / 255) ** (1 / gamma)
    matrix = np.linalg.inv(_to_xyz(_SRGB_PRIMARIES)) @ _to_xyz(primaries)
    if np.abs(matrix - np.eye(3)).max() < 0.01:
        return np.asarray(np.rint(255 * _srgb_encoded(linear)), np.uint8)[rgb]
    table = linear.astype(np.float32)
    converted = np.empty_like(rgb)
    for top in range(0, len(rgb), 256):  # the floats of a whole image would take a lot of memory
        rows = table[rgb[top : top + 256]] @ matrix.T.astype(np.float32)
        converted[top : top + 256] = np.rint(255 * _srgb_encoded(rows.clip(0, 1)))
    return converted


def _srgb_encoded(linear: NDArray[np.floating]) -> NDArray[np.floating]:
    """Encode linear light (IEC 61966-2-1)."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _to_xyz(primaries: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the matrix from linear RGB to CIE XYZ under D65 (SMPTE RP 177)."""
    points = np.array(primaries, np.float64).reshape(4, 2)
    xyz = np.column_stack([points, 1 - points.sum(axis=1)]) / points[:, 1:]
    white, columns = xyz[0], xyz[1:].T
    matrix = columns * np.linalg.solve(columns, white)
    d65 = np.array([0.3127, 0.3290, 0.3583]) / 0.3290
    cones = np.diag((_BRADFORD @ d65) / (_BRADFORD @ white))
    return np.asarray(np.linalg.inv(_BRADFORD) @ cones @ _BRADFORD @ matrix)
