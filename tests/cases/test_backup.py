"""A backup restored into an empty place holds everything, on either database."""

import hashlib
import io
import json
import stat
import zipfile
from contextlib import suppress
from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import event, text

from core.cases import backup as module
from core.cases.audit import verify
from core.cases.backup import MANIFEST, make_backup
from core.cases.database import open_database
from core.cases.orm import Base
from core.cases.patients import create_patient, delete_patient, find_patient
from core.cases.queue import queue
from core.cases.records import PatientDetails, SampleDetails
from core.cases.restore import restore_backup
from core.cases.reviews import label_cells
from core.cases.samples import add_fields, load_case, load_image, save_sample
from core.cases.sharing import comment, share
from core.cases.users import set_role
from core.cli import main
from core.domain.results import StageResult
from core.errors import BackupError, StoreTooNewError
from core.settings import Settings
from tests.cases.made import ADMIN, REVIEWER, SECOND, new_field, white
from tests.cases.stores import KINDS, empty_database

STAGE = StageResult("a.png", "Pre", {"Pre": 0.1 + 0.2, "Pro": 0.7}, 0.9, "classified")

# A backup is refused by what is in the file, which is the same from either database.
OF_ONE_DATABASE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


@pytest.fixture
def filled(database, settings, sample, images):
    """Fill every kind of row, with gaps where a patient was erased; return the sample's id."""
    sample, _ = label_cells(database, SECOND, sample, {queue(database).items[0].id: "basophil"})
    graded = replace(new_field(images[2], white()), stage=STAGE, models={"all_stage": "1"})
    add_fields(database, REVIEWER, sample, [graded])
    comment(database, SECOND, sample.id, "Åsa's smear, see «notes» \u2014 fine")
    share(database, REVIEWER, sample.id)
    set_role(database, ADMIN, "eve@lab", "reviewer")
    for name in ("gone", "gone too"):
        gone = create_patient(database, REVIEWER, PatientDetails(name))
        details = SampleDetails(date(2026, 2, 2))
        save_sample(database, REVIEWER, gone.id, details, [new_field(images[3], white())])
        delete_patient(database, ADMIN, gone.id)
    profiles = settings.store / "profiles"
    profiles.mkdir()
    (profiles / "north.profile.json").write_text('{"name": "north"}')
    return sample.id


@pytest.fixture(params=KINDS)
def place(request, tmp_path):
    """Give the settings of an empty place, once per database."""
    with empty_database(request.param) as address:
        yield Settings(_env_file=None, store=tmp_path / "new" / "store", database_url=address)


@pytest.fixture
def backup(database, settings, filled, tmp_path):
    file = tmp_path / "backup.zip"
    make_backup(database, file, settings)
    return file


def contents(database):
    with database.reading() as session:
        return {
            table.name: [
                tuple(row)
                for row in session.execute(table.select().order_by(*table.primary_key.columns))
            ]
            for table in Base.metadata.sorted_tables
        }


def test_everything_is_restored(database, settings, filled, backup, place):
    rows = restore_backup(backup, place)
    restored = open_database(place)
    before, after = contents(database), contents(restored)
    assert after == before
    assert rows == {name: len(found) for name, found in before.items()}
    assert {name for name, found in before.items() if found} >= {
        *("patients", "samples", "fields", "cells", "reviews", "comments", "links"),
        *("people", "audit"),
    }
    assert verify(restored) == verify(database)
    case, again = load_case(database, filled), load_case(restored, filled)
    assert again.analyses == case.analyses
    assert [f.cell_ids for f in again.fields] == [f.cell_ids for f in case.fields]
    assert again.fields[2].stage.probabilities == STAGE.probabilities
    assert again.comments == case.comments
    for field in case.fields:
        pixels = load_image(database, field.id).pixels
        assert (load_image(restored, field.id).pixels == pixels).all()
    stored = {path.name for path in restored.images.root.glob("??/*")}
    assert stored == {path.name for path in database.images.root.glob("??/*")}
    profile = "profiles/north.profile.json"
    assert (place.store / profile).read_bytes() == (settings.store / profile).read_bytes()
    restored.engine.dispose()


def test_a_restored_store_goes_on_where_the_other_was(database, backup, place):
    restore_backup(backup, place)
    restored = open_database(place)
    new = create_patient(restored, REVIEWER, PatientDetails("P-2"))
    assert new.id == create_patient(database, REVIEWER, PatientDetails("P-2")).id == 4
    assert find_patient(restored, "gone") is None
    with restored.writing() as session, pytest.raises(Exception, match="never changed"):
        session.execute(text("UPDATE reviews SET comment = 'x'"))
    assert verify(restored).whole
    restored.engine.dispose()


def test_a_place_that_holds_data_is_refused(database, settings, backup, place):
    other = open_database(place)
    create_patient(other, REVIEWER, PatientDetails("P-9"))
    other.engine.dispose()
    with pytest.raises(BackupError, match="holds data already"):
        restore_backup(backup, place)
    other = open_database(place)
    assert find_patient(other, "P-9")
    other.engine.dispose()
    with pytest.raises(BackupError, match="holds data already"):
        restore_backup(backup, settings)


@OF_ONE_DATABASE
def test_a_folder_with_pictures_is_refused(backup, place):
    stray = place.store / "images" / "ab" / "stray.png"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"x")
    with pytest.raises(BackupError, match="holds data already"):
        restore_backup(backup, place)
    assert stray.read_bytes() == b"x"


def changed(backup, change):
    """Return the bytes of a backup whose files, by name, went through a function."""
    with zipfile.ZipFile(backup) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    new = io.BytesIO()
    with zipfile.ZipFile(new, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return new.getvalue()


def replace_store(place, number):
    """Return the settings of another empty place; a bit that says nothing may be restored."""
    return place.model_copy(update={"store": place.store.with_name(f"store{number}")})


def told(files, name):
    """Write into the manifest what a file is now."""
    manifest = json.loads(files[MANIFEST])
    digest = hashlib.sha256(files[name]).hexdigest()
    manifest["files"][name] = {"sha256": digest, "bytes": len(files[name])}
    files[MANIFEST] = json.dumps(manifest).encode()


def rename_in_the_trail(files):
    name = "tables/audit.jsonl"
    files[name] = files[name].replace(b"ana@lab", b"eva@lab")
    told(files, name)


def add_file(name):
    def add(files):
        files[name] = b"x"
        told(files, name)

    return add


def name_an_image_anew(files):
    old = next(name for name in files if name.startswith("images/"))
    new = f"images/{64 * 'a'}.png"
    files[new] = files.pop(old)
    manifest = json.loads(files[MANIFEST])
    manifest["files"][new] = manifest["files"].pop(old)
    files[MANIFEST] = json.dumps(manifest).encode()


def rewrite_patients(rewrite):
    def change(files):
        name = "tables/patients.jsonl"
        files[name] = rewrite(files[name])
        told(files, name)

    return change


def rewrite_manifest(**values):
    def change(files):
        files[MANIFEST] = json.dumps(json.loads(files[MANIFEST]) | values).encode()

    return change


@OF_ONE_DATABASE
@pytest.mark.parametrize(
    "change",
    [
        add_file("../../evil"),
        add_file("images/../../evil.png"),
        add_file("../images/evil.png"),
        add_file("profiles/../evil"),
        add_file("evil"),
        name_an_image_anew,
        rewrite_patients(lambda rows: rows + rows),
        rewrite_patients(lambda rows: rows.replace(b'"identifier"', b'"odd"')),
        rewrite_patients(lambda rows: rows.replace(b'"identifier": "', b'"identifier": ["')),
        rewrite_patients(lambda rows: rows.replace(b'"P-1"', b'{"a": 1}')),
        rewrite_patients(lambda rows: rows[:-9]),
        rewrite_manifest(last_ids=[]),
        rewrite_manifest(last_ids={"none": 1}),
        rewrite_manifest(rows=5),
        rewrite_manifest(audit=None),
        lambda files: files.update({"tables/audit.jsonl": b""}),
        lambda files: files.pop(next(name for name in files if name.startswith("images/"))),
        lambda files: files.update({"../evil": b"x"}),
        lambda files: files.pop(MANIFEST),
        lambda files: files.update({MANIFEST: b"{}"}),
        lambda files: files.update({MANIFEST: b"[]"}),
        rename_in_the_trail,
    ],
)
def test_a_changed_backup_is_refused_and_nothing_is_kept(backup, place, change):
    backup.write_bytes(changed(backup, change))
    with pytest.raises(BackupError):
        restore_backup(backup, place)
    assert not list(place.store.rglob("*.png"))
    assert not list(place.store.rglob("*.sqlite*"))
    assert not (place.store.parent / "evil").exists()


@OF_ONE_DATABASE
def test_flipped_bits_are_a_sentence_wherever_they_are(backup, place):
    """The directory at the end, the packed tables and the images alike."""
    whole = backup.read_bytes()
    for at in range(0, len(whole), len(whole) // 60):
        changed_byte = bytes([whole[at] ^ 0x55])
        backup.write_bytes(whole[:at] + changed_byte + whole[at + 1 :])
        with suppress(BackupError):  # any other error is one too many
            restore_backup(backup, replace_store(place, at))


@OF_ONE_DATABASE
def test_what_unpacks_without_an_end_is_not_unpacked(backup, place, monkeypatch):
    monkeypatch.setattr("core.cases.restore._MOST_AT_ONCE", 100)
    with pytest.raises(BackupError, match="too large"):
        restore_backup(backup, place)


@OF_ONE_DATABASE
def test_a_backup_cut_short_is_refused(backup, place):
    whole = backup.read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 10):
        backup.write_bytes(whole[:size])
        with pytest.raises(BackupError, match="backup"):
            restore_backup(backup, place)
    backup.write_bytes(whole)
    restore_backup(backup, place)


@OF_ONE_DATABASE
def test_a_restore_that_cannot_write_leaves_the_place_empty(backup, place):
    """On PostgreSQL too, where the tables would bar the next attempt."""
    profiles = place.store / "profiles"
    profiles.parent.mkdir(parents=True)
    profiles.write_text("no folder")
    with pytest.raises(BackupError, match="profiles cannot be written"):
        restore_backup(backup, place)
    profiles.unlink()
    restore_backup(backup, place)


@OF_ONE_DATABASE
def test_a_backup_of_a_newer_version_is_refused(backup, place):
    def newer(files):
        files[MANIFEST] = json.dumps(json.loads(files[MANIFEST]) | {"schema": "9999"}).encode()

    backup.write_bytes(changed(backup, newer))
    with pytest.raises(StoreTooNewError):
        restore_backup(backup, place)


def test_a_backup_of_an_older_version_is_brought_up_to_date(tmp_path, place):
    """As the first version would have made it."""
    row = {
        "id": 7,
        "identifier": "P-old",
        "name": None,
        "sex": None,
        "birth_year": 1950,
        "search": "p-old\n",
        "changed_by": "ana",
        "changed_at": "2025-01-02T03:04:05.000006+00:00",
    }
    files = {"tables/patients.jsonl": json.dumps(row).encode() + b"\n"}
    manifest = {
        "format": 1,
        "schema": "0001",
        "audit": {"entries": 0, "hash": 64 * "0", "broken": None},
        "rows": {"patients": 1},
        "last_ids": {"patients": 9},
        "missing": [],
        "files": {name: {"sha256": hashlib.sha256(d).hexdigest()} for name, d in files.items()},
    }
    file = tmp_path / "old.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in {**files, MANIFEST: json.dumps(manifest).encode()}.items():
            archive.writestr(name, data)
    restore_backup(file, place)
    restored = open_database(place)
    assert find_patient(restored, "P-old").birth_year == 1950
    assert create_patient(restored, REVIEWER, PatientDetails("P-new")).id == 10
    restored.engine.dispose()


def test_missing_pictures_and_a_broken_trail_are_told(database, settings, filled, tmp_path, place):
    lost = next(database.images.root.glob("??/*.png"))
    lost.unlink()
    made = make_backup(database, tmp_path / "b.zip", settings)
    assert made["missing"] == [lost.stem]
    restore_backup(tmp_path / "b.zip", place)


def test_a_patient_erased_meanwhile_is_in_no_backup(
    database, settings, filled, tmp_path, monkeypatch
):
    victim = create_patient(database, REVIEWER, PatientDetails("victim"))
    if database.engine.dialect.name == "sqlite":
        # An erasure waits for those who read the log; the backup reads it until this returns.
        event.listen(
            database.engine,
            "checkout",
            lambda opened, *_: opened.execute("PRAGMA busy_timeout=300"),
        )

    def last_ids(session):
        delete_patient(database, ADMIN, victim.id)
        return {}

    monkeypatch.setattr(module, "_last_ids", last_ids)
    with pytest.raises(BackupError, match="erased while"):
        make_backup(database, tmp_path / "b.zip", settings)
    assert not list(tmp_path.glob("*b.zip*"))


def test_the_file_is_for_its_owner_and_none_is_overwritten(database, settings, backup, tmp_path):
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    with pytest.raises(BackupError, match="exists already"):
        make_backup(database, backup, settings)
    with pytest.raises(BackupError, match="cannot be written"):
        make_backup(database, tmp_path / "none" / "b.zip", settings)


def test_the_commands_say_what_they_did(database, filled, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("core.cases.backup.get_database", lambda: database)
    file = str(tmp_path / "by_command.zip")
    assert main(["backup", file]) == 0
    assert "Backed up: patients 1, samples 1, images 3" in capsys.readouterr().err
    place = Settings(_env_file=None, store=tmp_path / "new", database_url=None)
    monkeypatch.setattr("core.cases.restore.get_settings", lambda: place)
    assert main(["restore", file]) == 0
    assert "Restored: patients 1" in capsys.readouterr().err
    assert main(["restore", file]) == 2
    assert "holds data already" in capsys.readouterr().err
    assert main(["restore", str(tmp_path / "none.zip")]) == 2
