"""The journal of a batch: an SQLite file with every answer, committed as soon as it is known.

A batch that was stopped finds there what is done, tile by tile for slides. Killing the process
loses nothing that was committed (https://sqlite.org/wal.html). Memory does not grow with the
answers.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from core.domain.results import FailedFile
from core.errors import BatchError
from core.exports.schema import Answer
from core.slides.analysis import TILES, TileResult

_FORMAT = 2
"""Kept as SQLite's `user_version`. The first format was no database but lines of JSON."""
_CREATE = """
PRAGMA user_version = 0;
DROP TABLE IF EXISTS batch;
DROP TABLE IF EXISTS tiles;
DROP TABLE IF EXISTS files;
DROP TABLE IF EXISTS models;
CREATE TABLE models (versions TEXT);
CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    path BLOB, size INTEGER, modified INTEGER,  -- a file that changed is another one
    images TEXT, error TEXT,                    -- JSON; both null until the file is answered
    UNIQUE (path, size, modified)
);
CREATE TABLE tiles (file INTEGER, results TEXT);
CREATE INDEX tiles_by_file ON tiles (file);
CREATE TABLE batch (position INTEGER PRIMARY KEY, file INTEGER);
"""
_IN_ORDER = "SELECT {0} FROM batch JOIN files ON id = file WHERE {0} IS NOT NULL ORDER BY position"


class Journal:
    """An open journal, of this process alone.

    Leaving it keeps the file, so that the batch can be resumed, unless nothing is in it.
    """

    def __init__(self, path: Path, models: dict[str, str], *, resume: bool) -> None:
        """Open or create the journal of a batch; without `resume` it starts empty.

        `models` is what makes answers comparable: versions and checksums. Raises BatchError when
        the journal cannot be written, when another process has it, or when it was begun with other
        models or by another version of the program.
        """
        self._path = path
        self.finished = 0
        """Files answered or failed, those of earlier runs included."""
        try:
            self._open(models, resume=resume)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname == "SQLITE_BUSY":
                raise BatchError(f"Another batch is writing {path}. Name another --out.") from error
            raise BatchError(f"{path} cannot be written ({error}). Name another --out.") from error
        except sqlite3.DatabaseError as error:  # no database, or a damaged one
            if resume:
                raise self._of_another_version() from error
            self.remove()
            self._open(models, resume=False)

    def _open(self, models: dict[str, str], *, resume: bool) -> None:
        self._db = sqlite3.connect(self._path, isolation_level=None, timeout=0)
        try:
            self._prepare(models, resume=resume)
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, models: dict[str, str], *, resume: bool) -> None:
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        (found,) = self._db.execute("PRAGMA user_version").fetchone()
        if not resume or found == 0:
            self._db.executescript(_CREATE)
            self._db.execute("INSERT INTO models VALUES (?)", [json.dumps(models)])
            self._db.execute(f"PRAGMA user_version = {_FORMAT}")  # last: it is complete now
            return
        if found != _FORMAT:
            raise self._of_another_version()
        versions = self._db.execute("SELECT versions FROM models").fetchone()
        if versions is None or json.loads(versions[0]) != models:
            raise BatchError(
                f"{self._path} was begun with other models or another profile. Use those, or "
                "start over without --resume."
            )
        self._db.execute("DELETE FROM batch")
        self._db.execute("UPDATE files SET error = NULL")  # failed files are tried again

    def _of_another_version(self) -> BatchError:
        return BatchError(
            f"{self._path} was begun by another version of Leukoscope, or is damaged. Resume it "
            "with that version, or start over without --resume."
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        is_empty = False
        with suppress(sqlite3.Error):  # a full disk
            (is_empty,) = self._db.execute(
                "SELECT NOT EXISTS (SELECT 1 FROM tiles) AND NOT EXISTS "
                "(SELECT 1 FROM files WHERE images IS NOT NULL OR error IS NOT NULL)"
            ).fetchone()
            self._db.close()
        if is_empty:
            self.remove()

    def pending(self, paths: Iterable[Path]) -> Iterator[tuple[int, Path]]:
        """Give all files numbers from 0 and yield those that have no answer yet."""
        for index, path in enumerate(paths):
            state = _state(path)
            self._write(
                "INSERT OR IGNORE INTO files (path, size, modified) VALUES (?, ?, ?)", state
            )
            file, is_answered = self._db.execute(
                "SELECT id, images IS NOT NULL FROM files "
                "WHERE path = ? AND size = ? AND modified = ?",
                state,
            ).fetchone()
            self._write("INSERT INTO batch VALUES (?, ?)", (index, file))
            if is_answered:
                self.finished += 1
            else:
                yield index, path

    def add(self, index: int, answer: Sequence[Answer] | FailedFile) -> None:
        """Write the answer of a file, one for each of its images.

        Raises BatchError when the disk is full.
        """
        if isinstance(answer, FailedFile):
            column, value = "error", _json(asdict(answer))
        else:
            column, value = "images", _json(answer)
        self._write(
            f"UPDATE files SET {column} = ? "  # noqa: S608 - one of the two above
            "WHERE id = (SELECT file FROM batch WHERE position = ?)",
            (value, index),
        )
        self.finished += 1

    def add_tiles(self, index: int, results: tuple[TileResult, ...]) -> None:
        """Write what was found in some tiles of a slide. Raises BatchError as `add` does."""
        self._write(
            "INSERT INTO tiles SELECT file, ? FROM batch WHERE position = ?",
            (_json(TILES.dump_python(results, mode="json")), index),
        )

    def tiles(self, index: int) -> Iterator[TileResult]:
        """Yield what was found in tiles of a slide so far, in earlier runs too."""
        rows = self._db.execute(
            "SELECT results FROM tiles WHERE file = (SELECT file FROM batch WHERE position = ?)",
            [index],
        )
        for (results,) in rows:
            with suppress(ValidationError):  # of another version of the program
                yield from TILES.validate_json(results)

    def images(self) -> Iterator[Answer]:
        """Yield the answers in the order of the files and of the images in them."""
        rows = self._db.execute(_IN_ORDER.format("images"))
        return (image for (images,) in rows for image in json.loads(images))

    def errors(self) -> Iterator[Answer]:
        """Yield the failures in the order of the files."""
        return (json.loads(error) for (error,) in self._db.execute(_IN_ORDER.format("error")))

    @property
    def failed(self) -> int:
        """Files that could not be answered."""
        return sum(1 for _ in self.errors())

    def remove(self) -> None:
        """Remove the journal, when its answers are elsewhere."""
        for ending in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)

    def _write(self, statement: str, values: Sequence[Any]) -> None:
        try:
            self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise BatchError(
                f"{self._path} cannot be written ({error}). Make room, then go on with --resume."
            ) from error


def _state(path: Path) -> tuple[bytes, int, int]:
    """Return a file's path, size in bytes and time of change in ns; -1 for what cannot be seen."""
    try:
        found = path.stat()
    except OSError:
        return os.fsencode(path), -1, -1
    return os.fsencode(path), found.st_size, found.st_mtime_ns


def _json(value: Any) -> str:
    # In ASCII: names of files that are no UTF-8 hold lone surrogates.
    return json.dumps(value, allow_nan=False)
