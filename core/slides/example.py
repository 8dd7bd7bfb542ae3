"""A synthetic slide to try the microscope with, made the first time it is asked for."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

import numpy as np

from core.domain.results import Pixels
from core.errors import SlideCopyError
from core.imaging.illumination import GLASS, flatten
from core.settings import Settings
from core.slides.pyramid import write_pyramid
from core.synthetic.fields import make_field

_SEED = 5
_FIELD = 1536, 1024
_RED_CELL_PIXELS = 30.0
_WHITE_CELLS = 12
_ACROSS, _DOWN = 8, 9
_BORDER = 512
_making = Lock()


def example_folder(settings: Settings) -> Path:
    """Return the folder with the example slide. Raises SlideCopyError."""
    folder = settings.slide_cache / "example"
    path = folder / "Example (synthetic).tif"
    with _making:
        if not path.exists():
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with TemporaryDirectory(dir=settings.slide_cache) as part:
                    _write(Path(part, path.name))
                    Path(part, path.name).replace(path)
            except OSError as error:
                raise SlideCopyError from error
    return folder


def _write(path: Path) -> None:
    """Write a field mirrored again and again on glass: its edges then continue each other.

    Its light is even, as scanners correct it.
    """
    across, down = _FIELD
    field = make_field(
        _SEED, across, down, white_cells=_WHITE_CELLS, red_cell_pixels=_RED_CELL_PIXELS
    )
    width, height = across * _ACROSS + 2 * _BORDER, down * _DOWN + 2 * _BORDER
    write_pyramid(
        path, width, height, _stripes(flatten(field.pixels), width), field.micrometres_per_pixel
    )


def _stripes(field: Pixels, width: int) -> Iterator[Pixels]:
    """Yield the slide in stripes of 512 pixels, which divide border and field."""
    glass = np.broadcast_to(np.uint8(GLASS), (_BORDER, width, 3))
    side = glass[:, :_BORDER]
    yield glass
    for down in range(_DOWN):
        pixels = field[::-1] if down % 2 else field
        for top in range(0, len(pixels), _BORDER):
            row = pixels[top : top + _BORDER]
            parts = [row[:, ::-1] if across % 2 else row for across in range(_ACROSS)]
            yield np.concatenate([side, *parts, side], axis=1)
    yield glass
