"""Tiles of slides for a viewer: zoom 0 shows the whole slide in one tile, the last one level 0."""

from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from math import ceil, inf, log2
from pathlib import Path
from threading import Lock
from time import monotonic

import cv2
import numpy as np
from numpy.typing import NDArray

from core.domain.results import Pixels
from core.errors import DamagedSlideError, TileNotFoundError
from core.imaging.illumination import flatten
from core.imaging.preview import preview_jpeg
from core.imaging.wsi import Slide
from core.slides.folders import SlideFile, check_inside
from core.slides.planes import FocusPlanes, focus_planes

TILE = 512
"""Side of a tile in pixels; those at the right and lower edge are smaller."""
_QUALITY = 85
_MOST_OPEN = 12
_MOST_BYTES = 96_000_000
"""Of encoded tiles that are kept."""


class SlideView:
    """An open slide as tiles. Several threads may use it at a time."""

    def __init__(self, path: Path, planes: FocusPlanes | None = None) -> None:
        """Open a slide, or the copy of one of its focal `planes`. Raises DamagedSlideError."""
        self.path = path
        self.planes = planes or FocusPlanes()
        self._slide = slide = Slide(path)
        self.width, self.height = slide.width, slide.height
        self.micrometres_per_pixel = slide.micrometres_per_pixel
        self.likely_scale = slide.likely_scale
        self.format = slide.format
        self.read_at = -inf
        """When a tile was read last, by `time.monotonic`: somebody looks at the slide."""
        self.last_zoom = max(0, ceil(log2(max(slide.width, slide.height) / TILE)))

    @cached_property
    def light(self) -> NDArray[np.float32]:
        """Colour of the slide's glass, 1 x 1 x 3: one estimate for all tiles."""
        return self._slide.light()

    def overview(self, factor: float) -> Pixels:
        """Return the whole slide as RGB, `factor` times smaller; it is read block by block.

        Raises DamagedSlideError.
        """
        across, down = max(1, int(self.width / factor)), max(1, int(self.height / factor))
        whole = np.empty((down, across, 3), np.uint8)
        for top in range(0, down, TILE):
            for left in range(0, across, TILE):
                part = whole[top : top + TILE, left : left + TILE]
                height, width = part.shape[:2]
                x, y, w, h = (round(side * factor) for side in (left, top, width, height))
                region = self.region(x, y, w, h, factor)
                part[:] = cv2.resize(region, (width, height), interpolation=cv2.INTER_AREA)
        return whole

    def tile(self, zoom: int, column: int, row: int, *, light: bool = False) -> Pixels:
        """Return a tile as RGB; with `light` on even, nearly white glass.

        Raises TileNotFoundError, DamagedSlideError.
        """
        if not 0 <= zoom <= self.last_zoom:
            raise TileNotFoundError
        factor = 2 ** (self.last_zoom - zoom)
        x, y = column * TILE * factor, row * TILE * factor
        if not (0 <= x < self.width and 0 <= y < self.height):
            raise TileNotFoundError
        self.read_at = monotonic()
        pixels = self.region(x, y, TILE * factor, TILE * factor, factor)
        return flatten(pixels, self.light) if light else pixels

    def region(self, x: int, y: int, width: int, height: int, factor: float) -> Pixels:
        """Return a region of level 0, cut at the edge of the slide, `factor` times smaller.

        Raises DamagedSlideError.
        """
        width, height = min(width, self.width - x), min(height, self.height - y)
        level = max(n for n, down in enumerate(self._slide.downsamples) if down <= 1.01 * factor)
        pixels = self._slide.read(x, y, width, height, level)
        size = max(1, round(width / factor)), max(1, round(height / factor))
        if pixels.shape[1::-1] == size:
            return pixels
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


class SlideViews:
    """The slides that are open, and the tiles that were encoded last."""

    def __init__(self, locate: Callable[[SlideFile, int | None], Path]) -> None:
        """Open slides where `locate` says, in a focal plane of those that have several."""
        self._locate = locate
        self._views: OrderedDict[tuple[SlideFile, int], SlideView] = OrderedDict()
        self._planes: dict[SlideFile, FocusPlanes] = {}
        self._tiles: OrderedDict[tuple[SlideFile, int | None, int, int, int, bool], bytes] = (
            OrderedDict()
        )
        self._bytes = 0
        self._opening: dict[tuple[str, int | None], Lock] = {}
        self._keeping = Lock()

    def view(self, slide: SlideFile, plane: int | None = None) -> SlideView:
        """Open a slide, or return it if it is open: its middle focal plane, or that of a number.

        Raises InputError for what cannot be read or lies outside its folder, TileNotFoundError for
        a plane that the slide has not.
        """
        with self._keeping:
            opening = self._opening.setdefault((slide.id, plane), Lock())
        with opening:  # making a copy takes long; others need not wait
            planes = self._planes.get(slide)
            if planes is None:
                check_inside(slide)
                planes = self._planes[slide] = focus_planes(slide.path)
            number = plane or planes.middle
            if number > planes.number:
                raise TileNotFoundError
            with self._keeping:
                if (slide, number) in self._views:
                    self._views.move_to_end((slide, number))
                    return self._views[slide, number]
            check_inside(slide)
            path = self._locate(slide, number if planes.number > 1 else None)
            view = SlideView(path, planes)
            with self._keeping:
                self._views[slide, number] = view
                while len(self._views) > _MOST_OPEN:
                    self._views.popitem(last=False)  # closed when no thread reads from it
            return view

    def forget(self, slide: SlideFile) -> None:
        """Close a slide and drop its tiles."""
        with self._keeping:
            self._planes.pop(slide, None)
            for known in [known for known in self._views if known[0] == slide]:
                del self._views[known]
            for key in [key for key in self._tiles if key[0] == slide]:
                self._bytes -= len(self._tiles.pop(key))

    def jpeg(  # noqa: PLR0913 - the parts of an address
        self,
        slide: SlideFile,
        zoom: int,
        column: int,
        row: int,
        *,
        light: bool,
        plane: int | None = None,
    ) -> bytes:
        """Return a tile as JPEG. Raises as `view`, and TileNotFoundError."""
        key = (slide, plane, zoom, column, row, light)
        with self._keeping:
            if key in self._tiles:
                self._tiles.move_to_end(key)
                return self._tiles[key]
        view = self.view(slide, plane)
        try:
            pixels = view.tile(zoom, column, row, light=light)
        except DamagedSlideError:
            self._close(view)  # OpenSlide reads nothing more after a failure
            raise
        encoded = preview_jpeg(pixels, TILE, _QUALITY)
        with self._keeping:
            if key not in self._tiles:
                self._tiles[key] = encoded
                self._bytes += len(encoded)
            while self._bytes > _MOST_BYTES:
                self._bytes -= len(self._tiles.popitem(last=False)[1])
        return encoded

    def _close(self, view: SlideView) -> None:
        with self._keeping:
            for known in [known for known, open_view in self._views.items() if open_view is view]:
                del self._views[known]
