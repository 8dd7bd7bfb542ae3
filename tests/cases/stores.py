"""Empty case databases for tests, on SQLite or on a PostgreSQL server."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine, make_url

KINDS = ("sqlite", "postgresql")


@contextmanager
def empty_database(kind: str) -> Iterator[str | None]:
    """Give the address of an empty database; None stands for SQLite in the store folder."""
    if kind == "sqlite":
        yield None
        return
    server = _server()
    name = f"test_{secrets.token_hex(6)}"
    _sql(server, f"CREATE DATABASE {name}")
    yield make_url(server).set(database=name).render_as_string(hide_password=False)
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
