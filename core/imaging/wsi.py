"""Whole slides: pyramids of many gigapixels, of which regions are read and never the whole.

OpenSlide (Goode et al. 2013, J Pathol Inform 4:27; https://openslide.org) reads the formats of the
scanners and tiled TIFF. Coordinates are pixels of level 0, the finest, origin top left.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray
from openslide import OpenSlide, OpenSlideError
from PIL import Image

from core.domain.results import Pixels
from core.errors import DamagedSlideError
from core.imaging.scale import microscope_scale, ome_scale
from core.settings import Settings, get_settings

SLIDE_SUFFIXES = frozenset({".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".svslide", ".czi"})
"""Usual endings of slides in one file, beside those of TIFF; for picking files out of folders."""

_PLAIN_TIFF = "generic-tiff"
_DICOM = "dicom"
_ASSUMED_SCALE = 0.1
"""Micrometres per pixel where neither scale nor objective is known: of 100x, so that no margin
comes out too narrow."""
_OVERVIEW_SCALE = 4.0
"""Micrometres per pixel at which glass is distinguished from cells: half a red cell."""
_SAMPLE_SIDE, _SAMPLES_ACROSS, _GLASS_PERCENTILE = 128, 5, 95
"""The glass is the brightest twentieth of a grid of samples, 128 overview pixels a side."""
_GLASS_DEVIATION = 3.0
"""Grey levels: what varies less is empty glass. A quarter of one white cell makes 4 and more."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle to analyse and its interior: interiors cover a slide without overlap."""

    x: int
    y: int
    width: int
    height: int
    interior: tuple[int, int, int, int]
    """Left, top, right, bottom."""

    def holds(self, x: float, y: float, beyond: float = 0) -> bool:
        """Return whether a point is in the interior, or less than `beyond` pixels outside it."""
        left, top, right, bottom = self.interior
        return left - beyond <= x < right + beyond and top - beyond <= y < bottom + beyond


def is_slide(path: Path, settings: Settings | None = None) -> bool:
    """Return by content whether a file is read as a slide.

    It is when it has a scanner's format, or is a tiled TIFF over the limits of single images.
    DICOM is not: its slides lie in many files, each of which OpenSlide takes for the whole.
    """
    kind = OpenSlide.detect_format(path)
    if kind != _PLAIN_TIFF:
        return kind not in (None, _DICOM)
    settings = settings or get_settings()
    if path.stat().st_size > settings.max_file_megabytes * 1_000_000:
        return True
    try:
        with Slide(path) as slide:
            return slide.width * slide.height > settings.max_megapixels * 1_000_000
    except DamagedSlideError:
        return False


class Slide:
    """An open slide. After a read that failed, OpenSlide refuses all others."""

    def __init__(self, path: Path) -> None:
        """Open a slide. Raises DamagedSlideError."""
        try:
            self._slide = OpenSlide(path)
        except OpenSlideError as error:
            raise DamagedSlideError from error
        properties = self._slide.properties
        self.format: str = properties["openslide.vendor"]
        self.width, self.height = self._slide.dimensions
        self.downsamples: tuple[float, ...] = self._slide.level_downsamples
        """Of every level; 1 of the first."""
        self.fingerprint: str = properties.get("openslide.quickhash-1", "")
        """SHA-256 of the coarsest level and the header, as a slide's own is too long to take."""
        self.micrometres_per_pixel = _scale(properties)
        """Of level 0; None when the file does not say."""
        self.likely_scale = self.micrometres_per_pixel or _expected_scale(properties)
        """The same where the file does not say, by the objective."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._slide.close()

    def pixels(self, micrometres: float) -> int:
        """Return a length in pixels of level 0, by the likeliest scale when none is known."""
        return max(1, round(micrometres / self.likely_scale))

    def level_for(self, micrometres_per_pixel: float) -> int:
        """Return the coarsest level that is at least this fine; level 0 when none is."""
        wanted = 1.01 * micrometres_per_pixel / self.likely_scale  # factors are not quite whole
        return max((n for n, factor in enumerate(self.downsamples) if factor <= wanted), default=0)

    def read(self, x: int, y: int, width: int, height: int, level: int = 0) -> Pixels:
        """Return a region of level 0 as RGB, at the resolution of a level.

        White where the scanner saw nothing, and beyond the slide. Raises DamagedSlideError.
        """
        factor = self.downsamples[level]
        size = max(1, round(width / factor)), max(1, round(height / factor))
        try:
            region = self._slide.read_region((x, y), level, size)
        except OpenSlideError as error:
            raise DamagedSlideError from error
        if region.getchannel("A").getextrema() != (255, 255):
            region = Image.alpha_composite(Image.new("RGBA", size, "white"), region)
        return np.asarray(region.convert("RGB"), np.uint8)

    def light(self) -> NDArray[np.float32]:
        """Return the colour of the slide's glass as a background for `flatten`, 1 x 1 x 3.

        It is the same for all tiles, so that a cell on a seam looks alike in both. Raises
        DamagedSlideError.
        """
        level = self.level_for(_OVERVIEW_SCALE)
        side = min(round(_SAMPLE_SIDE * self.downsamples[level]), self.width, self.height)
        rows, columns = (
            np.linspace(0, length - side, _SAMPLES_ACROSS).astype(int).tolist()
            for length in (self.height, self.width)
        )
        samples = [self.read(x, y, side, side, level).reshape(-1, 3) for y in rows for x in columns]
        glass = np.percentile(np.concatenate(samples), _GLASS_PERCENTILE, axis=0)
        return glass.astype(np.float32).reshape(1, 1, 3)

    def is_glass(self, tile: Tile) -> bool:
        """Return on a coarse level whether a tile is empty glass. Raises DamagedSlideError."""
        left, top, right, bottom = tile.interior
        level = self.level_for(_OVERVIEW_SCALE)
        coarse = self.read(left, top, right - left, bottom - top, level)
        return float(np.std(cv2.cvtColor(coarse, cv2.COLOR_RGB2GRAY))) < _GLASS_DEVIATION


def tile_grid(width: int, height: int, side: int, margin: int) -> Iterator[Tile]:
    """Cut a slide into tiles of `side` pixels whose interiors lie `margin` inside; row by row.

    At the slide's edges tiles reach farther in, so that all have one size.
    """
    across, down = min(side, width), min(side, height)
    columns = _cuts(width, side - 2 * margin)
    for top, bottom in _cuts(height, side - 2 * margin):
        y = min(max(top - margin, 0), height - down)
        for left, right in columns:
            x = min(max(left - margin, 0), width - across)
            yield Tile(x, y, across, down, (left, top, right, bottom))


def _cuts(length: int, longest: int) -> list[tuple[int, int]]:
    """Cut a length into the fewest parts of at most `longest`, equal within a pixel."""
    number = math.ceil(length / longest)
    return [(i * length // number, (i + 1) * length // number) for i in range(number)]


def _scale(properties: Mapping[str, str]) -> float | None:
    """Return micrometres per pixel if a microscope can have given them."""
    across = _number(properties.get("openslide.mpp-x"))
    if across is None:
        return ome_scale(properties.get("tiff.ImageDescription", ""))
    return microscope_scale((across, across))


def _expected_scale(properties: Mapping[str, str]) -> float:
    """Return the micrometres per pixel that the objective makes likely: 10 by its power."""
    power = _number(properties.get("openslide.objective-power"))
    return 10 / power if power else _ASSUMED_SCALE


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
