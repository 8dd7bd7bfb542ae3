"""How good a part of a slide is to judge cells in: focus, stain and density of cells.

All parts are measured on images of one resolution, so that tiles which were analysed compare with
those that were only looked at.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from core.domain.results import Pixels
from core.imaging.illumination import GLASS, flatten
from core.imaging.wsi import Tile

MICROMETRES = 0.5
"""Micrometres per pixel of the image that is measured. At 1 µm sharp and soft edges look alike."""
_LEAST_COVERED = 0.02
"""Share that cells must cover for focus and stain to be measured."""
_DARKER_THAN_GLASS = 12
"""Grey levels. Less than for finding cells: pale ones are to be measured too."""
_STEEPEST = 98
"""Percentile of the slopes at the edges of cells."""
SHARP, SOFT, BLURRED = "sharp", "soft", "blurred"
_SOFT_FROM, _BLURRED_FROM = 2.1, 2.6
"""Width of edges in µm. Of 30 sharp fields of five sources all have 1.1 to 2.3. Blurred with a
sigma of 0.75 µm, where the classifier types half of the cells otherwise, they have 2.2 to 3.9."""
PALE, USUAL, DARK = "pale", "usual", "dark"
_PALE_BELOW, _DARK_ABOVE = 0.6, 1.6
"""Optical density of the stained parts, as a share of the slide's median."""
SPARSE, MONOLAYER, CROWDED = "sparse", "monolayer", "crowded"
_SPARSE_BELOW, _CROWDED_ABOVE = 0.1, 0.8
_POOR = (BLURRED, PALE, DARK, CROWDED)
_MOST_SAMPLES = 400


@dataclass(frozen=True, slots=True)
class TileQuality:
    """Measures of a part of a slide."""

    edge: float | None
    """Width of the edges of cells in µm; None where there are too few cells to tell."""
    stain: float | None
    """Median optical density of what is stained; None where hardly anything is."""
    covered: float
    """Share that cells cover."""


def tile_quality(
    pixels: Pixels, micrometres_per_pixel: float, light: NDArray[np.float32]
) -> TileQuality:
    """Measure a part of a slide, at most 0.5 µm a pixel; `light` is the slide's."""
    factor = micrometres_per_pixel / MICROMETRES
    scaled = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    lit = flatten(np.asarray(scaled, np.uint8), light)
    darkest = cv2.blur(lit.min(axis=-1), (3, 3))
    stained = darkest < GLASS - _DARKER_THAN_GLASS
    covered = float(stained.mean())
    if covered < _LEAST_COVERED:
        return TileQuality(None, None, covered)
    around = cv2.dilate(stained.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    green = lit[..., 1].astype(np.float32)
    across, down = (cv2.Sobel(green, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0))
    low, high = np.percentile(green[around], [2, 98])
    steepest = float(np.percentile(np.hypot(across, down)[around], _STEEPEST))
    density = -np.log10(np.maximum(darkest[stained], 1.0) / GLASS)
    return TileQuality(
        edge=float((high - low) / max(steepest, 0.1)) * MICROMETRES,
        stain=float(np.median(density)),
        covered=covered,
    )


def usual_stain(measured: Iterable[TileQuality]) -> float | None:
    """Return the stain that parts of a slide are compared with: the median of those measured."""
    stains = [quality.stain for quality in measured if quality.stain is not None]
    return median(stains) if stains else None


def grades(quality: TileQuality, usual: float | None) -> tuple[str, str, str]:
    """Return focus, stain and density in words; empty where they cannot be told.

    `usual` is the `usual_stain` of the slide.
    """
    focus = stain = ""
    if quality.edge is not None:
        soft = SOFT if quality.edge < _BLURRED_FROM else BLURRED
        focus = SHARP if quality.edge < _SOFT_FROM else soft
    if quality.stain is not None and usual:
        share = quality.stain / usual
        strong = DARK if share > _DARK_ABOVE else USUAL
        stain = PALE if share < _PALE_BELOW else strong
    dense = CROWDED if quality.covered > _CROWDED_ABOVE else MONOLAYER
    return focus, stain, SPARSE if quality.covered < _SPARSE_BELOW else dense


def poor_area(quality: TileQuality, usual: float | None) -> str | None:
    """Return why types cannot be relied on here, such as `blurred, pale`; None where they can."""
    return ", ".join(grade for grade in grades(quality, usual) if grade in _POOR) or None


def survey(
    tiles: Sequence[Tile], measure: Callable[[Tile], TileQuality]
) -> dict[Tile, TileQuality]:
    """Measure at most 400 tiles, evenly spread; those around each have its values."""
    rows = {top: n for n, top in enumerate(sorted({tile.interior[1] for tile in tiles}))}
    columns = {left: n for n, left in enumerate(sorted({tile.interior[0] for tile in tiles}))}
    side = max(1, ceil(sqrt(len(tiles) / _MOST_SAMPLES)))
    blocks: dict[tuple[int, int], list[Tile]] = {}
    for tile in tiles:
        key = rows[tile.interior[1]] // side, columns[tile.interior[0]] // side
        blocks.setdefault(key, []).append(tile)
    found = {}
    for block in blocks.values():
        quality = measure(block[len(block) // 2])
        found.update(dict.fromkeys(block, quality))
    return found
