"""A count of white cells in a slide: in the background, tile by tile along a battlement path.

A look at low power comes first: it separates glass and thick parts from the area worth counting.
The path goes through that area in bands, up and down column by column, as a differential is counted
by hand, so that it meets the edges and the middle of the smear alike. It ends with enough white
cells.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from threading import Lock, Thread

import numpy as np

from core.cases.records import User
from core.domain.differential import differential
from core.domain.results import Cell, FailedFile, FieldAnalysis, Pixels
from core.domain.taxonomy import LEUKOCYTES
from core.errors import BatchError, CaseError, ModelError
from core.imaging.wsi import Tile
from core.inference.tasks import or_failure
from core.slides.analysis import TileResult, plan_slide, slide_analysis
from core.slides.count_store import CountStore, SlideLabel
from core.slides.folders import SlideFile
from core.slides.quality import MICROMETRES, TileQuality, survey, tile_quality, usual_stain
from core.slides.tiles import SlideView

TARGETS = (100, 200, 400)
GLASS, THICK, COUNTABLE = "glass", "thick", "countable"
COUNTED, REJECTED = "counted", "rejected"
"""States of a tile: the first three by low power, the last two after its analysis."""
_MICROMETRES_AT_LOW_POWER = 4.0
_PIXELS_WITHOUT_SCALE = 4096
_LEAST_COVERED, _MOST_COVERED = 0.03, 0.75
"""Shares of a tile that cells cover: below there is glass, above cells lie on each other."""
_DARKER_THAN_GLASS = 25
_BAND = 4
"""Rows of tiles that the path goes up and down in."""
_WHOLE_TILES = 2000
"""Tiles whose red cells and platelets are kept; those of all would fill the memory."""
_QUIET, _LONGEST_WAIT = 0.25, 2.0
"""Seconds after the last tile that was read for a screen, and the most that is waited for them."""
_GROWTH = 1.05
"""A count is put together again when its tiles became this many times more."""

Analyze = Callable[[Iterator[Tile]], Iterator[TileResult]]
"""Analyses tiles, which it takes when it is free for them, in any order."""

_working = Lock()
"""One count of the process works at a time; others wait."""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """What a count found at one time, as one field in pixels of level 0."""

    model: FieldAnalysis
    """Before any review."""
    labels: tuple[tuple[int, SlideLabel], ...]
    """All labels in the order of the decisions, each with the number of its cell in `model`."""
    analysis: FieldAnalysis
    """The same cells as the reviewers named them."""


class SlideCount:
    """A count in one slide. It can be stopped and goes on where it was.

    Reviewers name cells of it before it is saved; all who look at the slide see their labels.
    """

    def __init__(  # noqa: PLR0913 - who analyses, and who keeps what
        self,
        slide: SlideFile,
        view: SlideView,
        analyze: Analyze,
        store: CountStore | None = None,
        models: Mapping[str, str] | None = None,
        *,
        cluster: Analyze | None = None,
    ) -> None:
        """Plan a count, with what the store has of it; nothing is analysed.

        `models` are the versions of those behind `analyze`. With a cluster, which raises
        BatchError or ModelError, `analyze` is called only when the cluster fails. Raises
        DamagedSlideError, CaseError.
        """
        self._analyze, self._cluster = analyze, cluster
        self._store, self._models = store, models or {}
        self.is_kept = store is not None
        """Whether a restart of the server leaves the count as it is."""
        self.slide, self._view = slide, view
        plan = plan_slide(view.path, slide.name, None)
        notes = tuple(filter(None, [view.planes.note]))
        self._plan = replace(plan, slide=replace(plan.slide, warnings=notes))
        self.areas = areas(view, self._plan.tiles)
        """Every tile with `GLASS`, `THICK` or `COUNTABLE`."""
        self.path = battlement([tile for tile, area in self.areas.items() if area == COUNTABLE])
        self._surveyed: dict[Tile, TileQuality] = {}
        self._results: dict[Tile, TileResult] = {}
        self._lock, self._storing = Lock(), Lock()
        self._thread: Thread | None = None
        self._stopped = False
        self._began = self._seconds = 0.0
        self._counted_now = 0
        self._known: tuple[int, FieldAnalysis] = (0, replace(self._plan.slide, cells=()))
        results, labels = store.load(self._models) if store else ((), [])
        planned = frozenset(self._plan.tiles)
        self._results |= {found.tile: found for found in results if found.tile in planned}
        self._labels = tuple(labels)
        self._relabelled = 0
        self._snapshot: tuple[object, Snapshot] | None = None
        self.error: str | None = None
        self.cluster_error: str | None = None
        """Why the cluster does not analyse the tiles of this run."""
        self.target: int | None = None
        """White cells that are enough; None for the whole area."""

    @property
    def running(self) -> bool:
        """Whether tiles are analysed now, or wait for another count."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def is_on_cluster(self) -> bool:
        """Whether the cluster analyses the tiles, not this machine."""
        return self._cluster is not None and self.cluster_error is None

    @property
    def done(self) -> int:
        """Tiles that were analysed."""
        return len(self._results)

    @property
    def reds_left_out(self) -> bool:
        """Whether of some tiles only white cells are kept."""
        return self.done > _WHOLE_TILES

    @property
    def counted_tiles(self) -> list[Tile]:
        """Tiles that were analysed and not rejected."""
        with self._lock:
            return [
                tile
                for tile, result in self._results.items()
                if not result.is_glass and result.reject_reason is None
            ]

    @property
    def seconds_left(self) -> float | None:
        """Time until the end, by the pace so far; None before the first tiles."""
        if not self._counted_now:
            return None
        tiles = float(len(self.path) - self.done)
        counted = self._counted_in_tiles()
        if self.target and counted:
            tiles = min(tiles, max(0, self.done * (self.target - counted) / counted))
        return tiles * self._seconds / self._counted_now

    @property
    def version(self) -> str:
        """Changes whenever `analysis` does."""
        return f"{self._known[0]}-{self.running:d}-{self._relabelled}-{bool(self._surveyed):d}"

    def is_labelled_by(self, user: User) -> bool:
        """Return whether the user can take a label back."""
        return any(label.user == user for label in self._labels)

    @property
    def has_labels(self) -> bool:
        """Whether reviewers named cells."""
        return bool(self._labels)

    def states(self) -> list[str]:
        """Return the state of every tile, in the order of `areas`."""
        with self._lock:
            return [
                area
                if (result := self._results.get(tile)) is None or result.is_glass
                else REJECTED
                if result.reject_reason
                else COUNTED
                for tile, area in self.areas.items()
            ]

    def qualities(self) -> list[TileQuality | None]:
        """Return the quality of every tile, in the order of `areas`; None where it is not known.

        Tiles that were not analysed have the values of a tile nearby.
        """
        with self._lock:
            return [
                found.quality if (found := self._results.get(tile)) and found.quality else near
                for tile, near in ((tile, self._surveyed.get(tile)) for tile in self.areas)
            ]

    def usual_stain(self) -> float | None:
        """Return what the stain of tiles is compared with; None before anything is measured."""
        return usual_stain(quality for quality in self.qualities() if quality is not None)

    def rejections(self) -> Counter[str]:
        """Return why tiles were rejected, with how many."""
        with self._lock:
            reasons = (result.reject_reason for result in self._results.values())
            return Counter(reason for reason in reasons if reason is not None)

    def label(self, cell: Cell, label: str, user: User) -> None:
        """Name a cell of `Snapshot.model` as a reviewer does.

        Raises ValueError for no label, CaseError when it cannot be stored.
        """
        cell.reviewed(label, user.name)
        new = SlideLabel(cell, label, user)
        if self._store:
            new = self._store.add_label(new)
        with self._lock:
            self._labels += (new,)
            self._relabelled += 1

    def undo(self, user: User) -> None:
        """Take the user's last label back; nothing without one. Raises CaseError."""
        last = next((label for label in reversed(self._labels) if label.user == user), None)
        if last is None:
            return
        if self._store:
            self._store.remove_label(last)
        with self._lock:
            self._labels = tuple(label for label in self._labels if label is not last)
            self._relabelled += 1

    def analysis(self) -> FieldAnalysis:
        """Return what was found so far as the reviewers named it, in pixels of level 0."""
        return self.snapshot().analysis

    def snapshot(self) -> Snapshot:
        """Return what was found so far, and the labels."""
        found = self._found()
        with self._lock:
            labels, key = self._labels, (found, self._relabelled)
        if self._snapshot is None or self._snapshot[0] != key:
            self._snapshot = (key, _snapshot(found, labels))
        return self._snapshot[1]

    def _found(self) -> FieldAnalysis:
        """Return what the model found so far."""
        with self._lock:
            results = dict(self._results)
        number, known = self._known
        if len(results) > number and (not self.running or len(results) >= _GROWTH * number):
            known = slide_analysis(self._plan, results, self.usual_stain())
            self._known = (len(results), known)
        return known

    def start(self, target: int | None) -> None:
        """Count until there are enough white cells; nothing when it runs already."""
        with self._lock:
            if self.running:
                return
            self.target, self._stopped, self.error = target, False, None
            self.cluster_error = None
            self._thread = Thread(target=self._run, name="slide count", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop after the tiles that are being analysed."""
        self._stopped = True

    def abandon(self) -> None:
        """Stop, and store nothing more."""
        self.stop()
        with self._storing:
            self._store = None

    def wait(self) -> None:
        """Wait for the end."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        outcome = or_failure(self.slide.name, self._count_path)
        self.error = outcome.error if isinstance(outcome, FailedFile) else None

    def _count_path(self) -> None:
        with _working:
            if not self._surveyed:
                looked_at = [tile for tile, area in self.areas.items() if area != GLASS]
                self._surveyed = survey(looked_at, self._measure)
            self._began = time.monotonic()
            if self._cluster is not None:
                try:
                    for result in self._cluster(self._tiles_to_count()):
                        self._take(result)
                except (BatchError, ModelError) as error:
                    self.cluster_error = str(error)
                else:
                    return
            for result in self._analyze(map(self._give_way, self._tiles_to_count())):
                self._take(result)

    def _tiles_to_count(self) -> Iterator[Tile]:
        for tile in [tile for tile in self.path if tile not in self._results]:
            if self._stopped or self._has_enough():
                return
            yield tile

    def _measure(self, tile: Tile) -> TileQuality:
        """Measure the quality of a tile in its middle half, without analysing it."""
        left, top, right, bottom = tile.interior
        width, height = (right - left) // 2 or 1, (bottom - top) // 2 or 1
        factor = max(1.0, MICROMETRES / self._view.likely_scale)
        pixels = self._view.region(left + width // 2, top + height // 2, width, height, factor)
        return tile_quality(pixels, self._view.likely_scale * factor, self._view.light)

    def _give_way(self, tile: Tile) -> Tile:
        """Wait while somebody moves over the slide, so that its tiles come at once."""
        until = time.monotonic() + _LONGEST_WAIT
        while time.monotonic() < min(until, self._view.read_at + _QUIET) and not self._stopped:
            time.sleep(_QUIET / 5)
        return tile

    def _take(self, result: TileResult) -> None:
        with self._lock:
            if len(self._results) >= _WHOLE_TILES:
                white = tuple(cell for cell in result.cells if cell.kind == "wbc")
                result = replace(result, cells=white)
            self._results[result.tile] = result
            now = time.monotonic()
            self._seconds += now - self._began
            self._began = now
            self._counted_now += 1
        with self._storing:
            if self._store:
                try:
                    self._store.add_tiles([result], self._models)
                except CaseError:  # the count goes on; a later one may be stored
                    self.is_kept = False

    def _counted_in_tiles(self) -> int:
        """Return the white cells of all tiles; those on seams may be counted twice."""
        with self._lock:
            return sum(
                cell.counted_as in LEUKOCYTES
                for result in self._results.values()
                for cell in result.cells
            )

    def _has_enough(self) -> bool:
        if self.target is None or self._counted_in_tiles() < self.target:
            return False
        with self._lock:
            results = dict(self._results)
        self._known = (len(results), slide_analysis(self._plan, results, self.usual_stain()))
        return differential([self.analysis()]).total >= self.target


def _snapshot(found: FieldAnalysis, labels: Sequence[SlideLabel]) -> Snapshot:
    """Put labels on the cells of an analysis.

    Another box of a cell may have won at a seam since: a label belongs to the white cell around the
    middle of its box. A cell that was labelled stays, also where the merged tiles lack it.
    """
    if not labels:
        return Snapshot(found, (), found)
    cells = list(found.cells)
    white = {cell.box: index for index, cell in enumerate(cells) if cell.kind == "wbc"}
    numbered = []
    for label in labels:
        box = label.cell.box
        if box not in white:
            x, y = box.centre
            around = [o for o in white if o.x <= x <= o.right and o.y <= y <= o.bottom]
            if around:
                near = min(around, key=lambda o: abs(o.centre[0] - x) + abs(o.centre[1] - y))
                white[box] = white[near]
            else:
                white[box] = len(cells)
                cells.append(label.cell)
        numbered.append((white[box] + 1, label))
    model = replace(found, cells=tuple(cells))
    for number, label in numbered:
        cells[number - 1] = cells[number - 1].reviewed(label.label, label.user.name)
    return Snapshot(model, tuple(numbered), replace(found, cells=tuple(cells)))


def areas(view: SlideView, tiles: Sequence[Tile]) -> dict[Tile, str]:
    """Return by a look at low power which tiles are glass, thick, or worth counting.

    Raises DamagedSlideError.
    """
    scale = view.micrometres_per_pixel
    factor = _MICROMETRES_AT_LOW_POWER / scale if scale else view.width / _PIXELS_WITHOUT_SCALE
    factor = max(1.0, factor)
    covered = _covered(view.overview(factor))
    found = {}
    for tile in tiles:
        left, top, right, bottom = (round(side / factor) for side in tile.interior)
        share = float(covered[top : max(bottom, top + 1), left : max(right, left + 1)].mean())
        thin = COUNTABLE if share <= _MOST_COVERED else THICK
        found[tile] = GLASS if share < _LEAST_COVERED else thin
    return found


def _covered(pixels: Pixels) -> Pixels:
    """Return 1 where cells are: clearly darker than the brightest twentieth in some channel."""
    glass = np.percentile(pixels[::4, ::4], 95, axis=(0, 1))
    covered = np.zeros(pixels.shape[:2], np.uint8)
    for channel, brightest in enumerate(glass):
        covered |= pixels[..., channel] < brightest - _DARKER_THAN_GLASS
    return covered


def battlement(tiles: Sequence[Tile]) -> list[Tile]:
    """Order tiles along a battlement: bands of rows, up and down by column, to and fro by band."""
    rows = sorted({tile.interior[1] for tile in tiles})
    band_of = {top: number // _BAND for number, top in enumerate(rows)}
    ordered = sorted(tiles, key=lambda tile: band_of[tile.interior[1]])
    path: list[Tile] = []
    for band, of_band in groupby(ordered, key=lambda tile: band_of[tile.interior[1]]):
        columns: dict[int, list[Tile]] = {}
        for tile in of_band:
            columns.setdefault(tile.interior[0], []).append(tile)
        for number, left in enumerate(sorted(columns, reverse=bool(band % 2))):
            upwards = bool(number % 2)
            path += sorted(columns[left], key=lambda tile: tile.interior[1], reverse=upwards)
    return path


def chance_of_missing(share: float, counted: int) -> float:
    """Return the probability that none of `counted` cells is of a type with this share."""
    return float((1 - share) ** counted)
