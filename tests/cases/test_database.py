import stat
import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import ValidationError
from sqlalchemy import select, text

from core.cases import database as module
from core.cases.database import open_database
from core.cases.orm import Base, PatientRow
from core.cases.patients import create_patient
from core.cases.records import PatientDetails
from core.cases.samples import load_case
from core.cases.sharing import comment
from core.errors import InvalidEntryError, StoreTooNewError, StoreUnavailableError
from core.settings import Settings
from tests.cases.made import REVIEWER

OPEN = """
import sys
from core.cases.database import open_database
from core.cases.patients import create_patient
from core.cases.records import PatientDetails, User
from core.settings import Settings
store, address, name = sys.argv[1:]
settings = Settings(_env_file=None, store=store, database_url=address)
create_patient(open_database(settings), User("ana", "reviewer"), PatientDetails(name))
"""


def test_migrations_make_the_schema_that_the_code_expects(database):
    with database.writing() as session:
        context = MigrationContext.configure(session.connection())
        assert compare_metadata(context, Base.metadata) == []


def test_processes_that_open_a_new_store_at_once_all_work(settings):
    address = settings.database_url.get_secret_value() if settings.database_url else ""
    started = [
        subprocess.Popen([sys.executable, "-c", OPEN, str(settings.store), address, f"P{i}"])
        for i in range(4)
    ]
    assert [process.wait(60) for process in started] == [0, 0, 0, 0]
    with open_database(settings).reading() as session:
        assert len(session.scalars(select(PatientRow.id)).all()) == 4


def test_a_new_store_is_for_its_owner_only(tmp_path):
    """Other users of the machine may not copy the names of patients."""
    for mode in (None, 0o750):
        store = tmp_path / f"store {mode}"
        if mode is not None:  # somebody made it for a group
            store.mkdir()
            store.chmod(mode)
        open_database(Settings(_env_file=None, store=store, database_url=None)).engine.dispose()
        assert stat.S_IMODE(store.stat().st_mode) == (mode or 0o700)


def test_sqlite_is_set_for_many_users_and_for_power_cuts(database):
    if database.engine.dialect.name != "sqlite":
        pytest.skip("pragmas of SQLite")
    with database.reading() as session:
        values = {
            name: session.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    assert values == {
        "journal_mode": "wal",
        "foreign_keys": 1,
        "synchronous": 2,
        "busy_timeout": 1000 * module.SECONDS_TO_WAIT,
    }


def test_readers_do_not_wait_and_see_one_state(database, patient):
    with database.reading() as reader:
        assert len(reader.scalars(select(PatientRow.id)).all()) == 1
        create_patient(database, REVIEWER, PatientDetails("P-2"))
        assert len(reader.scalars(select(PatientRow.id)).all()) == 1
    with database.reading() as reader:
        assert len(reader.scalars(select(PatientRow.id)).all()) == 2


def test_a_writer_that_gets_no_turn_is_told(settings, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_TO_WAIT", 1)
    database = open_database(settings)
    with database.writing(), pytest.raises(StoreUnavailableError, match="Nothing was changed"):
        create_patient(database, REVIEWER, PatientDetails("P-1"))
    create_patient(database, REVIEWER, PatientDetails("P-1"))
    database.engine.dispose()


def test_a_store_that_cannot_be_opened_is_a_sentence(tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    for unusable in (
        Settings(_env_file=None, store=in_the_way / "store"),
        Settings(_env_file=None, store=tmp_path, database_url="postgresql://u@127.0.0.1:1/none"),
    ):
        with pytest.raises(StoreUnavailableError, match="cannot be reached"):
            open_database(unusable)


def test_the_address_names_postgresql(tmp_path):
    with pytest.raises(ValidationError, match="postgresql://"):
        Settings(_env_file=None, database_url="mysql://root@host/name")
    assert Settings(_env_file=None, database_url="").database_url is None
    assert "secret" not in repr(Settings(_env_file=None, database_url="postgresql://u:secret@h/n"))


def test_what_no_column_can_hold_is_a_sentence(database, sample):
    with pytest.raises(InvalidEntryError, match="too large"):
        load_case(database, 10**30)
    if database.engine.dialect.name == "postgresql":  # SQLite keeps it
        with pytest.raises(InvalidEntryError, match="no text"):
            comment(database, REVIEWER, sample.id, "a\0b")


def test_a_database_of_a_newer_version_is_left_alone(settings, database):
    with database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreTooNewError, match="newer version"):
        open_database(settings)
