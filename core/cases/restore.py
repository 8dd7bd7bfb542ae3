"""Fill an empty store from a backup; both may use either database."""

import argparse
import hashlib
import json
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import Connection, Date, DateTime, MetaData, Table, insert, text
from sqlalchemy.exc import OperationalError, StatementError
from sqlalchemy.types import JSON

from core.cases.audit import verify_in
from core.cases.backup import FORMAT, IMAGES, MANIFEST, PROFILES, TABLES
from core.cases.blob_store import EncodedImage
from core.cases.database import Database, migrate, open_empty
from core.errors import BackupError
from core.settings import Settings, get_settings

_ROWS_AT_ONCE = 500
_BLOCK = 1 << 20
_MOST_AT_ONCE = 1_000_000_000
"""Bytes of an image, a profile, the manifest or a row: each is held in memory."""
_NAMES = re.compile(rf"{TABLES}/\w+\.jsonl|{IMAGES}/[0-9a-f]{{64}}\.png|{PROFILES}/[^/\\\0]+")
_BROKEN = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    RuntimeError,  # packed in a way that is not known here, or with a password
    EOFError,
    OverflowError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a damaged archive, or one that somebody wrote by hand, may raise."""


def restore_backup(file: Path, settings: Settings | None = None) -> Mapping[str, int]:
    """Restore everything; return the numbers of rows by table.

    The whole backup is checked before anything is written, and the audit trail once all is. Raises
    BackupError when the backup is damaged or the place is not empty, StoreTooNewError when a newer
    version made it, and the errors of `Database.writing`; the place is empty again then.
    """
    settings = settings or get_settings()
    try:
        with zipfile.ZipFile(file) as archive:
            manifest = _checked_manifest(archive)
            database = open_empty(settings)
            try:
                _fill(database, archive, manifest, settings)
            except BaseException:
                _empty(database, settings)
                raise
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise BackupError(f"{file} cannot be read as a backup. Check its name.") from error
    database.engine.dispose()
    rows: Mapping[str, int] = manifest["rows"]
    return rows


def _checked_manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    """Return the manifest once every file is what it says."""
    with _as_damage():
        manifest: dict[str, Any] = json.loads(_whole(archive, MANIFEST))
        files: dict[str, dict[str, Any]] = manifest["files"]
        held = set(archive.namelist()) - {MANIFEST}
        if manifest["format"] != FORMAT:
            raise _damaged("its format is not known here")
        if held != set(files):
            raise _damaged("files are missing or were added")
        for name, told in files.items():
            if not _NAMES.fullmatch(name):
                raise _damaged("it holds a file that belongs in no backup")
            digest = hashlib.sha256()
            with archive.open(name) as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
            if digest.hexdigest() != told["sha256"]:
                raise _damaged(f"{name} was changed")
            if name.startswith(f"{IMAGES}/") and name != f"{IMAGES}/{told['sha256']}.png":
                raise _damaged(f"{name} is another image than its name says")
        return manifest


@contextmanager
def _as_damage() -> Iterator[None]:
    """Turn what a damaged backup makes of the block into its sentence."""
    try:
        yield
    except _BROKEN as error:
        raise _damaged("it cannot be read to its end") from error
    except StatementError as error:
        # The place was empty, so what contradicts itself is the backup.
        if isinstance(error, OperationalError):
            raise
        raise _damaged("its rows contradict one another") from error


def _whole(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a file of the archive. Raises BackupError for one that unpacks without an end."""
    if archive.getinfo(name).file_size > _MOST_AT_ONCE:
        raise _damaged(f"{name} is too large")
    return archive.read(name)


def _damaged(why: str) -> BackupError:
    return BackupError(f"The backup is damaged: {why}. Nothing was restored. Use another backup.")


def _fill(
    database: Database, archive: zipfile.ZipFile, manifest: Mapping[str, Any], settings: Settings
) -> None:
    """Make the schema that the backup was made with, fill it, then bring it up to date."""
    with database.writing() as session, _as_damage():
        connection = session.connection()
        migrate(connection, manifest["schema"])
        known = MetaData()
        known.reflect(connection)
        for table in known.sorted_tables:
            if table.name in manifest["rows"]:
                _fill_table(connection, archive, table)
        for name, last in manifest["last_ids"].items():
            _go_on_after(connection, known.tables[name], last)
        for name, told in manifest["files"].items():
            if name.startswith(f"{IMAGES}/"):
                database.images.write(EncodedImage(told["sha256"], _whole(archive, name)))
        migrate(connection)
        told, found = manifest["audit"], verify_in(session, {})
        if (found.entries, found.last_hash, found.broken) != tuple(told.values()):
            raise _damaged("its audit trail is not the one that was backed up")
        _restore_profiles(archive, manifest, settings)


def _fill_table(connection: Connection, archive: zipfile.ZipFile, table: Table) -> None:
    for column in table.columns:
        if isinstance(column.type, JSON):
            column.type = JSON(none_as_null=True)
    with archive.open(f"{TABLES}/{table.name}.jsonl") as stream:
        lines = iter(lambda: stream.readline(_MOST_AT_ONCE), b"")
        rows = (_row(table, line) for line in lines)
        while block := list(islice(rows, _ROWS_AT_ONCE)):
            connection.execute(insert(table), block)


def _row(table: Table, line: bytes) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(line)
    for name, value in values.items():
        kind = table.c[name].type
        if value is None:
            continue
        if isinstance(kind, DateTime):  # kept as UTC, without its offset
            values[name] = datetime.fromisoformat(value).replace(tzinfo=None)
        elif isinstance(kind, Date):
            values[name] = date.fromisoformat(value)
    return values


def _go_on_after(connection: Connection, table: Table, last: int) -> None:
    """Have a table never give again the ids up to the last one."""
    if connection.dialect.name == "sqlite":
        # Filling the table has set it to the last id that is left.
        connection.execute(
            text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": table.name}
        )
        statement = "INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"
    else:
        statement = "SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)"
    connection.execute(text(statement), {"name": table.name, "last": last})


def _restore_profiles(
    archive: zipfile.ZipFile, manifest: Mapping[str, Any], settings: Settings
) -> None:
    for name in manifest["files"]:
        if name.startswith(f"{PROFILES}/"):
            profile = _whole(archive, name)
            folder = settings.store / PROFILES
            try:
                folder.mkdir(exist_ok=True)
                (folder / PurePosixPath(name).name).write_bytes(profile)
            except OSError as error:
                raise BackupError(
                    f"The site profiles cannot be written to {folder} ({error.strerror}), so "
                    "nothing was restored. Make room or name another store."
                ) from error


def _empty(database: Database, settings: Settings) -> None:
    """Remove what a restore that failed has written."""
    database.images.remove_all_but(())
    database.engine.dispose()
    if database.engine.dialect.name == "sqlite":
        for path in settings.store.glob("leukoscope.sqlite*"):
            path.unlink()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe `python -m core restore`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="backup to restore")


def run(options: argparse.Namespace) -> int:
    """Restore into the place that the settings name and say what is there now."""
    rows = restore_backup(options.file)
    sys.stderr.write(
        f"Restored: patients {rows['patients']:,}, samples {rows['samples']:,}, "
        f"fields {rows['fields']:,}, audit entries {rows['audit']:,}.\n"
    )
    return 0
