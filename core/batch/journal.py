"""The journal of a batch: one JSON line a file, on disk as soon as the file is answered.

A batch that was stopped finds there what is done, also of slides that were half done: a line for
each of their pieces. Memory does not grow with the answers: of each
file nine bytes are kept, and a hash of each line that an earlier run left.
"""

import fcntl
import json
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from core.batch.discover import FileState, file_state
from core.batch.tiles import PieceResult, TileResult
from core.domain.results import FailedFile
from core.errors import BatchError
from core.exports.answers import Answer

_PENDING = -1
_TILES = TypeAdapter(tuple[TileResult, ...])


class Journal:
    """An open journal, of this process alone.

    Leaving it keeps the file, so that the batch can be resumed, unless nothing is in it.
    """

    def __init__(self, path: Path, models: dict[str, str], *, resume: bool) -> None:
        """Open or make the journal of a batch; without `resume` it starts empty.

        `models` is what makes answers comparable: versions and checksums. Raises BatchError when
        it cannot be written, when another process has it, or when it was begun with other models.
        """
        self._path = path
        self._offsets = array("q")
        """By place, where the file's line begins."""
        self._failed = bytearray()
        """By place, 1 for an error."""
        self._running: dict[int, FileState] = {}
        self._known: dict[int, int] = {}
        """Where the line of a file state is that an earlier run answered, by its hash."""
        self._pieces: dict[int, list[int]] = {}
        """Where the lines of the pieces of a slide are, by the hash of its state."""
        self.finished = 0
        """Files answered or failed, those of earlier runs included."""
        try:
            self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        except OSError as error:
            raise BatchError(
                f"{path} cannot be written ({error.strerror}). Name another --out."
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise BatchError(f"Another batch is writing {path}. Name another --out.") from error
        if resume:
            self._read(models)
        else:
            self._file.truncate()
        if self._end() == 0:
            self._write({"models": models})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not (self.finished or self._known or self._pieces):
            self.remove()
        with suppress(OSError):  # what a full disk did not take is tried again, in vain
            self._file.close()

    def _read(self, models: dict[str, str]) -> None:
        """Learn what an earlier run answered; what it could not answer is tried again."""
        if not (header := self._file.readline()).endswith(b"\n"):
            self._file.truncate(0)
            return
        if _parsed(header).get("models") != models:
            self._file.close()
            raise BatchError(
                f"{self._path} was begun with other models or another profile. Use those, or start "
                "over without --resume."
            )
        offset = len(header)
        for line in self._file:
            if not line.endswith(b"\n"):  # the run was killed while it wrote
                self._file.truncate(offset)
                break
            record = _parsed(line)
            if "images" in record:
                self._known[_state_hash(record)] = offset
            elif "tiles" in record:
                self._pieces.setdefault(_state_hash(record), []).append(offset)
            offset += len(line)

    def pending(self, paths: Iterable[Path]) -> Iterator[tuple[int, Path]]:
        """Give every file its place and yield those that are still to be answered."""
        for place, path in enumerate(paths):
            state = file_state(path)
            offset = self._known.get(hash(state), _PENDING)
            self._offsets.append(offset)
            self._failed.append(0)
            if offset == _PENDING:
                self._running[place] = state
                yield place, path
            else:
                self.finished += 1

    def add(self, place: int, answer: Sequence[Answer] | FailedFile) -> None:
        """Write down what was answered, for each image of the file.

        Raises BatchError when the disk takes no more.
        """
        state = asdict(self._running.pop(place))
        if isinstance(answer, FailedFile):
            self._failed[place] = 1
            state["error"] = asdict(answer)
        else:
            state["images"] = list(answer)
        self._offsets[place] = self._write(state)
        self.finished += 1

    def add_piece(self, place: int, piece: PieceResult) -> None:
        """Write down what was found in a piece of a slide. Raises BatchError as `add` does."""
        tiles = _TILES.dump_python(piece.tiles, mode="json")
        state = self._running[place]
        offset = self._write({**asdict(state), "tiles": tiles})
        self._pieces.setdefault(hash(state), []).append(offset)

    def tiles(self, place: int) -> Iterator[TileResult]:
        """Yield what was found in tiles of a slide that is under way, by earlier runs too."""
        for offset in self._pieces.get(hash(self._running[place]), ()):
            self._file.seek(offset)
            with suppress(ValidationError):  # of another version of the program
                yield from _TILES.validate_python(json.loads(self._file.readline())["tiles"])

    def images(self) -> Iterator[Answer]:
        """Yield the answers in the order of the files and of the images in them."""
        return (image for record in self._records(failed=0) for image in record["images"])

    def errors(self) -> Iterator[Answer]:
        """Yield the failures in the order of the files."""
        return (record["error"] for record in self._records(failed=1))

    @property
    def failed(self) -> int:
        """Files that could not be answered."""
        return self._failed.count(1)

    def remove(self) -> None:
        """Remove the journal; its answers are elsewhere."""
        self._path.unlink(missing_ok=True)

    def _records(self, *, failed: int) -> Iterator[dict[str, Any]]:
        for offset, has_failed in zip(self._offsets, self._failed, strict=True):
            if has_failed == failed:
                self._file.seek(offset)
                yield json.loads(self._file.readline())

    def _end(self) -> int:
        return self._file.seek(0, os.SEEK_END)

    def _write(self, record: dict[str, Any]) -> int:
        """Append a line and return where it begins."""
        # In ASCII: names of files that are no UTF-8 hold lone surrogates.
        line = json.dumps(record, allow_nan=False).encode("ascii") + b"\n"
        try:
            offset = self._end()
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            raise BatchError(
                f"{self._path} cannot be written ({error.strerror}). Make room, then go on with "
                "--resume."
            ) from error
        return offset


def _state_hash(record: dict[str, Any]) -> int:
    return hash(FileState(record["path"], record["size"], record["modified"]))


def _parsed(line: bytes) -> dict[str, Any]:
    """Return the record of a line; an empty one when a power cut left no JSON there."""
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
