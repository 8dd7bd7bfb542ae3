"""Slides in the folders that the administrator names, and no file outside them.

A slide is asked for by an id, which is looked up among the files that were found. No path comes
from a client. Links are not followed, neither to files nor to folders.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from stat import S_ISREG
from threading import Lock
from time import monotonic

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import VLWholeSlideMicroscopyImageStorage

from core.errors import SlideNotFoundError
from core.imaging.formats import SUFFIXES
from core.imaging.read import display_name
from core.imaging.wsi import SLIDE_SUFFIXES

DICOM_SUFFIX = ".dcm"
MOST_SLIDES = 10_000
_SECONDS = 10.0
"""How long the folders are not read again."""
_LEAST_SECONDS = 1.0
"""The same when an unknown slide is asked for."""


@dataclass(frozen=True, slots=True)
class SlideFile:
    """A file of a slide folder."""

    id: str
    """Of folder and place in it; the same after a restart."""
    name: str
    """To show: the place in the folder, or only the id where file names are not shown."""
    path: Path
    folder: Path
    version: str
    """Changes with the content: time of the last change and size."""


class SlideFolders:
    """The slides of some folders, read again when they may have changed."""

    def __init__(
        self, folders: Iterable[Path], *, neutral_names: bool = False, file_names: bool = False
    ) -> None:
        """Name slides by their place in the folder, or with `file_names` by their file only."""
        self._folders = tuple(folders)
        self._neutral_names, self._file_names = neutral_names, file_names
        self._found: dict[str, SlideFile] = {}
        self._read_at = -_SECONDS
        self._lock = Lock()

    def slides(self, seconds: float = _SECONDS) -> dict[str, SlideFile]:
        """Return the slides by id, sorted by folder and name; at most `seconds` old."""
        with self._lock:
            if monotonic() - self._read_at > seconds:
                self._found = {slide.id: slide for slide in self._read()}
                self._read_at = monotonic()
            return self._found

    def get(self, slide_id: str) -> SlideFile:
        """Return a slide that was found. Raises SlideNotFoundError."""
        slide = self.slides().get(slide_id) or self.slides(_LEAST_SECONDS).get(slide_id)
        if slide is None:
            raise SlideNotFoundError
        return slide

    def _read(self) -> Iterator[SlideFile]:
        number = 0
        for folder in self._folders:
            root = folder.resolve()
            for path in _files(root):
                try:
                    status = path.lstat()
                except OSError:
                    continue
                place = path.relative_to(root).as_posix()
                digest = hashlib.sha256(os.fsencode(f"{root}\0{place}")).hexdigest()[:16]
                yield SlideFile(
                    id=digest,
                    name=self._name(digest, place),
                    path=path,
                    folder=root,
                    version=f"{status.st_mtime_ns:x}-{status.st_size:x}",
                )
                number += 1
                if number == MOST_SLIDES:
                    return

    def _name(self, digest: str, place: str) -> str:
        if self._neutral_names:
            return f"slide {digest[:6]}"
        if self._file_names:
            return display_name(place)
        return " / ".join(display_name(part) for part in place.split("/"))


def check_inside(slide: SlideFile) -> None:
    """Raise SlideNotFoundError unless all files that the slide is read from lie in its folder.

    Call it before the slide is opened: a link may have taken the place of a file.
    """
    try:
        for path in _files_of(slide.path):
            if path.resolve(strict=True) != path or not path.is_relative_to(slide.folder):
                raise SlideNotFoundError
        if not S_ISREG(slide.path.lstat().st_mode):
            raise SlideNotFoundError
    except OSError as error:
        raise SlideNotFoundError from error


def _files_of(path: Path) -> Iterator[Path]:
    """Yield the files that OpenSlide may read for a slide. Raises OSError, SlideNotFoundError.

    Slides of MIRAX and VMS name other files in a table. DICOM slides take all of their folder.
    """
    yield path
    suffix = path.suffix.lower()
    if suffix == DICOM_SUFFIX:
        yield from path.parent.iterdir()
    elif suffix == ".mrxs":
        companions = path.with_suffix("")
        yield companions
        yield from companions.iterdir()
        if b".." in (companions / "Slidedat.ini").read_bytes():
            raise SlideNotFoundError
    elif suffix == ".ndpi":
        with path.open("rb") as file:
            if file.read(2) not in (b"II", b"MM"):  # a table of VMS, not TIFF
                raise SlideNotFoundError


def _files(root: Path) -> Iterator[Path]:
    """Yield the files of slides in a tree by name; of a DICOM slide in several files the first."""
    for folder, subfolders, names in os.walk(root, followlinks=False):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        series: set[str] = set()
        for name in sorted(names):
            path = Path(folder, name)
            suffix = path.suffix.lower()
            if name.startswith(".") or suffix not in SLIDE_SUFFIXES | SUFFIXES:
                continue
            if path.is_symlink() or not path.is_file():
                continue
            if suffix == DICOM_SUFFIX:
                identifier = _series(path, path.stat().st_mtime_ns)
                if identifier in series:
                    continue
                if identifier is not None:
                    series.add(identifier)
            yield path


@lru_cache(maxsize=MOST_SLIDES)
def _series(path: Path, _changed: int) -> str | None:
    """Return which slide a DICOM file belongs to; None for a file that is no slide."""
    try:
        header = dcmread(path, specific_tags=["SOPClassUID", "SeriesInstanceUID"])
    except (InvalidDicomError, OSError, ValueError):
        return None
    is_slide = header.get("SOPClassUID") == VLWholeSlideMicroscopyImageStorage
    return str(header.get("SeriesInstanceUID", path.name)) if is_slide else None
