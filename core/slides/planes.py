"""Focal planes of slides: how many there are, and each as pixels.

OpenSlide gives one plane of a slide. Those of OME-TIFF and DICOM are read here, in another process
(`core.slides.plane_reader`), and each is copied with a pyramid when it is first looked at.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from openslide import OpenSlide, OpenSlideError
from pydantic import BaseModel, ConfigDict, ValidationError

from core.domain.results import Pixels
from core.errors import DamagedSlideError
from core.imaging.scale import microscope_scale, ome_scale, ome_step
from core.slides import plane_reader

_SUFFIXES = {".tif", ".tiff", ".dcm"}
_DICOM = "dicom"
_SECONDS = 120
"""By the clock, to describe the planes of a file."""


@dataclass(frozen=True, slots=True)
class FocusPlanes:
    """The focal planes of a slide, which are numbered from 1, nearest to the glass."""

    number: int = 1
    step: float | None = None
    """Micrometres between two planes; None when the file does not say."""

    @property
    def middle(self) -> int:
        """The plane that is shown first, and that cells are counted in."""
        return (self.number + 1) // 2

    @property
    def note(self) -> str:
        """Which plane cells are counted in; empty for a slide with one."""
        if self.number == 1:
            return ""
        return f"Cells are found in focal plane {self.middle} of {self.number}, the middle one."


class _About(BaseModel):
    """What the reader says of a slide with planes."""

    model_config = ConfigDict(frozen=True)

    number: int
    width: int
    height: int
    description: str = ""
    """OME-XML."""
    millimetres: tuple[float | None, float | None] = (None, None)
    """Of a pixel, down and across, by a DICOM header."""
    step_millimetres: float | None = None

    @property
    def micrometres_per_pixel(self) -> float | None:
        if self.description:
            return ome_scale(self.description)
        down, across = self.millimetres
        return microscope_scale((1000 * across, 1000 * down)) if across and down else None

    @property
    def step(self) -> float | None:
        if self.description:
            return ome_step(self.description)
        return 1000 * self.step_millimetres if self.step_millimetres else None


def focus_planes(path: Path) -> FocusPlanes:
    """Return the focal planes of a slide; one where it has no others, or none that are read."""
    if not _may_have_planes(path):
        return FocusPlanes()
    try:
        found = subprocess.run(  # noqa: S603 - our own interpreter and program
            _command(path),
            check=True,
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        about = _About.model_validate_json(found.stdout)
    except (subprocess.SubprocessError, ValidationError):
        return FocusPlanes()
    return FocusPlanes(about.number, about.step)


def _may_have_planes(path: Path) -> bool:
    """Return by a quick look whether it is worth to ask the reader."""
    if path.suffix.lower() not in _SUFFIXES:
        return False
    if OpenSlide.detect_format(path) in (None, _DICOM):
        return True
    try:
        with OpenSlide(path) as slide:
            return "SizeZ=" in slide.properties.get("tiff.ImageDescription", "")
    except OpenSlideError:
        return False


@contextmanager
def plane_rows(
    path: Path, plane: int, stripe: int
) -> Iterator[tuple[int, int, Iterator[Pixels], float | None]]:
    """Give width, height, pixels and micrometres per pixel of a plane, from 1.

    The pixels come in stripes of that height, from the top. Raises DamagedSlideError, also while
    they are read.
    """
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
        _command(path, plane),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    source: Any = process.stdout
    try:
        about = _About.model_validate_json(source.readline())

        def rows() -> Iterator[Pixels]:
            for top in range(0, about.height, stripe):
                shape = min(stripe, about.height - top), about.width, 3
                data = source.read(shape[0] * shape[1] * 3)
                if len(data) < shape[0] * shape[1] * 3:
                    raise DamagedSlideError
                yield np.frombuffer(data, np.uint8).reshape(shape)

        yield about.width, about.height, rows(), about.micrometres_per_pixel
    except ValidationError as error:
        raise DamagedSlideError from error
    finally:
        process.kill()
        source.close()
        process.wait()


def _command(path: Path, *plane: int) -> list[str]:
    return [sys.executable, "-I", plane_reader.__file__, str(path), *map(str, plane)]
