"""A copy of everything that is stored, in one file that SQLite and PostgreSQL share.

`python -m core backup FILE` copies while others work; `python -m core restore FILE` fills an empty
place from it. The file is a ZIP: `tables/<name>.jsonl` with a row a line, `images/<sha256>.png`,
`profiles/`, and `manifest.json` with the schema's revision, the head of the audit trail, the ids
that are never given again, and the SHA-256 of every other file. It holds patients' names and
images, unencrypted: protect it as you protect the store.
"""

import argparse
import hashlib
import json
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Table, exists, func, select, text
from sqlalchemy.orm import Session

from core.cases.audit import verify_in
from core.cases.database import Database, get_database, revision_of
from core.cases.orm import AuditRow, Base, FieldRow
from core.errors import BackupError, PictureMissingError
from core.files import open_atomically
from core.settings import Settings, get_settings

FORMAT = 1
MANIFEST = "manifest.json"
TABLES, IMAGES, PROFILES = "tables", "images", "profiles"
_ROWS_AT_ONCE = 1000
_TABLES = Base.metadata.sorted_tables


def make_backup(
    database: Database, file: Path, settings: Settings | None = None
) -> Mapping[str, Any]:
    """Write a backup whole or not at all, and return its manifest.

    What is in it is one state of the database; `missing` are the SHA-256 of images that rows refer
    to and the store does not have. Raises BackupError when the file exists or cannot be written, or
    when a patient was erased meanwhile, and the errors of `Database.reading`.
    """
    settings = settings or get_settings()
    if file.exists():
        raise BackupError(f"{file} exists already. Name a new file.")
    try:
        with open_atomically(file, 0o600) as stream, zipfile.ZipFile(stream, "w") as archive:
            return _Writer(archive).write(database, settings)
    except OSError as error:
        raise BackupError(
            f"{file} cannot be written ({error.strerror}). Make room or name another file."
        ) from error


class _Writer:
    """Fills an archive and notes what went into it."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._files: dict[str, dict[str, Any]] = {}

    def write(self, database: Database, settings: Settings) -> dict[str, Any]:
        """Write everything; return the manifest, which is written last."""
        with database.reading() as session:
            revision = revision_of(session.connection())
            trail = verify_in(session, {})
            last = session.scalar(select(func.max(AuditRow.id))) or 0
            rows = {table.name: self._table(session, table) for table in _TABLES}
            last_ids = _last_ids(session)
            images = session.scalars(select(FieldRow.image).distinct()).all()
        missing = [sha256 for sha256 in sorted(images) if not self._image(database, sha256)]
        for profile in sorted((settings.store / PROFILES).glob("*")):
            if profile.is_file():
                self._add(f"{PROFILES}/{profile.name}", [profile.read_bytes()])
        with database.reading() as session:
            erased = exists().where(AuditRow.id > last, AuditRow.action == "delete patient")
            if session.scalar(select(erased)):
                raise BackupError(
                    "A patient was erased while the backup was made, so it was not kept. "
                    "Start it again."
                )
        manifest = {
            "format": FORMAT,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "schema": revision,
            "audit": {"entries": trail.entries, "hash": trail.last_hash, "broken": trail.broken},
            "rows": rows,
            "last_ids": last_ids,
            "missing": missing,
            "files": self._files,
        }
        self._archive.writestr(MANIFEST, json.dumps(manifest, indent=1), zipfile.ZIP_DEFLATED)
        return manifest

    def _table(self, session: Session, table: Table) -> int:
        count = 0

        def lines() -> Iterator[bytes]:
            nonlocal count
            ordered = select(table).order_by(*table.primary_key.columns)
            found = session.execute(ordered, execution_options={"yield_per": _ROWS_AT_ONCE})
            for row in found.mappings():
                count += 1
                yield json.dumps(dict(row), default=_iso).encode() + b"\n"

        self._add(f"{TABLES}/{table.name}.jsonl", lines(), zipfile.ZIP_DEFLATED)
        return count

    def _image(self, database: Database, sha256: str) -> bool:
        try:
            png = database.images.load(sha256)
        except PictureMissingError:
            return False
        self._add(f"{IMAGES}/{sha256}.png", [png])
        return True

    def _add(
        self, name: str, content: Iterable[bytes], compression: int = zipfile.ZIP_STORED
    ) -> None:
        entry = zipfile.ZipInfo(name, datetime.now(UTC).timetuple()[:6])
        entry.compress_type = compression
        digest, size = hashlib.sha256(), 0
        with self._archive.open(entry, "w", force_zip64=True) as stream:
            for block in content:
                digest.update(block)
                size += len(block)
                stream.write(block)
        self._files[name] = {"sha256": digest.hexdigest(), "bytes": size}


def _iso(value: object) -> str:
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in a backup")


def _last_ids(session: Session) -> dict[str, int]:
    """Return the last id that each table gave, also to a row that is gone."""
    if session.get_bind().dialect.name == "sqlite":
        found = session.execute(text("SELECT name, seq FROM sqlite_sequence"))
        return {name: last for name, last in found if name in Base.metadata.tables}
    last_ids = {}
    for table in _TABLES:
        if table.kwargs.get("sqlite_autoincrement"):
            sequence = session.scalar(select(func.pg_get_serial_sequence(table.name, "id")))
            last, called = session.execute(
                text(f"SELECT last_value, is_called FROM {sequence}")  # noqa: S608 - of our schema
            ).one()
            if called:
                last_ids[table.name] = last
    return last_ids


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe `python -m core backup`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="new file to write")


def run(options: argparse.Namespace) -> int:
    """Write the backup and say what is in it; return 1 when it is not whole, else 0."""
    made = make_backup(get_database(), options.file)
    rows, broken, missing = made["rows"], made["audit"]["broken"], len(made["missing"])
    images = sum(name.startswith(f"{IMAGES}/") for name in made["files"])
    sys.stderr.write(
        f"Backed up: patients {rows['patients']:,}, samples {rows['samples']:,}, "
        f"images {images:,}, audit entries {made['audit']['entries']:,}. {options.file}, "
        f"{options.file.stat().st_size / 1e6:,.1f} MB.\n"
    )
    if broken:
        sys.stderr.write(f"The audit trail is broken at entry {broken:,}.\n")
    if missing:
        sys.stderr.write(
            f"{missing:,} images are missing or damaged in the store and so in the "
            "backup. Restore them from an older one.\n"
        )
    return 1 if missing or broken else 0
