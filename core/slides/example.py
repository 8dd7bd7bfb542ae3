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
from core.slides.tiles import TILE
from core.synthetic.fields import make_field

_SEED = 5
_FIELD = 1536, 1024
_RED_CELL_PIXELS = 30.0
_WHITE_CELLS = 12
_ACROSS, _DOWN = 8, 9
_BORDER = TILE
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
                    write_smear(Path(part, path.name), _ACROSS, _DOWN)
                    Path(part, path.name).replace(path)
            except OSError as error:
                raise SlideCopyError from error
    return folder


def write_smear(path: Path, across: int, down: int) -> None:
    """Write a field mirrored again and again on glass: its edges then continue each other.

    Its light is even, as scanners correct it. A field has 1536 x 1024 pixels; memory holds a few
    fields and a stripe.
    """
    width, height = _FIELD
    field = make_field(
        _SEED, width, height, white_cells=_WHITE_CELLS, red_cell_pixels=_RED_CELL_PIXELS
    )
    size = width * across + 2 * _BORDER, height * down + 2 * _BORDER
    rows = _stripes(flatten(field.pixels), across, down)
    write_pyramid(path, *size, rows, field.micrometres_per_pixel)


def _stripes(field: Pixels, across: int, down: int) -> Iterator[Pixels]:
    """Yield the slide in stripes of `TILE` pixels, which divide border and field."""
    width = field.shape[1] * across + 2 * _BORDER
    glass = np.broadcast_to(np.uint8(GLASS), (_BORDER, width, 3))
    side = glass[:, :_BORDER]
    yield glass
    for row in range(down):
        pixels = field[::-1] if row % 2 else field
        for top in range(0, len(pixels), _BORDER):
            part = pixels[top : top + _BORDER]
            parts = [part[:, ::-1] if column % 2 else part for column in range(across)]
            yield np.concatenate([side, *parts, side], axis=1)
    yield glass
