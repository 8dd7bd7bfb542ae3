"""Find the files of a batch, one after another, without holding the tree in memory."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from core.imaging.formats import BEGINNING, NAMED_SUFFIXES, SUFFIXES, is_offered
from core.imaging.wsi import SLIDE_SUFFIXES

_MOST_NAMED = 20


def shown(path: Path) -> str:
    """Return a path as text; names that are no UTF-8 get replacement characters."""
    return os.fsencode(path).decode("utf-8", "replace")


@dataclass(slots=True)
class PassedOver:
    """Counts the files that a walk passes over, and keeps the first of them."""

    number: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, path: Path) -> None:
        """Count a file."""
        self.number += 1
        if len(self.first) < _MOST_NAMED:
            self.first.append(shown(path))

    def sentence(self) -> str | None:
        """Return what was passed over; None when nothing was."""
        if not self.number:
            return None
        rest = self.number - len(self.first)
        more = f" and {rest:,} more" if rest else ""
        return (
            f"Passed over {self.number:,} file{'s' * (self.number > 1)} without the ending of an "
            f"image: {', '.join(self.first)}{more}. To have such a file read, name it."
        )


def find_files(paths: Iterable[Path], passed_over: PassedOver | None = None) -> Iterator[Path]:
    """Yield files as named and the images in folders, sorted, without hidden ones.

    An image is known by its ending; without one, or with a number for it, as DICOM files come, by
    its first bytes. Other files of a folder are added to `passed_over`.

    Links to files are followed, links to folders inside a named one are not: they may lead in
    circles. A folder without any image, or one that cannot be read, is yielded itself, to become
    an error with its name. The names of one folder at a time are held in memory.
    """
    for path in paths:
        # Not `Path.is_dir`, which raises where a name is too long or the way is closed.
        if not os.path.isdir(path):  # noqa: PTH112
            yield path
            continue
        images = _images(path, passed_over or PassedOver())
        yield next(images, path)
        yield from images


def _images(folder: Path, passed_over: PassedOver) -> Iterator[Path]:
    """Walk a tree by name, depth first; with a stack of its own, since trees may be deep."""
    waiting: list[Iterator[tuple[Path, bool]]] = [iter([(folder, True)])]
    while waiting:
        path, is_folder = next(waiting[-1], (None, False))
        if path is None:
            waiting.pop()
        elif not is_folder:
            yield path
        else:
            try:
                waiting.append(_entries(path, passed_over))
            except OSError:
                yield path


def _entries(folder: Path, passed_over: PassedOver) -> Iterator[tuple[Path, bool]]:
    """Return the images and subfolders in a folder, by name; True marks a subfolder."""
    names = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder or _is_image(entry):
                names.append((entry.name, is_folder))
            elif entry.is_file():
                passed_over.add(folder / entry.name)
    return ((folder / name, is_folder) for name, is_folder in names)


def _is_image(entry: os.DirEntry[str]) -> bool:
    suffix = Path(entry.name).suffix.lower()
    if suffix not in SUFFIXES | NAMED_SUFFIXES | SLIDE_SUFFIXES:
        path = Path(entry.path)
        try:
            return path.is_file() and is_offered(entry.name, lambda: _beginning(path))
        except OSError:
            return False
    if entry.is_symlink():  # a broken one is named among the errors
        return not os.path.isdir(entry.path)  # noqa: PTH112
    return entry.is_file(follow_symlinks=False)


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(BEGINNING)
