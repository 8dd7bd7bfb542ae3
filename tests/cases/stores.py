"""Case databases for tests, on SQLite or on a PostgreSQL server.

Most tests start with a copy of a migrated database: the migrations took longer than the tests.
"""

import atexit
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import create_engine, make_url

from core.cases.database import open_database
from core.settings import Settings

KINDS = ("sqlite", "postgresql")
_FILE = "leukoscope.sqlite"


@contextmanager
def empty_database(kind: str) -> Iterator[str | None]:
    """Give the address of an empty database; None stands for SQLite in the store folder."""
    if kind == "sqlite":
        yield None
        return
    with _created() as name:
        yield _address(name)


@contextmanager
def migrated_database(kind: str, store: Path) -> Iterator[str | None]:
    """Give the address of a database without cases; of SQLite it is put into the store folder."""
    if kind == "sqlite":
        put_migrated(store)
        yield None
        return
    with _created(f"TEMPLATE {_template()}") as name:
        yield _address(name)


def put_migrated(store: Path) -> None:
    """Put a SQLite database without cases into a store folder."""
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    (store / _FILE).write_bytes(_migrated_file())


@cache
def _migrated_file() -> bytes:
    with TemporaryDirectory() as folder:
        _migrate(Path(folder), None)
        return Path(folder, _FILE).read_bytes()


@cache
def _template() -> str:
    """Return the name of a migrated database on the server, dropped when the process ends."""
    name = f"template_{secrets.token_hex(6)}"
    _sql(_server(), f"CREATE DATABASE {name}")
    atexit.register(partial(_drop, _server(), name))
    with TemporaryDirectory() as folder:
        _migrate(Path(folder), _address(name))
    return name


def _migrate(store: Path, address: str | None) -> None:
    settings = Settings(_env_file=None, store=store, database_url=address)
    open_database(settings).engine.dispose()


@contextmanager
def _created(options: str = "") -> Iterator[str]:
    """Create a database on the server and drop it in the end; give its name."""
    name = f"test_{secrets.token_hex(6)}"
    _sql(_server(), f"CREATE DATABASE {name} {options}")
    yield name
    _drop(_server(), name)


def _address(name: str) -> str:
    return make_url(_server()).set(database=name).render_as_string(hide_password=False)


def _drop(server: str, name: str) -> None:
    _sql(server, f"DROP DATABASE {name} WITH (FORCE)")


def _server() -> str:
    """Address of a server for tests; skip without one, fail where it is required."""
    address = os.environ.get("LEUKOSCOPE_TEST_POSTGRESQL")
    if not address:
        reason = "no PostgreSQL server; set LEUKOSCOPE_TEST_POSTGRESQL"
        if os.environ.get("LEUKOSCOPE_REQUIRE_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return address


def _sql(address: str, statement: str) -> None:
    engine = create_engine(
        make_url(address).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
