"""A damaged store, and one that may only be read: sentences, and what can be read is read."""

import ctypes
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from core.cases.audit import history, latest, verify
from core.cases.database import open_database
from core.cases.listing import patient_history, search_patients
from core.cases.patients import create_patient, find_patient
from core.cases.queue import queue
from core.cases.records import PatientDetails
from core.cases.samples import load_case, load_image
from core.cases.sharing import comment
from core.cases.tokens import tokens
from core.cases.users import users
from core.cli import main
from core.errors import (
    CaseError,
    InvalidEntryError,
    StoreDamagedError,
    StoreReadOnlyError,
)
from core.settings import Settings
from tests.cases.made import REVIEWER

PAGE = 4096


@pytest.fixture
def sqlite_only(settings):
    if settings.database_url is not None:
        pytest.skip("PostgreSQL keeps files of its own")


def closed(database):
    """Close a database so that all of it is in one file; return the file."""
    name = Path(database.engine.url.database)
    database.engine.dispose()  # the last connection brings the log into the file
    return name


def read_everything(database, sample_id):
    case = load_case(database, sample_id)
    for field in case.fields:
        load_image(database, field.id)
    search_patients(database, "öst")
    patient_history(database, case.patient.id)
    find_patient(database, "P-1")
    queue(database)
    users(database)
    tokens(database)
    latest(database)
    history(database, sample_id)
    verify(database)


def test_damage_anywhere_in_the_file_is_a_sentence(sqlite_only, settings, database, sample):
    file = closed(database)
    whole = file.read_bytes()
    told = 0
    # Every page in turn: its header, and its end, where the values are.
    for start in range(0, len(whole), PAGE):
        for place in (start, start + PAGE - 300):
            file.write_bytes(whole[:place] + b"\xff" * 250 + whole[place + 250 :])
            damaged = None
            try:
                damaged = open_database(settings)
                read_everything(damaged, sample.id)
            except CaseError:  # no other kind
                told += 1
            finally:
                if damaged:
                    damaged.engine.dispose()
                for rest in file.parent.glob("*-wal"), file.parent.glob("*-shm"):
                    for path in rest:
                        path.unlink()
    assert told >= 15


def test_what_is_no_database_is_said(sqlite_only, settings, database, capsys, monkeypatch):
    file = closed(database)
    file.write_bytes(b"no database " * 1000)
    with pytest.raises(StoreDamagedError, match="damaged"):
        open_database(settings)
    monkeypatch.setattr("core.cases.audit.get_database", lambda: open_database(settings))
    assert main(["audit", "verify"]) == 2
    said = capsys.readouterr()
    assert "The case database is damaged" in said.err
    assert "Traceback" not in said.err
    assert not said.out


def test_damage_met_once_is_told_from_then_on(sqlite_only, settings, database, sample):
    database.check(whole=True)
    file = closed(database)
    with file.open("r+b") as opened:
        opened.seek(2 * PAGE)
        opened.write(b"\xff" * (file.stat().st_size - 2 * PAGE))
    with pytest.raises(StoreDamagedError):
        database.check(whole=True)
    with pytest.raises(StoreDamagedError):
        database.check()


def test_a_damaged_value_is_a_sentence(database, sample):
    with database.writing() as session:
        broken = (
            "UPDATE samples SET changed_at = 'never', taken = 'never'",
            "UPDATE fields SET properties = '{'",
        )
        if database.engine.dialect.name == "postgresql":  # which takes neither
            broken = ("DROP TABLE comments",)
        for statement in broken:
            session.execute(text(statement))
    with pytest.raises(StoreDamagedError):
        load_case(database, sample.id)
    with pytest.raises(StoreDamagedError):
        database.check()


@pytest.mark.parametrize("odd", ["P-\ud800", "\udfff"])
def test_a_lone_surrogate_is_no_text(database, sample, odd):
    with pytest.raises(InvalidEntryError, match=r"no text|cannot be seen"):
        create_patient(database, REVIEWER, PatientDetails(odd))
    with pytest.raises(InvalidEntryError, match=r"no text|cannot be seen"):
        comment(database, REVIEWER, sample.id, odd)
    with pytest.raises(InvalidEntryError, match=r"no text|cannot be seen"):
        find_patient(database, odd)
    database.check()


READ = """
import json, sys
from core.cases.audit import verify
from core.cases.database import open_database
from core.cases.patients import create_patient
from core.cases.users import user_of
from core.cases.records import PatientDetails, User
from core.cases.samples import load_case, load_image
from core.errors import LeukoscopeError
from core.settings import Settings
database = open_database(Settings(_env_file=None, store=sys.argv[1]))
case = load_case(database, int(sys.argv[2]))
pixels = [load_image(database, field.id).pixels.shape for field in case.fields]
try:
    create_patient(database, User("ana", "reviewer"), PatientDetails("P-2"))
    problem = None
except LeukoscopeError as error:
    problem = type(error).__name__
print(json.dumps([case.patient.identifier, len(pixels), verify(database).broken, problem,
                  user_of(database).role]))
"""


def without_the_rights_of_root():
    """Have even root keep to the rights of files: PR_CAPBSET_DROP of CAP_DAC_OVERRIDE."""
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)


@pytest.mark.parametrize("in_use", [False, True])
def test_a_store_without_the_right_to_write_is_read(
    sqlite_only, database, sample, tmp_path, in_use
):
    if not in_use:
        closed(database)
    store = tmp_path / "copy"
    shutil.copytree(tmp_path, store, ignore=shutil.ignore_patterns("copy"))
    writer = open_database(Settings(_env_file=None, store=store)) if in_use else None
    everything = (*store.rglob("*"), store)
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = {path.name for path in store.iterdir()}
    done = subprocess.run(
        [sys.executable, "-c", READ, str(store), str(sample.id)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=without_the_rights_of_root,
    )
    assert {path.name for path in store.iterdir()} == before
    for path in reversed(everything):
        path.chmod(0o755)
    if writer:
        writer.engine.dispose()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["P-1", 2, None, StoreReadOnlyError.__name__, "admin"]


def test_a_server_that_only_reads_says_so(database, sample):
    if database.engine.dialect.name != "postgresql":
        pytest.skip("a setting of PostgreSQL")
    with database.writing() as session:
        name = session.execute(text("SELECT current_database()")).scalar()
    with database.writing() as session:
        session.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
    database.engine.dispose()
    with pytest.raises(StoreReadOnlyError):
        create_patient(database, REVIEWER, PatientDetails("P-2"))
    assert load_case(database, sample.id).patient.identifier == "P-1"
