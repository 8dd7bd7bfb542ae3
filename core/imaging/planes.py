"""Planes of a file, and which of them are fields of their own.

A file may hold fields, focus planes of one field, and smaller copies of a field for viewers.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from core.domain.results import Pixels
from core.errors import TooLargeError, TooSmallError
from core.settings import Settings

_SCENE_SIDE = 96
_LIGHT_WIDTH = 6.0
"""Pixels of a scene: what varies on a larger scale is light."""
_BLACK = 0.3
"""Share of the light of glass below which there is no scene."""
_SAME_SCENE = 0.5
"""Correlation of two focus planes of one field, 0.82 and more; different fields have 0.48 at most,
under uneven light and in a round view too."""
_IN_FOCUS = 0.25
"""Share of the sharpest plane's steepness that a field in focus has at least."""
_COPY = 0.65
"""Correlation of a field and a smaller copy: 0.76 and more, of 64 pixels too."""
_FLAT = 2.0
"""Grey levels: a plane that varies less shows no scene."""


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """One decoded image of a file, upright, as 8-bit sRGB."""

    pixels: Pixels
    mode: str
    bit_depth: int
    micrometres_per_pixel: float | None = None
    notes: tuple[str, ...] = ()
    number: int = 0
    """In the order of the file."""
    stack: Hashable = None
    """Planes with the same value are focus planes of one field by the file's metadata."""


Reader = Callable[[], Plane]
"""Decodes one plane. Raises `InputError` or what decoders raise on damaged data."""


@dataclass(slots=True)
class Allowance:
    """What may still be decoded of a file."""

    settings: Settings
    pixels: int = 0
    """Decoded so far."""

    def check(self, size: tuple[int, int]) -> None:
        """Count an image before it is decoded. Raises TooLargeError, TooSmallError."""
        width, height = size
        most, least = self.settings.max_megapixels, self.settings.min_side_pixels
        if width * height > most * 1_000_000:
            raise TooLargeError(f"{width:,} × {height:,} px", f"{most:,} megapixels")
        if min(size) < least:
            raise TooSmallError(width, height, least)
        self.pixels += width * height
        if self.pixels > self.settings.max_file_megapixels * 1_000_000:
            raise TooLargeError(
                "too many pixels in all its images",
                f"{self.settings.max_file_megapixels:,} megapixels a file",
            )

    def check_number(self, number: int) -> None:
        """Raise TooLargeError for more images than a file may hold."""
        if number > self.settings.max_file_images:
            raise TooLargeError(
                f"{number:,} images in one file", f"{self.settings.max_file_images:,} images"
            )


def fields_of(planes: Sequence[Plane]) -> list[Plane]:
    """Return the planes that are fields, in their order.

    Of a focus stack the sharpest plane, with a note; planes of a stack that show other scenes than
    that one are fields themselves. Smaller copies of another plane are left out.
    """
    if len(planes) == 1:
        return list(planes)
    kept: list[Plane] = []
    done: set[Hashable] = set()
    for plane in planes:
        if plane.stack is None:
            kept.append(plane)
        elif plane.stack not in done:
            done.add(plane.stack)
            kept += _focused([other for other in planes if other.stack == plane.stack])
    scenes = [_scene(plane.pixels) for plane in kept]
    return [
        plane
        for plane, scene in zip(kept, scenes, strict=True)
        if not any(
            _is_smaller(plane, other) and _alike(scene, scenes[i]) > _COPY
            for i, other in enumerate(kept)
        )
    ]


def _focused(stack: list[Plane]) -> list[Plane]:
    if len(stack) == 1:
        return stack
    scenes = [_scene(plane.pixels) for plane in stack]
    steepness = [_steepness(plane.pixels) for plane in stack]
    best = steepness.index(max(steepness))
    if any(
        scene is not None
        and _alike(scene, scenes[best]) < _SAME_SCENE
        and steep > _IN_FOCUS * steepness[best]
        for scene, steep in zip(scenes, steepness, strict=True)
    ):
        return stack  # a series of fields that was saved as a stack
    note = f"A focus stack of {len(stack)} planes; the sharpest, plane {best + 1}, was analysed."
    return [replace(stack[best], notes=(*stack[best].notes, note))]


def _steepness(pixels: Pixels) -> float:
    """Return the variance of the Laplacian of green after a slight blur against noise."""
    green = cv2.GaussianBlur(np.ascontiguousarray(pixels[..., 1]), (0, 0), 1)
    return float(cv2.Laplacian(green, cv2.CV_32F).var())


def _scene(pixels: Pixels) -> NDArray[np.float32] | None:
    """Return a coarse view of absorbance of length 1; None where nothing is to be seen.

    Light that changes slowly over the view and what is black are left out: lamps and the borders of
    eyepieces are alike in all fields.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    coarse = cv2.resize(grey, (_SCENE_SIDE, _SCENE_SIDE), interpolation=cv2.INTER_AREA)
    coarse = np.asarray(cv2.GaussianBlur(coarse.astype(np.float32), (0, 0), 1))
    if coarse.std() < _FLAT:
        return None
    lit = (coarse > _BLACK * np.percentile(coarse, 90)).astype(np.float32)
    lit = np.asarray(cv2.erode(lit, np.ones((5, 5), np.uint8)))
    absorbed = np.log(coarse + 1)
    light = cv2.GaussianBlur(absorbed * lit, (0, 0), _LIGHT_WIDTH)
    light = light / np.maximum(cv2.GaussianBlur(lit, (0, 0), _LIGHT_WIDTH), 1e-3)
    even = (absorbed - light) * lit
    length = np.linalg.norm(even)
    return np.asarray(even / length, np.float32) if length else None


def _alike(one: NDArray[np.float32] | None, other: NDArray[np.float32] | None) -> float:
    """Return the correlation of two scenes; 0 where one shows nothing."""
    return 0.0 if one is None or other is None else float((one * other).sum())


def _is_smaller(plane: Plane, other: Plane) -> bool:
    (height, width), (full_height, full_width) = plane.pixels.shape[:2], other.pixels.shape[:2]
    shape = (width / height) / (full_width / full_height)
    return bool(width < 0.9 * full_width and 0.95 < shape < 1.05)


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn pixels by an orientation of TIFF and EXIF (tag 274); only 2 to 8 do anything."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
