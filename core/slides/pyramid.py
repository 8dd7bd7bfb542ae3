"""Pyramids of slides and images that have no coarse levels: made once, kept in a cache folder.

A copy is a tiled TIFF of JPEG tiles, about a third larger than its finest level.
"""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from threading import Lock
from typing import IO

import cv2
import numpy as np
from openslide import OpenSlide
from tifffile import TiffWriter

from core.domain.results import Pixels
from core.errors import DamagedSlideError, SlideCopyError
from core.imaging.decoder import decoded
from core.imaging.read import check_bytes
from core.imaging.wsi import Slide
from core.settings import Settings
from core.slides.folders import SlideFile
from core.slides.planes import plane_rows
from core.slides.tiles import TILE

COARSEST = 4096
"""Longest side of the coarsest level up to which a slide is read as it is."""
_QUALITY = 92
_making = Lock()


def readable_path(slide: SlideFile, settings: Settings, plane: int | None = None) -> Path:
    """Return the path of a slide, or of its copy with a pyramid, which is made the first time.

    With the number of a focal plane it is the copy of that plane. Raises InputError for what cannot
    be read, SlideCopyError when the copy cannot be written.
    """
    if plane is None and OpenSlide.detect_format(slide.path) is not None:
        with Slide(slide.path) as opened:
            coarsest = max(opened.width, opened.height) / opened.downsamples[-1]
        if coarsest <= COARSEST:
            return slide.path
    copy = _copy_of(slide, settings, plane)
    with _making:
        if not copy.exists():
            try:
                _make_copy(slide, copy, settings, plane)
            except OSError as error:
                raise SlideCopyError from error
    return copy


def _make_copy(slide: SlideFile, copy: Path, settings: Settings, plane: int | None) -> None:
    """Write the copy of a slide, whole or not at all. Raises InputError, OSError."""
    _make_room(settings)
    copy.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=copy.parent) as folder:
        part = Path(folder, copy.name)
        _write_copy(slide, part, settings, plane)
        part.replace(copy)


def remove_copies(slide: SlideFile, settings: Settings) -> None:
    """Remove the copies of a slide, of all its focal planes."""
    for copy in settings.slide_cache.glob(f"{_key(slide)}*.tif"):
        copy.unlink(missing_ok=True)


def _copy_of(slide: SlideFile, settings: Settings, plane: int | None) -> Path:
    """Return the path of a copy, whether or not there is one."""
    of_plane = "" if plane is None else f"-{plane}"
    return settings.slide_cache / f"{_key(slide)}{of_plane}.tif"


def _key(slide: SlideFile) -> str:
    return hashlib.sha256(f"{slide.id} {slide.version}".encode()).hexdigest()[:32]


def _make_room(settings: Settings) -> None:
    """Remove the copies that were made first, until those left take less than allowed."""
    copies = sorted(settings.slide_cache.glob("*.tif"), key=lambda path: path.stat().st_mtime)
    size = sum(path.stat().st_size for path in copies)
    for path in copies:
        if size <= settings.slide_cache_megabytes * 1_000_000:
            return
        size -= path.stat().st_size
        with suppress(OSError):
            path.unlink()


def _write_copy(slide: SlideFile, path: Path, settings: Settings, plane: int | None) -> None:
    if plane is not None:
        with plane_rows(slide.path, plane, TILE) as (width, height, rows, scale):
            write_pyramid(path, width, height, rows, scale)
        return
    if OpenSlide.detect_format(slide.path) is not None:
        with Slide(slide.path) as opened:
            rows = _rows_of_slide(opened)
            write_pyramid(path, opened.width, opened.height, rows, opened.micrometres_per_pixel)
        return
    try:
        check_bytes(slide.path.stat().st_size, settings)
        data = slide.path.read_bytes()
    except OSError as error:
        raise DamagedSlideError from error
    with decoded(data, slide.path.name, settings=settings) as images:
        image = max(images, key=lambda image: image.pixels.size)
        height, width = image.pixels.shape[:2]
        rows = (image.pixels[top : top + TILE] for top in range(0, height, TILE))
        write_pyramid(path, width, height, rows, image.micrometres_per_pixel)


def _rows_of_slide(slide: Slide) -> Iterator[Pixels]:
    for top in range(0, slide.height, TILE):
        yield slide.read(0, top, slide.width, min(TILE, slide.height - top))


def write_pyramid(
    path: Path,
    width: int,
    height: int,
    rows: Iterator[Pixels],
    micrometres_per_pixel: float | None,
) -> None:
    """Write an image as a pyramid; `rows` are stripes of `TILE` pixels, from the top.

    Each level is half as wide as the one before, so that a tile for the screen at any zoom is one
    tile of a level. Memory holds one stripe. The pixels of the smaller levels lie in files beside
    `path` until it is written: a byte for each pixel of the image.
    """
    sizes = [(width, height)]
    while max(sizes[-1]) > TILE:
        across, down = sizes[-1]
        sizes.append((-(-across // 2), -(-down // 2)))
    scale = micrometres_per_pixel and (1e4 / micrometres_per_pixel,) * 2
    with TiffWriter(path, bigtiff=True) as writer, ExitStack() as files:
        for level, (across, down) in enumerate(sizes):
            smaller = files.enter_context(TemporaryFile(dir=path.parent))
            writer.write(
                _tiles(rows, smaller),
                shape=(down, across, 3),
                dtype=np.uint8,
                tile=(TILE, TILE),
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": _QUALITY},
                subfiletype=1 if level else 0,
                resolution=scale or None,
                resolutionunit="CENTIMETER" if scale else None,
                metadata=None,
            )
            rows = _stripes_in(smaller, -(-across // 2))


def _tiles(rows: Iterator[Pixels], smaller: IO[bytes]) -> Iterator[Pixels]:
    """Yield the tiles of stripes; append the pixels of the stripes, half as large, to a file."""
    for row in rows:
        down, across = (-(-length // 2) for length in row.shape[:2])
        smaller.write(cv2.resize(row, (across, down), interpolation=cv2.INTER_AREA).data)
        yield from _tiles_of(row)


def _stripes_in(file: IO[bytes], width: int) -> Iterator[Pixels]:
    """Read the stripes of an image whose pixels are all that a file holds."""
    file.seek(0)
    while pixels := file.read(TILE * width * 3):
        yield np.frombuffer(pixels, np.uint8).reshape(-1, width, 3)


def _tiles_of(row: Pixels) -> Iterator[Pixels]:
    """Cut a stripe into tiles, white beyond the image."""
    for left in range(0, row.shape[1], TILE):
        tile = np.full((TILE, TILE, 3), 255, np.uint8)
        part = row[:, left : left + TILE]
        tile[: part.shape[0], : part.shape[1]] = part
        yield tile
