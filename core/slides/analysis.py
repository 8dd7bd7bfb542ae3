"""Whole slides: tiles are planned from the header, analysed a few at a time, their cells merged.

Tiles overlap by more than a white cell, so that a cell whose centre lies in a tile's interior is
whole in that tile, and so is the classifier's crop of it. A tile hands over the cells of its
interior and of a narrow margin around it, because two tiles may see the centre of one cell on
different sides of their border. Of boxes of different tiles that overlap by more than half, the
more confident one stays, as within a tile.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from pydantic import TypeAdapter

from core.domain.boxes import Box, suppress_between_groups, xyxy_array
from core.domain.results import Cell, FieldAnalysis, FieldImage, ImageProperties, Scale
from core.domain.taxonomy import CELL_KINDS
from core.exports.schema import AnalyzedSlide, Answer
from core.imaging.scale import CONFIDENT_SCORE, RED_CELL_MICROMETRES, field_scale
from core.imaging.wsi import Slide, Tile, tile_grid
from core.inference.cell_classifier import CROP_MICROMETRES
from core.inference.pipeline import Analyzer, judge_sizes
from core.inference.quality_control import DOUBTFUL, reject_blurred
from core.inference.site_profile import SiteProfile
from core.model_card import load_card
from core.slides.quality import TileQuality, poor_area, tile_quality, usual_stain

RED_CELL_PIXELS = 40
"""Side of red cells in the detector's first forward pass over a tile: in the range that it finds
well, and small enough that the margins do not take most of a tile."""
MARGIN_MICROMETRES = CROP_MICROMETRES / 2
OVERLAP_MICROMETRES = 2.0
"""More than two tiles disagree about the centre of a cell."""
FINE_MICROMETRES = 0.15
"""Micrometres per pixel of the classifier's crop: the coarsest level as fine as this is read."""
TILES_PER_BATCH = 8
_DARKER_THAN_GLASS = 25
"""Grey levels; the palest red cells are."""
_MOST_SHOWN = 0.3
"""Proportion of the pixels of a tile that is mostly glass."""
_MOST_BESIDE_CELLS = 0.2
"""Proportion of what a tile shows that may lie outside the boxes of cells."""
_SAME_CELL_IOU = 0.5
_LIKELY = 0.5
"""A white cell with this score is never dropped for a cell of another kind."""
_ALL_GLASS = "The slide shows nothing but empty glass. Check that its stained part was scanned."


@dataclass(frozen=True, slots=True)
class SlidePlan:
    """The tiles of a slide, and what its header says."""

    slide: FieldAnalysis
    """Without cells."""
    tiles: tuple[Tile, ...]
    overlap_margin: int
    """Width in pixels of level 0 of the margin around an interior whose cells a tile hands over."""

    def tile_batches(self, done: Collection[Tile] = ()) -> Iterator[tuple[Tile, ...]]:
        """Split the tiles that are not done yet: one worker analyses a batch at a time."""
        tiles = tuple(tile for tile in self.tiles if tile not in done)
        for start in range(0, len(tiles), TILES_PER_BATCH):
            yield tiles[start : start + TILES_PER_BATCH]


@dataclass(frozen=True, slots=True)
class TileResult:
    """What was found in one tile; boxes in pixels of level 0."""

    tile: Tile
    cells: tuple[Cell, ...] = ()
    reject_reason: str | None = None
    is_glass: bool = False
    """The tile is empty and was not analysed."""
    quality: TileQuality | None = None
    """None of empty tiles, and of those that an earlier version analysed."""


TILES = TypeAdapter(tuple[TileResult, ...])
"""To and from JSON."""


def plan_slide(source: Path, name: str, profile: SiteProfile | None) -> SlidePlan:
    """Divide a slide into tiles by its header; no pixels are read. Raises DamagedSlideError."""
    tile_micrometres = load_card("detector").input_width * RED_CELL_MICROMETRES / RED_CELL_PIXELS
    with Slide(source) as slide:
        side, margin = slide.pixels(tile_micrometres), slide.pixels(MARGIN_MICROMETRES)
        scale = slide.micrometres_per_pixel
        return SlidePlan(
            slide=FieldAnalysis(
                file=name,
                sha256=slide.fingerprint,
                width=slide.width,
                height=slide.height,
                properties=_properties(slide, source),
                cells=(),
                scale=None if scale is None else Scale(scale, "file"),
                profile=None if profile is None else profile.title,
            ),
            tiles=tuple(tile_grid(slide.width, slide.height, side, margin)),
            overlap_margin=slide.pixels(OVERLAP_MICROMETRES),
        )


def analyze_tiles(
    source: Path,
    name: str,
    tiles: Iterable[Tile],
    analyze: Callable[[FieldImage], FieldAnalysis],
) -> Iterator[TileResult]:
    """Analyse tiles of a slide one by one, those of empty glass left out.

    Raises DamagedSlideError.
    """
    with Slide(source) as slide:
        level = slide.level_for(FINE_MICROMETRES)
        factor = slide.downsamples[level]
        scale = slide.micrometres_per_pixel
        overlap_margin = slide.pixels(OVERLAP_MICROMETRES)
        light = slide.light()
        for tile in tiles:
            if slide.is_glass(tile):
                yield TileResult(tile, is_glass=True)
                continue
            image = FieldImage(
                name=name,
                pixels=slide.read(tile.x, tile.y, tile.width, tile.height, level),
                sha256=slide.fingerprint,
                properties=_properties(slide, source),
                micrometres_per_pixel=None if scale is None else scale * factor,
                light=light,
            )
            found = analyze(image)
            cells = (_on_slide(cell, tile, factor) for cell in found.cells)
            own = tuple(c for c in cells if tile.holds(*c.box.centre, beyond=overlap_margin))
            quality = tile_quality(image.pixels, slide.likely_scale * factor, light)
            yield TileResult(tile, own, found.reject_reason, quality=quality)


def analyze_tile(
    analyzer: Analyzer, image: FieldImage, profile: SiteProfile | None
) -> FieldAnalysis:
    """Find the cells of a tile as those of a field, and those alone on glass.

    Quality control judges whole images, and rejects a few cells on glass as no smear. A tile that
    it rejects or doubts counts as a smear when it is sharp and mostly glass, and shows little else
    than cells.
    """
    found = analyzer.analyze(image, profile)
    passes = found.reject_reason is None and DOUBTFUL not in found.warnings
    if passes or reject_blurred(image.pixels):
        return found
    lamp = np.percentile(image.pixels, 95, axis=(0, 1))
    shown = (lamp - cv2.blur(image.pixels, (3, 3))).max(-1) > _DARKER_THAN_GLASS
    if shown.mean() > _MOST_SHOWN:
        return found
    forced = analyzer.analyze(image, profile, force=True)
    beside_cells = shown.copy()
    for cell in forced.cells:
        beside_cells[cell.box.slices] = False
    if not forced.cells or beside_cells.sum() > _MOST_BESIDE_CELLS * shown.sum():
        return found
    return replace(forced, qc_override=None)


def _on_slide(cell: Cell, tile: Tile, factor: float) -> Cell:
    """Return a tile's cell with its box in pixels of level 0."""
    box = cell.box
    x, y = tile.x + box.x * factor, tile.y + box.y * factor
    return replace(cell, box=Box(x, y, box.width * factor, box.height * factor))


def slide_answer(plan: SlidePlan, results: Iterable[TileResult]) -> Answer:
    """Return the answer of `analyze` for a slide, with the counts of its tiles as `tiles`.

    It does not depend on the order of the results.
    """
    by_tile = {result.tile: result for result in results}
    tiles = [by_tile[tile] for tile in plan.tiles if not by_tile[tile].is_glass]
    rejected = sum(tile.reject_reason is not None for tile in tiles)
    counts = {
        "analysed": len(tiles) - rejected,
        "with_cells": sum(bool(tile.cells) for tile in tiles),
        "refused": rejected,
        "glass": len(plan.tiles) - len(tiles),
    }
    return AnalyzedSlide.of(slide_analysis(plan, by_tile), tiles=counts).dump()


def slide_analysis(
    plan: SlidePlan, by_tile: Mapping[Tile, TileResult], stain: float | None = None
) -> FieldAnalysis:
    """Return what was found in the tiles that are done, as one field in pixels of level 0.

    `stain` is the `usual_stain` of the slide, where more is known than these tiles.
    """
    done = [by_tile[tile] for tile in plan.tiles if tile in by_tile]
    tiles = [result for result in done if not result.is_glass]
    if stain is None:
        stain = usual_stain(result.quality for result in tiles if result.quality is not None)
    tiles = [_with_poor_area(result, stain) for result in tiles]
    cells = sorted(
        merge_tile_detections(tiles, plan.overlap_margin),
        key=lambda c: (CELL_KINDS.index(c.kind), c.box.y, c.box.x),
    )
    reasons = Counter(tile.reject_reason for tile in tiles if tile.reject_reason is not None)
    reject_reason = None if tiles else _ALL_GLASS
    if tiles and reasons.total() == len(tiles):
        reject_reason = reasons.most_common(1)[0][0]
    checked = field_scale(
        None if plan.slide.scale is None else plan.slide.scale.micrometres_per_pixel,
        (plan.slide.width, plan.slide.height),
        (c.box for c in cells if c.kind == "rbc" and c.detection_score >= CONFIDENT_SCORE),
        (c.box for c in cells if c.kind == "wbc"),
    )
    judged, warnings = judge_sizes(cells, checked)
    return replace(
        plan.slide,
        cells=judged,
        scale=checked.scale,
        reject_reason=reject_reason,
        warnings=(*plan.slide.warnings, *warnings),
    )


def _with_poor_area(result: TileResult, stain: float | None) -> TileResult:
    """Mark the white cells of a tile that is poor."""
    why = None if result.quality is None else poor_area(result.quality, stain)
    if why is None:
        return result
    cells = (replace(c, poor_area=why) if c.kind == "wbc" else c for c in result.cells)
    return replace(result, cells=tuple(cells))


def merge_tile_detections(results: Iterable[TileResult], overlap_margin: int) -> list[Cell]:
    """Return the cells of all tiles, each once.

    Only boxes closer than the margin to the border of their tile's interior are compared: where
    boxes of two tiles overlap by more than half, both are.
    """
    merged: list[Cell] = []
    at_border: list[tuple[Tile, Cell]] = []
    for result in results:
        interior = Box.from_xyxy(*result.tile.interior)
        for cell in result.cells:
            if cell.box.margin_within(interior) > overlap_margin:
                merged.append(cell)
            else:
                at_border.append((result.tile, cell))
    at_border.sort(key=lambda item: _order(item[1]))
    kept = suppress_between_groups(
        xyxy_array(cell.box for _, cell in at_border),
        [tile for tile, _ in at_border],
        max_iou=_SAME_CELL_IOU,
    )
    return merged + [at_border[index][1] for index in kept]


def _order(cell: Cell) -> tuple[bool, float]:
    """Return the key to sort boxes by: likely white cells first, then the more confident ones."""
    is_likely_white = cell.kind == "wbc" and cell.detection_score >= _LIKELY
    return not is_likely_white, -cell.detection_score


def _properties(slide: Slide, source: Path) -> ImageProperties:
    return ImageProperties(
        format=slide.format,
        mode="RGB",
        bit_depth=8,
        file_bytes=source.stat().st_size,
        frames=len(slide.downsamples),
    )
