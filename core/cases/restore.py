"""Fills an empty place from a backup, whichever of the two databases either of them uses."""

import argparse
import hashlib
import json
import sys
import zipfile
from collections.abc import Mapping
from datetime import date, datetime
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import Connection, Date, DateTime, MetaData, Table, insert, text
from sqlalchemy.types import JSON

from core.cases.audit import verify_in
from core.cases.backup import FORMAT, IMAGES, MANIFEST, PROFILES, TABLES
from core.cases.database import Database, migrate, open_empty
from core.cases.images import Picture
from core.errors import BackupError
from core.settings import Settings, get_settings

_ROWS_AT_ONCE = 500
_BLOCK = 1 << 20


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
                _fill(database, archive, manifest)
                _restore_profiles(archive, manifest, settings)
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
    try:
        manifest: dict[str, Any] = json.loads(archive.read(MANIFEST))
        files: dict[str, dict[str, Any]] = manifest["files"]
        held = set(archive.namelist()) - {MANIFEST}
        if manifest["format"] != FORMAT:
            raise _damaged("its format is not known here")
        if held != set(files):
            raise _damaged("files are missing or were added")
        for name, told in files.items():
            digest = hashlib.sha256()
            with archive.open(name) as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
            if digest.hexdigest() != told["sha256"]:
                raise _damaged(f"{name} was changed")
    except (KeyError, TypeError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise _damaged("it cannot be read to its end") from error
    return manifest


def _damaged(why: str) -> BackupError:
    return BackupError(f"The backup is damaged: {why}. Nothing was restored. Use another backup.")


def _fill(database: Database, archive: zipfile.ZipFile, manifest: Mapping[str, Any]) -> None:
    """Make the schema that the backup was made with, fill it, then bring it up to date."""
    with database.writing() as session:
        connection = session.connection()
        migrate(connection, manifest["schema"])
        known = MetaData()
        known.reflect(connection)
        for table in known.sorted_tables:
            if table.name in manifest["rows"]:
                _fill_table(connection, archive, table)
        for name, last in manifest["last_ids"].items():
            _go_on_after(connection, known.tables[name], last)
        for name in manifest["files"]:
            path = PurePosixPath(name)
            if path.parent.name == IMAGES:
                database.pictures.write(Picture(path.stem, archive.read(name)))
        migrate(connection)
        told, found = manifest["audit"], verify_in(session, {})
        if (found.entries, found.last_hash, found.broken) != tuple(told.values()):
            raise _damaged("its audit trail is not the one that was backed up")


def _fill_table(connection: Connection, archive: zipfile.ZipFile, table: Table) -> None:
    for column in table.columns:
        if isinstance(column.type, JSON):
            column.type = JSON(none_as_null=True)
    with archive.open(f"{TABLES}/{table.name}.jsonl") as stream:
        rows = (_row(table, line) for line in stream)
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
        path = PurePosixPath(name)
        if path.parent.name == PROFILES:
            folder = settings.store / PROFILES
            folder.mkdir(exist_ok=True)
            (folder / path.name).write_bytes(archive.read(name))


def _empty(database: Database, settings: Settings) -> None:
    """Remove what a restore that failed has written."""
    database.pictures.remove_all_but(())
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
        f"Restored {rows['patients']:,} patients, {rows['samples']:,} samples, "
        f"{rows['fields']:,} fields and {rows['audit']:,} audit entries.\n"
    )
    return 0
