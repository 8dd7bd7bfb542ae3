"""Slides that users upload: they arrive piece by piece, and only who sent one sees it.

Every user has a folder and every upload one in it. The file of an unfinished upload is hidden, with
a dot before its name, so that it is no slide yet; it takes its name once it has been opened. What
has arrived is the file itself: an upload goes on after a lost connection, a reload or a restart.
"""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fcntl import LOCK_EX, flock
from pathlib import Path
from threading import Lock

from core.cases.users import folder_of
from core.errors import (
    DamagedSlideError,
    EmptyFileError,
    InputError,
    SlideUploadNotFoundError,
    SlideUploadOffsetError,
    SlideUploadsFullError,
    SlideUploadTooLargeError,
    TooManySlideUploadsError,
    UnreadableRequestError,
    UnsupportedFormatError,
)
from core.files import sync_folder, write_atomically
from core.imaging.decoder import decoded
from core.imaging.formats import SUFFIXES
from core.imaging.read import check_bytes, display_name
from core.imaging.wsi import SLIDE_SUFFIXES
from core.settings import Settings
from core.slides import probe
from core.slides.planes import focus_planes

UPLOADED_SUFFIXES = SLIDE_SUFFIXES | SUFFIXES - {".mrxs"}
MOST_UNFINISHED = 20
"""Uploads of one user."""
_RECORD = ".upload.json"
_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_LONGEST_STEM = 180
"""Bytes; file systems take 255 for a name."""
_FREE_BYTES = 1_000_000_000
"""Of the disk, which uploads leave to others."""
_PATIENCE = 6
"""Seconds by the clock for each second of processor time: a machine may be busy."""
_creating = Lock()


@dataclass(frozen=True, slots=True)
class SlideUpload:
    """An upload, unfinished or not."""

    id: str
    name: str
    length: int
    """Bytes of the whole file."""
    offset: int
    """Bytes that are there."""
    modified: int
    """When the file changed on the user's machine, in ms since 1970: it distinguishes two files of
    one name and size."""
    expires: datetime | None
    """UTC; None once it is finished."""
    path: Path

    @property
    def finished(self) -> bool:
        """Whether the file is a slide now."""
        return self.expires is None


class SlideUploads:
    """The uploads of one user."""

    def __init__(self, owner: str, settings: Settings) -> None:
        self.owner = owner
        self.folder = settings.slide_uploads / folder_of(owner)
        self._settings = settings

    def create(self, name: str, length: int, modified: int = 0) -> SlideUpload:
        """Begin an upload, and delete those that expired.

        Raises UnsupportedFormatError for another kind of file, EmptyFileError,
        SlideUploadTooLargeError, TooManySlideUploadsError, SlideUploadsFullError.
        """
        most = self._settings.slide_upload_megabytes
        if length > most * 1_000_000 or not most:
            raise SlideUploadTooLargeError(most)
        if length == 0:
            raise EmptyFileError
        stored = _stored_name(name, neutral=self._settings.neutral_names)
        expire_uploads(self._settings)
        with _creating, _no_room():
            if len(self.unfinished()) >= MOST_UNFINISHED:
                raise TooManySlideUploadsError(MOST_UNFINISHED)
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check_room(length)
            folder = self.folder / secrets.token_hex(16)
            folder.mkdir(mode=0o700)
            write_atomically(folder / _RECORD, json.dumps({"length": length, "modified": modified}))
            (folder / f".{stored}").touch(0o600)
        return self.get(folder.name)

    def get(self, upload_id: str) -> SlideUpload:
        """Return an upload of the user. Raises SlideUploadNotFoundError."""
        if not _ID.fullmatch(upload_id):
            raise SlideUploadNotFoundError
        found = _upload_in(self.folder / upload_id, self._settings)
        if found is None:
            raise SlideUploadNotFoundError
        return found

    def unfinished(self) -> list[SlideUpload]:
        """Return the uploads that go on, the last one first."""
        found = (_upload_in(folder, self._settings) for folder in _folders(self.folder))
        going_on = [upload for upload in found if upload is not None and not upload.finished]
        return sorted(going_on, key=lambda upload: upload.expires or _LONG_AGO, reverse=True)

    def append(self, upload_id: str, offset: int, data: bytes) -> int:
        """Add bytes to an upload at an offset; return the next one.

        Two requests may send the same file: the bytes of one are taken. Raises
        SlideUploadNotFoundError, SlideUploadOffsetError, UnreadableRequestError for more bytes than
        were announced, SlideUploadsFullError.
        """
        upload = self.get(upload_id)
        if offset != upload.offset:
            raise SlideUploadOffsetError(upload.offset)
        if not data:
            return offset
        if offset + len(data) > upload.length:
            raise UnreadableRequestError(
                f"The upload was announced with {upload.length:,} bytes and has more now."
            )
        try:
            with _no_room(), upload.path.open("r+b") as file:
                flock(file, LOCK_EX)
                here = file.seek(0, os.SEEK_END)
                if here != offset:
                    raise SlideUploadOffsetError(here)
                try:
                    file.write(data)
                    file.flush()
                except OSError:
                    file.truncate(here)
                    raise
        except FileNotFoundError as error:  # finished or deleted just now
            raise SlideUploadNotFoundError from error
        return offset + len(data)

    def finish(self, upload_id: str) -> SlideUpload:
        """Make a whole upload a slide, or delete it if it is none.

        Raises InputError, SlideUploadNotFoundError, SlideUploadOffsetError.
        """
        upload = self.get(upload_id)
        if upload.offset < upload.length:
            raise SlideUploadOffsetError(upload.offset)
        if upload.finished:
            return upload
        try:
            _check_opens(upload.path, self._settings)
        except InputError:
            self.delete(upload_id)
            raise
        with suppress(FileNotFoundError):  # another request has just finished it
            with upload.path.open("rb") as file:
                os.fsync(file.fileno())
            upload.path.rename(upload.path.with_name(upload.name))
            sync_folder(upload.path.parent)
        return self.get(upload_id)

    def delete(self, upload_id: str) -> None:
        """Delete an upload, finished or not. Raises SlideUploadNotFoundError."""
        shutil.rmtree(self.get(upload_id).path.parent, ignore_errors=True)

    def _check_room(self, length: int) -> None:
        """Raise SlideUploadsFullError unless a file of this length fits too."""
        found = [
            upload
            for owner in _folders(self._settings.slide_uploads)
            for folder in _folders(owner)
            if (upload := _upload_in(folder, self._settings)) is not None
        ]
        together = length + sum(upload.length for upload in found)
        coming = length + sum(upload.length - upload.offset for upload in found)
        free = shutil.disk_usage(self.folder).free
        most = self._settings.slide_uploads_total_megabytes * 1_000_000
        if together > most or coming + _FREE_BYTES > free:
            raise SlideUploadsFullError


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def expire_uploads(settings: Settings) -> int:
    """Delete unfinished uploads that nobody continued; return how many."""
    now, number = datetime.now(UTC), 0
    for owner in _folders(settings.slide_uploads):
        for folder in _folders(owner):
            upload = _upload_in(folder, settings)
            expires = _expiry(folder, settings) if upload is None else upload.expires
            if expires is not None and expires < now:
                shutil.rmtree(folder, ignore_errors=True)
                number += 1
    return number


def _upload_in(folder: Path, settings: Settings) -> SlideUpload | None:
    """Return the upload of a folder; None where there is none, or one that is being made."""
    try:
        record = json.loads((folder / _RECORD).read_text("utf-8"))
        (path,) = (path for path in folder.iterdir() if path.suffix.lower() in UPLOADED_SUFFIXES)
        size = path.stat().st_size
        return SlideUpload(
            id=folder.name,
            name=path.name.removeprefix("."),
            length=record["length"],
            offset=size,
            modified=record["modified"],
            expires=_expiry(path, settings) if path.name.startswith(".") else None,
            path=path,
        )
    except (OSError, ValueError, KeyError):
        return None


def _expiry(path: Path, settings: Settings) -> datetime:
    try:
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:  # deleted just now
        changed = datetime.now(UTC)
    return changed + timedelta(days=settings.slide_upload_days)


def _folders(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []


@contextmanager
def _no_room() -> Iterator[None]:
    """Raise SlideUploadsFullError for what the disk refuses in the block."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SlideUploadsFullError from error


def _stored_name(sent: str, *, neutral: bool) -> str:
    """Return the name of a file on the server: one that no folder is in and that is not hidden.

    Raises UnsupportedFormatError.
    """
    name = Path(display_name(sent).lstrip(". "))
    suffix = name.suffix.lower()
    if suffix == ".mrxs":
        raise UnsupportedFormatError(
            "A MIRAX slide, which lies in several files,",
            "Ask the administrator to copy it into a slide folder.",
        )
    if suffix not in UPLOADED_SUFFIXES:
        raise UnsupportedFormatError(
            "This kind of file",
            "Upload a slide (SVS, NDPI, SCN, BIF, CZI, DICOM or TIFF in one file) or an image.",
        )
    if neutral:
        return f"slide{suffix}"
    stem = name.stem.encode()[:_LONGEST_STEM].decode(errors="ignore")
    return f"{stem}{suffix}"


def _check_opens(path: Path, settings: Settings) -> None:
    """Raise InputError unless a file can be opened as a slide or as a single image.

    That happens in other processes: what a client sent may crash the library that reads it.
    """
    if focus_planes(path).number > 1:
        return
    try:
        subprocess.run(  # noqa: S603 - our own interpreter and program
            [sys.executable, "-I", probe.__file__, str(path)],
            check=True,
            timeout=_PATIENCE * probe.SECONDS,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except subprocess.CalledProcessError as error:
        if error.returncode != probe.NO_SLIDE:
            raise DamagedSlideError from error
        check_bytes(path.stat().st_size, settings)
        with decoded(path.read_bytes(), path.name, settings=settings):
            pass
    except subprocess.TimeoutExpired as error:
        raise DamagedSlideError from error
