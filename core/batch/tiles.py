"""What a worker does with a slide: plans its tiles, analyses a few of them at a time.

Tiles overlap by more than a white cell, so that a cell whose centre lies in a tile's core is whole
in that tile, and so is the classifier's crop of it. A tile hands over the cells of its core and of
a narrow band around it: two tiles may see the centre of one cell on different sides of their
border. `core.batch.slides` then takes every cell once.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from core.batch.discover import shown
from core.domain.boxes import Box
from core.domain.results import Cell, FieldAnalysis, FieldImage, ImageProperties, Pixels, Scale
from core.imaging.scale import RED_CELL_MICROMETRES
from core.imaging.wsi import Slide, Tile, tile_grid
from core.inference.cell_classifier import CROP_MICROMETRES
from core.inference.pipeline import Analyzer
from core.inference.quality_control import DOUBTFUL, refuse_blurred
from core.inference.site_profile import SiteProfile

RED_CELL_PIXELS = 40
"""Side of red cells in the detector's first look at a tile: in the range that it finds well, and
small enough that the margins do not take most of a tile."""
MARGIN_MICROMETRES = CROP_MICROMETRES / 2
BAND_MICROMETRES = 2.0
"""More than two tiles disagree about the centre of a cell."""
FINE_MICROMETRES = 0.15
"""Micrometres per pixel of the classifier's crop: the coarsest level as fine as this is read."""
TILES_A_PIECE = 8
_DARKER_THAN_GLASS = 25
"""Grey levels; the palest red cells are."""
_MOST_SHOWN = 0.3
"""Share of a tile that is mostly glass."""
_MOST_BESIDE_CELLS = 0.2
"""Share of what a tile shows that may lie outside the boxes of cells."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some tiles of a slide: what one worker does at a time."""

    path: Path
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class SlidePlan:
    """What there is to do for a slide, and what is known of it before."""

    path: Path
    slide: FieldAnalysis
    """Without cells."""
    tiles: tuple[Tile, ...]
    """Those that show anything."""
    glass: int
    """How many tiles are empty glass."""
    band: int
    """Width in pixels of level 0 of the band around a core."""

    def pieces(self, done: Collection[Tile] = ()) -> list[Piece]:
        """Split the work that is not done yet."""
        tiles = tuple(tile for tile in self.tiles if tile not in done)
        starts = range(0, len(tiles), TILES_A_PIECE)
        return [Piece(self.path, tiles[start : start + TILES_A_PIECE]) for start in starts]


@dataclass(frozen=True, slots=True)
class TileResult:
    """What was found in one tile; boxes in pixels of level 0."""

    tile: Tile
    cells: tuple[Cell, ...]
    reject_reason: str | None


@dataclass(frozen=True, slots=True)
class PieceResult:
    """What was found in the tiles of a piece."""

    tiles: tuple[TileResult, ...]


def plan_slide(source: Path, path: Path, first_side: int, profile: SiteProfile | None) -> SlidePlan:
    """Look at a slide from afar: which of its tiles show anything.

    `first_side` is the detector's, in pixels of the network. Raises DamagedSlideError.
    """
    with Slide(source) as slide:
        side = slide.pixels(first_side * RED_CELL_MICROMETRES / RED_CELL_PIXELS)
        margin = slide.pixels(MARGIN_MICROMETRES)
        tiles = list(tile_grid(slide.width, slide.height, side, margin))
        filled = tuple(tile for tile in tiles if not slide.is_glass(tile))
        scale = slide.micrometres_per_pixel
        return SlidePlan(
            path=path,
            slide=FieldAnalysis(
                file=shown(path),
                sha256=slide.fingerprint,
                width=slide.width,
                height=slide.height,
                properties=_properties(slide, source),
                cells=(),
                scale=None if scale is None else Scale(scale, "file"),
                profile=None if profile is None else profile.title,
            ),
            tiles=filled,
            glass=len(tiles) - len(filled),
            band=slide.pixels(BAND_MICROMETRES),
        )


def analyze_piece(
    source: Path, piece: Piece, analyze: Callable[[FieldImage], FieldAnalysis]
) -> PieceResult:
    """Analyse the tiles of a piece one by one. Raises DamagedSlideError."""
    results = []
    with Slide(source) as slide:
        level = slide.level_for(FINE_MICROMETRES)
        factor = slide.downsamples[level]
        scale = slide.micrometres_per_pixel
        band = slide.pixels(BAND_MICROMETRES)
        for tile in piece.tiles:
            image = FieldImage(
                name=shown(piece.path),
                pixels=slide.read(tile.x, tile.y, tile.width, tile.height, level),
                sha256=slide.fingerprint,
                properties=_properties(slide, source),
                micrometres_per_pixel=None if scale is None else scale * factor,
            )
            found = analyze(image)
            cells = (_on_slide(cell, tile, factor) for cell in found.cells)
            own = tuple(cell for cell in cells if tile.holds(*cell.box.centre, beyond=band))
            results.append(TileResult(tile, own, found.reject_reason))
    return PieceResult(tuple(results))


def analyze_tile(
    analyzer: Analyzer, image: FieldImage, profile: SiteProfile | None
) -> FieldAnalysis:
    """Find the cells of a tile as those of a field, and those that lie alone on glass.

    The input gate judges whole pictures and takes a few cells on glass for no smear. A tile that it
    refuses or doubts is taken for a smear when it is sharp and mostly glass, and cells are nearly
    all that it shows.
    """
    found = analyzer.analyze(image, profile)
    passes = found.reject_reason is None and DOUBTFUL not in found.warnings
    if passes or refuse_blurred(image.pixels):
        return found
    shown = _not_glass(image.pixels)
    if shown.mean() > _MOST_SHOWN:
        return found
    anyway = analyzer.analyze(image, profile, anyway=True)
    beside_cells = shown.copy()
    for cell in anyway.cells:
        box = cell.box
        rows = slice(int(box.y), ceil(box.y + box.height))
        beside_cells[rows, int(box.x) : ceil(box.x + box.width)] = False
    if not anyway.cells or beside_cells.sum() > _MOST_BESIDE_CELLS * shown.sum():
        return found
    return replace(anyway, qc_override=None)


def _not_glass(pixels: Pixels) -> NDArray[np.bool_]:
    """Return which pixels are darker in any colour than the brightest part of a tile."""
    lamp = np.percentile(pixels, 95, axis=(0, 1))
    return np.asarray((lamp - cv2.blur(pixels, (3, 3))).max(-1) > _DARKER_THAN_GLASS)


def _on_slide(cell: Cell, tile: Tile, factor: float) -> Cell:
    """Return a tile's cell with its box in pixels of level 0."""
    box = cell.box
    x, y = tile.x + box.x * factor, tile.y + box.y * factor
    return replace(cell, box=Box(x, y, box.width * factor, box.height * factor))


def _properties(slide: Slide, source: Path) -> ImageProperties:
    return ImageProperties(
        format=slide.format,
        mode="RGB",
        bit_depth=8,
        file_bytes=source.stat().st_size,
        frames=len(slide.downsamples),
    )
