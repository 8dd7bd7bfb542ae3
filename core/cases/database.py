"""Opens the case database: SQLite with nothing to set up, or PostgreSQL by one setting.

Writers take turns on both: SQLite locks the file when a writing transaction begins, PostgreSQL
gets an advisory lock. So the checks before a write still hold when it is made, the audit chain
cannot fork, and both databases behave alike. Readers never wait, and see one state throughout.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.orm import Session

from core.cases.images import PictureFolder, PictureStore
from core.errors import InvalidEntryError, StoreTooNewError, StoreUnavailableError
from core.settings import Settings, get_settings

SECONDS_TO_WAIT = 30
"""How long a writer waits for its turn."""
SECONDS_TO_CONNECT = 5
"""How long a server may take to answer: pages without cases wait for it too, for their ranges."""
_MIGRATIONS = Path(__file__).parent / "migrations"
_WRITERS_LOCK = 0x1E0C05C09E  # PostgreSQL wants a number that no other program uses here

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Database:
    """An open case database with its pictures. Safe to share between threads."""

    engine: Engine
    pictures: PictureStore

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give a session that sees one state of the database and changes nothing.

        Raises StoreUnavailableError.
        """
        with _as_sentences(), Session(self.engine, autoflush=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Give a session for one change: kept whole when the block ends well, else not at all.

        Waits for its turn. Raises StoreUnavailableError when that does not come.
        """
        engine = self.engine.execution_options(writing=True)
        if engine.dialect.name == "postgresql":  # after the wait, see what the last writer did
            engine = engine.execution_options(isolation_level="READ COMMITTED")
        with _as_sentences(), Session(engine, expire_on_commit=False) as session, session.begin():
            session.connection()  # the turn begins here, not with the first statement
            yield session


def open_database(settings: Settings | None = None) -> Database:
    """Open the database, making or migrating it first; several processes may do so at once.

    Raises StoreUnavailableError, StoreTooNewError.
    """
    settings = settings or get_settings()
    try:
        pictures = _pictures(settings)
        lock = (settings.store / "opening.lock").open("w")
    except OSError as error:
        raise StoreUnavailableError from error
    if settings.database_url is None:
        engine = _sqlite(settings.store / "leukoscope.sqlite")
    else:
        engine = _postgresql(settings.database_url.get_secret_value())
    database = Database(engine, pictures)
    with lock:
        flock(lock, LOCK_EX)  # SQLite does not wait its turn while a file changes to WAL
        with database.writing() as session:
            _migrate(session.connection())
    return database


@cache
def get_database() -> Database:
    """Return the database of this process. Raises as `open_database`; a failure is not kept."""
    return open_database()


def _pictures(settings: Settings) -> PictureStore:
    """Return where pictures are kept. Raises OSError when the folder cannot be made."""
    settings.store.mkdir(parents=True, exist_ok=True)
    if settings.pictures is None:
        folder = settings.store / "images"
        folder.mkdir(exist_ok=True)
        return PictureFolder(folder)
    from core.cases.bucket import open_bucket

    return open_bucket(settings.pictures.get_secret_value())


def _sqlite(path: Path) -> Engine:
    address = URL.create("sqlite", database=str(path))
    engine = create_engine(address, connect_args={"timeout": SECONDS_TO_WAIT})

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin below, not at Python's guess
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",  # a change that was answered survives a power cut
            "foreign_keys = ON",
            "recursive_triggers = ON",  # INSERT OR REPLACE is a deletion too
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        writing = connection.get_execution_options().get("writing")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _postgresql(address: str) -> Engine:
    url = make_url(address).set(drivername="postgresql+psycopg")
    engine = create_engine(
        url,
        isolation_level="REPEATABLE READ",
        pool_pre_ping=True,
        connect_args={"connect_timeout": SECONDS_TO_CONNECT},
    )

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        if connection.get_execution_options().get("writing"):
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{SECONDS_TO_WAIT}s'")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS_LOCK})")

    return engine


def _migrate(connection: Connection) -> None:
    """Bring the schema up to date, within the transaction of the connection."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS))
    try:
        command.upgrade(config, "head")
    except CommandError as error:  # its step is not among ours
        raise StoreTooNewError from error


@contextmanager
def _as_sentences() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        logger.exception("the case database failed")
        raise StoreUnavailableError from error
    except (DataError, OverflowError) as error:  # such as a NUL character, or an id of 30 digits
        raise InvalidEntryError(
            "What was entered is too long or too large, or holds characters that are no text."
        ) from error
