"""Slides among the files of a batch: their pieces handed out, the results put together.

Two tiles may both hand over a cell at their border. Of boxes of different tiles that overlap by
more than half, the surer one stays, as within a tile.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from core.batch.journal import Journal
from core.batch.tiles import Piece, PieceResult, SlidePlan, TileResult
from core.batch.work import Step, Task
from core.domain.boxes import Box, suppress_between_groups, xyxy_array
from core.domain.results import Cell, FailedFile
from core.domain.taxonomy import CELL_KINDS
from core.exports.answers import Answer, field_answer
from core.imaging.scale import CONFIDENT_SCORE, field_scale
from core.imaging.wsi import Tile
from core.inference.pipeline import judge_sizes

_SEAM_IOU = 0.5
_LIKELY = 0.5
"""A white cell with this score does not go for a cell of another kind."""
_ALL_GLASS = "The slide shows nothing but empty glass. Check that its stained part was scanned."


@dataclass(slots=True)
class _SlideUnderWay:
    plan: SlidePlan
    results: dict[Tile, TileResult]

    @property
    def is_done(self) -> bool:
        return len(self.results) == len(self.plan.tiles)


class Tasks(Iterator[tuple[int, Task]]):
    """The tasks of a batch with the place of their file: the files, and pieces of slides.

    There may be more after there were none: a slide that was planned has pieces, which come first.
    """

    def __init__(self, journal: Journal, paths: Iterable[Path]) -> None:
        """Give out what the journal does not hold already."""
        self._journal = journal
        self._files = journal.pending(paths)
        self._pieces: deque[tuple[int, Piece]] = deque()
        self._slides: dict[int, _SlideUnderWay] = {}
        self._failed: set[int] = set()

    def __next__(self) -> tuple[int, Task]:
        """Return a task and its place. Raises StopIteration when there is none now."""
        return self._pieces.popleft() if self._pieces else next(self._files)

    def take(self, place: int, step: Step | FailedFile) -> tuple[Answer, ...] | FailedFile | None:
        """Return what is known of a file after a step, or None when more steps are to come.

        Pieces of slides are written to the journal, answers are not. The failure of one piece is
        that of its slide; what comes of its other pieces is dropped. Raises BatchError when the
        disk takes no more.
        """
        if place in self._failed:
            return None
        if isinstance(step, SlidePlan):
            tiles = set(step.tiles)
            kept = {done.tile: done for done in self._journal.tiles(place) if done.tile in tiles}
            self._slides[place] = _SlideUnderWay(step, kept)
            self._pieces.extend((place, piece) for piece in step.pieces(kept))
        elif isinstance(step, PieceResult):
            self._journal.add_piece(place, step)
            self._slides[place].results |= {done.tile: done for done in step.tiles}
        else:
            if self._slides.pop(place, None):
                self._failed.add(place)
                self._pieces = deque(item for item in self._pieces if item[0] != place)
            return step
        if not self._slides[place].is_done:
            return None
        slide = self._slides.pop(place)
        return (slide_answer(slide.plan, slide.results.values()),)

    def progress(self) -> str:
        """Say how many tiles of the slides under way are done; nothing when there are none."""
        done = sum(len(slide.results) for slide in self._slides.values())
        total = sum(len(slide.plan.tiles) for slide in self._slides.values())
        return f"{done} of {total} tiles" if total else ""


def slide_answer(plan: SlidePlan, results: Iterable[TileResult]) -> Answer:
    """Return what `analyze` says of a slide, with the count of its tiles as `tiles`.

    It does not depend on the order of the results.
    """
    by_tile = {result.tile: result for result in results}
    tiles = [by_tile[tile] for tile in plan.tiles]
    cells = sorted(
        settle_seams(tiles, plan.band), key=lambda c: (CELL_KINDS.index(c.kind), c.box.y, c.box.x)
    )
    reasons = Counter(tile.reject_reason for tile in tiles if tile.reject_reason is not None)
    refused = None
    if not tiles:
        refused = _ALL_GLASS
    elif reasons.total() == len(tiles):
        refused = reasons.most_common(1)[0][0]
    checked = field_scale(
        None if plan.slide.scale is None else plan.slide.scale.micrometres_per_pixel,
        (plan.slide.width, plan.slide.height),
        (c.box for c in cells if c.kind == "rbc" and c.detection_score >= CONFIDENT_SCORE),
        (c.box for c in cells if c.kind == "wbc"),
    )
    judged, warnings = judge_sizes(cells, checked)
    slide = replace(
        plan.slide, cells=judged, scale=checked.scale, reject_reason=refused, warnings=warnings
    )
    return field_answer(slide) | {
        "tiles": {
            "analysed": len(tiles) - reasons.total(),
            "with_cells": sum(bool(tile.cells) for tile in tiles),
            "refused": reasons.total(),
            "glass": plan.glass,
        }
    }


def settle_seams(results: Iterable[TileResult], band: int) -> list[Cell]:
    """Return the cells of all tiles, each once.

    Looks only at boxes that come within the band of their core's border: boxes of two tiles that
    overlap by more than half do.
    """
    settled: list[Cell] = []
    disputed: list[tuple[Tile, Cell]] = []
    for result in results:
        core = Box.from_xyxy(*result.tile.core)
        for cell in result.cells:
            if cell.box.margin_within(core) > band:
                settled.append(cell)
            else:
                disputed.append((result.tile, cell))
    disputed.sort(key=lambda item: (not _is_likely_white(item[1]), -item[1].detection_score))
    kept = suppress_between_groups(
        xyxy_array(cell.box for _, cell in disputed),
        [tile for tile, _ in disputed],
        max_iou=_SEAM_IOU,
    )
    return settled + [disputed[index][1] for index in kept]


def _is_likely_white(cell: Cell) -> bool:
    return cell.kind == "wbc" and cell.detection_score >= _LIKELY
