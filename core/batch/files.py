"""Finds the files of a batch, one after another, without holding the tree in memory."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from core.imaging.read import SUFFIXES
from core.imaging.slide import SLIDE_SUFFIXES


@dataclass(frozen=True, slots=True)
class FileState:
    """A file as it was when the batch came to it; a changed file has another state."""

    path: str
    size: int
    """Bytes; -1 when the file cannot be looked at."""
    modified: int
    """Nanoseconds since 1970."""


def file_state(path: Path) -> FileState:
    """Look at a file's size and time without reading it."""
    try:
        found = path.stat()
    except OSError:
        return FileState(str(path), -1, -1)
    return FileState(str(path), found.st_size, found.st_mtime_ns)


def shown(path: Path) -> str:
    """Return a path as text; names that are no UTF-8 get replacement characters."""
    return os.fsencode(path).decode("utf-8", "replace")


def find_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield files as named and the pictures in folders, sorted, without hidden ones.

    Links to files are followed, links to folders inside a named one are not: they may lead in
    circles. A folder without any picture, or one that cannot be read, is yielded itself, to become
    an error with its name. The names of one folder at a time are held in memory.
    """
    for path in paths:
        if not _leads_to_folder(path):
            yield path
            continue
        empty = True
        for found in _pictures(path):
            empty = False
            yield found
        if empty:
            yield path


def _pictures(folder: Path) -> Iterator[Path]:
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
                waiting.append(_entries(path))
            except OSError:
                yield path


def _entries(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Return the pictures and subfolders in a folder, by name; True marks a subfolder."""
    with os.scandir(folder) as entries:
        names = sorted(
            (entry.name, entry.is_dir(follow_symlinks=False))
            for entry in entries
            if not entry.name.startswith(".") and (_is_picture(entry) or _is_folder(entry))
        )
    return ((folder / name, is_folder) for name, is_folder in names)


def _leads_to_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long, a folder on the way that is closed
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _is_picture(entry: os.DirEntry[str]) -> bool:
    if Path(entry.name).suffix.lower() not in SUFFIXES | SLIDE_SUFFIXES:
        return False
    if entry.is_symlink():  # a broken one is named among the errors
        return not _leads_to_folder(Path(entry.path))
    return entry.is_file(follow_symlinks=False)
