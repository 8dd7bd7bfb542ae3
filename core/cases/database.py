"""Open the case database: SQLite without any set-up, or PostgreSQL by one setting.

A store that this process may not write to is opened read-only.

One writer at a time holds the write lock: SQLite locks the file when a writing transaction begins,
PostgreSQL takes an advisory lock. So the checks before a write still hold when it is made, the
audit chain cannot fork, and both databases behave alike. Readers never wait, and see one state.
"""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fcntl import LOCK_EX, flock
from functools import cache, partial
from pathlib import Path
from threading import Event
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    QueuePool,
    SelectBase,
    create_engine,
    event,
    func,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from core.cases.blob_store import ImageFolder, ImageStore
from core.cases.heads import Heads, open_heads
from core.cases.orm import Base
from core.errors import (
    BackupError,
    CaseError,
    ChangeRefusedError,
    InvalidEntryError,
    NotFoundError,
    StoreDamagedError,
    StoreReadOnlyError,
    StoreTooNewError,
    StoreUnavailableError,
)
from core.settings import Settings, get_settings

SECONDS_TO_WAIT = 30
"""How long a writer waits for the write lock."""
SECONDS_TO_CONNECT = 5
"""How long a server may take to answer. Pages without cases wait too: they need its ranges."""
AUDIT_HEAD = "audit_head"
"""Key in a session's `info` of the number and hash of the last audit entry that it wrote."""
_NOT_EMPTY = (
    "The place holds data already, and a backup is only restored into an empty one. Name a new "
    "folder with LEUKOSCOPE_STORE, or a new database with LEUKOSCOPE_DATABASE_URL."
)
_MIGRATIONS = Path(__file__).parent / "migrations"
_WRITERS_LOCK = 0x1E0C05C09E  # PostgreSQL needs a number that no other program uses here

logger = logging.getLogger(__name__)
Row = TypeVar("Row", bound=Base)


@dataclass(frozen=True, slots=True)
class Database:
    """An open case database with its images. Safe to share between threads."""

    engine: Engine
    images: ImageStore
    read_only: bool = False
    """This process may not write to the store; every change raises StoreReadOnlyError."""
    heads: Heads = field(default_factory=Heads)
    """Where the audit trail's head goes after every change."""
    _damaged: Event = field(default_factory=Event)
    """Set for good once damage was found, so that `check` reports it from then on."""

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Yield a session that sees one state of the database and changes nothing.

        Raises StoreUnavailableError, StoreDamagedError.
        """
        with self._as_sentences(), Session(self.engine, autoflush=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Yield a session for one change: committed when the block ends well, else rolled back.

        Waits for the write lock. Raises StoreUnavailableError when it does not get it,
        StoreReadOnlyError, StoreDamagedError and ChangeRefusedError.
        """
        if self.read_only:
            raise StoreReadOnlyError
        engine = self.engine.execution_options(writing=True)
        if engine.dialect.name == "postgresql":  # after the wait, see the last change
            engine = engine.execution_options(isolation_level="READ COMMITTED")
        with (
            self._as_sentences(),
            Session(engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            session.connection()  # take the write lock now, not with the first statement
            yield session
        if AUDIT_HEAD in session.info:
            self.heads.append(*session.info[AUDIT_HEAD])

    def check(self, *, whole: bool = False) -> None:
        """Read from every table; with `whole` have SQLite read its entire file too.

        Raises StoreUnavailableError, and StoreDamagedError also when damage was found earlier.
        """
        if self._damaged.is_set():
            raise StoreDamagedError
        with self.reading() as session:
            for table in Base.metadata.sorted_tables:
                session.execute(select(table).limit(1)).all()
            if whole and self.engine.dialect.name == "sqlite":
                found = session.execute(text("PRAGMA quick_check(1)")).scalar()
                if found != "ok":
                    logger.error("the case database is damaged; SQLite found it")
                    self._damaged.set()
                    raise StoreDamagedError

    def forget(self) -> None:
        """Move SQLite's log into its file and empty it, because it holds what was erased.

        PostgreSQL frees the rows' room by itself, at its next vacuum. Readers of an older state
        hold this up for as long as a writer waits at most; then it is logged, and the log is
        emptied when the server stops.
        """
        if self.engine.dialect.name != "sqlite":
            return
        with self._as_sentences():
            connection = self.engine.raw_connection()
            try:
                cursor = connection.cursor()
                waiting = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            finally:
                connection.close()
        if waiting:
            logger.warning("the log of the case database still holds what was erased")

    @contextmanager
    def _as_sentences(self) -> Iterator[None]:
        """Turn every error of the database into its sentence, and log its kind.

        Drivers quote values in the text of their errors, so the text is never logged.
        """
        try:
            yield
        except (DataError, OverflowError, UnicodeEncodeError) as error:
            # Such as a NUL character, a lone surrogate, or an id of 30 digits.
            raise InvalidEntryError(
                "What was entered is too long or too large, or holds characters that are no text."
            ) from error
        except PoolTimeoutError as error:
            logger.error("all connections to the case database are taken")  # noqa: TRY400
            raise StoreUnavailableError from error
        except DBAPIError as error:
            kind = _kind_of(error)
            if kind is StoreDamagedError:
                self._damaged.set()
            raise kind() from error
        except ValueError as error:  # a stored value is no date, no JSON or no text
            logger.error("the case database holds a damaged value: %s", type(error).__name__)  # noqa: TRY400
            self._damaged.set()
            raise StoreDamagedError from error


def existing(session: Session, table: type[Row], key: int | str, called: str) -> Row:
    """Return a row by its key. Raises NotFoundError, which calls the row so."""
    row = session.get(table, key)
    if row is None:
        raise NotFoundError(called)
    return row


def count(session: Session, found: SelectBase) -> int:
    """Return how many rows a selection has."""
    return session.scalar(select(func.count()).select_from(found.subquery())) or 0


def open_database(settings: Settings | None = None) -> Database:
    """Open the database, creating or migrating it first; several processes may do so at once.

    Raises StoreUnavailableError, StoreDamagedError, StoreTooNewError, StoreReadOnlyError when it
    would have to be migrated but may not be written to, and SettingsError for what is to keep or
    sign the audit trail's head.
    """
    settings = settings or get_settings()
    heads = open_heads(settings)
    file = settings.store / "leukoscope.sqlite"
    # SQLite writes to the file, and makes its log beside it.
    may_write = all(os.access(path, os.W_OK) for path in (file, file.parent))
    if settings.database_url is None and file.exists() and not may_write:
        return _open_to_read(settings, file)
    database = replace(_connect(settings, file), heads=heads)
    try:
        lock = (settings.store / "opening.lock").open("w")
    except OSError as error:
        raise StoreUnavailableError from error
    with lock:
        flock(lock, LOCK_EX)  # SQLite does not wait for the lock while a file changes to WAL
        with database.writing() as session:
            migrate(session.connection())
    return database


def open_empty(settings: Settings) -> Database:
    """Open an empty store without creating tables.

    Raises BackupError when anything is there, and StoreUnavailableError.
    """
    file = settings.store / "leukoscope.sqlite"
    if settings.database_url is None and file.exists():
        raise BackupError(_NOT_EMPTY)
    database = _connect(settings, file)
    with database.reading() as session:
        tables = inspect(session.connection()).get_table_names()
    if tables or not database.images.is_empty():
        raise BackupError(_NOT_EMPTY)
    return database


def _connect(settings: Settings, file: Path) -> Database:
    try:
        images = _open_images(settings)
    except OSError as error:
        raise StoreUnavailableError from error
    if settings.database_url is None:
        return Database(_sqlite(file), images)
    return Database(_postgresql(settings.database_url.get_secret_value()), images)


def _open_to_read(settings: Settings, file: Path) -> Database:
    logger.warning("the store may not be written to: cases can be read, views are not audited")
    images = ImageFolder(_image_folder(settings)) if settings.pictures is None else None
    database = Database(_sqlite_to_read(file), images or _open_images(settings), read_only=True)
    with database.reading() as session:
        if not _is_migrated(session.connection()):
            raise StoreReadOnlyError
    return database


@cache
def get_database() -> Database:
    """Return the database of this process. Raises as `open_database`; a failure is not kept."""
    return open_database()


def _open_images(settings: Settings) -> ImageStore:
    """Return where images are kept. Raises OSError when the folder cannot be made."""
    # For its owner only: names of patients are in it. A folder that is there keeps its rights.
    settings.store.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.pictures is None:
        folder = _image_folder(settings)
        folder.mkdir(exist_ok=True)
        return ImageFolder(folder)
    from core.cases.bucket import open_bucket

    return open_bucket(settings.pictures.get_secret_value())


def _image_folder(settings: Settings) -> Path:
    return settings.store / "images"


def _sqlite(path: Path) -> Engine:
    address = URL.create("sqlite", database=str(path))
    engine = create_engine(address, connect_args={"timeout": SECONDS_TO_WAIT}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin below, not at Python's guess
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",  # a change that was answered survives a power cut
            "foreign_keys = ON",
            "recursive_triggers = ON",  # INSERT OR REPLACE is a deletion too
            "secure_delete = ON",  # what is erased or overwritten is gone from the file too
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        writing = connection.get_execution_options().get("writing")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _sqlite_to_read(path: Path) -> Engine:
    """Open a file to be read, as https://sqlite.org/wal.html#read_only_databases has it."""
    log, index = (path.with_name(f"{path.name}-{ending}") for ending in ("wal", "shm"))
    # Without a log nobody writes, and SQLite need not make the index that it may not make.
    live = index.exists() or (log.exists() and log.stat().st_size > 0)
    address = f"file:{quote(str(path.absolute()))}?{'mode=ro' if live else 'immutable=1'}"

    connect = partial(sqlite3.connect, address, uri=True, timeout=SECONDS_TO_WAIT)
    creator = partial(connect, isolation_level=None, check_same_thread=False)
    engine = create_engine("sqlite://", creator=creator, poolclass=QueuePool, hide_parameters=True)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _postgresql(address: str) -> Engine:
    url = make_url(address).set(drivername="postgresql+psycopg")
    engine = create_engine(
        url,
        isolation_level="REPEATABLE READ",
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={"connect_timeout": SECONDS_TO_CONNECT},
    )

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        if connection.get_execution_options().get("writing"):
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{SECONDS_TO_WAIT}s'")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS_LOCK})")

    return engine


def migrate(connection: Connection, revision: str = "head") -> None:
    """Bring the schema to a revision, within the transaction of the connection.

    Raises StoreTooNewError when it, or the revision, is not known here.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS))
    try:
        command.upgrade(config, revision)
    except CommandError as error:  # its step is not among ours
        raise StoreTooNewError from error


def revision_of(connection: Connection) -> str:
    """Return the revision of the schema."""
    from alembic.runtime.migration import MigrationContext

    return str(MigrationContext.configure(connection).get_current_revision())


def _is_migrated(connection: Connection) -> bool:
    """Return whether the schema is the one of this version. Raises StoreTooNewError."""
    from alembic.script import ScriptDirectory

    steps = ScriptDirectory(str(_MIGRATIONS))
    found = revision_of(connection)
    if found not in {step.revision for step in steps.walk_revisions()}:
        raise StoreTooNewError
    return found == steps.get_current_head()


_SQLITE_FOR_NOW = ("BUSY", "LOCKED", "IOERR", "FULL", "CANTOPEN", "PERM", "NOMEM", "PROTOCOL")
"""Codes of SQLite, without their first word, of what may work later."""
_POSTGRESQL_READ_ONLY = ("25006", "42501")
"""https://www.postgresql.org/docs/current/errcodes-appendix.html"""


def _kind_of(error: DBAPIError) -> type[CaseError]:
    """Return what an error of a driver means, and log its kind and code."""
    cause = error.orig
    code = str(getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or "")
    logger.error("the case database failed: %s %s", type(cause).__name__, code)
    if isinstance(error, IntegrityError):
        return ChangeRefusedError
    if code.startswith("SQLITE_READONLY") or code in _POSTGRESQL_READ_ONLY:
        return StoreReadOnlyError
    if isinstance(cause, sqlite3.Error):
        later = code.removeprefix("SQLITE_").startswith(_SQLITE_FOR_NOW)
    else:
        later = isinstance(error, (OperationalError, InterfaceError))
    return StoreUnavailableError if later else StoreDamagedError
