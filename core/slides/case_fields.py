"""The counted parts of a slide as fields of a case: images, and the cells in each.

A field is a block of tiles. Blocks do not overlap, so that each cell is in one of them; the image
reaches a little farther, so that every cell is whole in it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from core.domain.boxes import Box
from core.domain.results import Cell, FieldAnalysis, FieldImage, ImageProperties
from core.errors import SlideTooLargeError
from core.imaging.wsi import Tile
from core.slides.origin import field_name
from core.slides.tiles import SlideView

MOST_FIELDS = 300
_TILES = 4
"""Tiles of a block, across and down."""
_MARGIN_MICROMETRES = 5.0

Rectangle = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True, slots=True, eq=False)
class CaseField:
    """A part of a slide as a field of a case."""

    image: FieldImage
    analysis: FieldAnalysis
    numbers: tuple[int, ...]
    """Of its cells in the analysis of the slide, from 1, in their order in the field."""


def case_fields(
    view: SlideView, analysis: FieldAnalysis, counted: Iterable[Tile], grid: Iterable[Tile]
) -> list[CaseField]:
    """Return the blocks of a slide that have white cells, with the cells of each.

    `analysis` has the cells of the whole slide, `counted` are the tiles that they were found in,
    of the slide's `grid`. Raises SlideTooLargeError for too many blocks, DamagedSlideError.
    """
    blocks = _blocks(counted, grid)
    cells: dict[tuple[int, int], dict[int, Cell]] = {}
    for number, cell in enumerate(analysis.cells, 1):
        cells.setdefault(_block_of(cell.box, blocks), {})[number] = cell
    kept = {
        key: own for key, own in cells.items() if any(cell.kind == "wbc" for cell in own.values())
    }
    if len(kept) > MOST_FIELDS:
        raise SlideTooLargeError(len(kept), MOST_FIELDS)
    return [_field(view, analysis, blocks[key], own) for key, own in sorted(kept.items())]


def _blocks(counted: Iterable[Tile], grid: Iterable[Tile]) -> dict[tuple[int, int], Rectangle]:
    """Return the rectangles that the counted tiles of every block fill."""
    tiles = list(grid)
    rows = {top: n for n, top in enumerate(sorted({tile.interior[1] for tile in tiles}))}
    columns = {left: n for n, left in enumerate(sorted({tile.interior[0] for tile in tiles}))}
    blocks: dict[tuple[int, int], Rectangle] = {}
    for tile in counted:
        key = rows[tile.interior[1]] // _TILES, columns[tile.interior[0]] // _TILES
        blocks[key] = _around(blocks.get(key, tile.interior), tile.interior)
    return blocks


def _block_of(box: Box, blocks: Mapping[tuple[int, int], Rectangle]) -> tuple[int, int]:
    """Return the block that holds the middle of a cell, or is nearest to it."""
    x, y = box.centre

    def distance(key: tuple[int, int]) -> float:
        left, top, right, bottom = blocks[key]
        return max(left - x, x - right, 0) + max(top - y, y - bottom, 0)

    return min(blocks, key=distance)


def _field(
    view: SlideView, slide: FieldAnalysis, block: Rectangle, cells: Mapping[int, Cell]
) -> CaseField:
    margin = _MARGIN_MICROMETRES / (view.micrometres_per_pixel or 0.1)
    for cell in cells.values():
        x, y, width, height = cell.box.xywh
        block = _around(block, (x, y, x + width, y + height))
    left, top = (max(0, round(side - margin)) for side in block[:2])
    right = min(view.width, round(block[2] + margin))
    bottom = min(view.height, round(block[3] + margin))
    pixels = view.region(left, top, right - left, bottom - top, 1)
    height, width = pixels.shape[:2]
    checksum = hashlib.sha256(pixels.tobytes()).hexdigest()
    name = field_name(slide.file, left, top)
    properties = ImageProperties(
        format=slide.properties.format,
        mode="RGB",
        bit_depth=8,
        file_bytes=pixels.nbytes,
        frames=1,
    )
    image = FieldImage(
        name=name,
        pixels=pixels,
        sha256=checksum,
        properties=properties,
        micrometres_per_pixel=view.micrometres_per_pixel,
    )
    found = replace(
        slide,
        file=name,
        sha256=checksum,
        width=width,
        height=height,
        properties=properties,
        cells=tuple(_moved(cell, left, top, width, height) for cell in cells.values()),
    )
    return CaseField(image, found, tuple(cells))


def _moved(cell: Cell, left: int, top: int, width: int, height: int) -> Cell:
    """Return a cell with its box in pixels of its field, cut at the edge of the slide."""
    x, y, across, down = cell.box.xywh
    x1, y1 = max(0.0, x - left), max(0.0, y - top)
    x2, y2 = min(float(width), x - left + across), min(float(height), y - top + down)
    return replace(cell, box=Box.from_xyxy(x1, y1, x2, y2))


def _around(one: Rectangle, other: Rectangle) -> Rectangle:
    return (
        min(one[0], other[0]),
        min(one[1], other[1]),
        max(one[2], other[2]),
        max(one[3], other[3]),
    )
