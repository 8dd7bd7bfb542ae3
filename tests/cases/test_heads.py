"""Heads kept elsewhere show another chain and a shorter one, which are whole in themselves."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from sqlalchemy import text

from core.cases.audit import verify
from core.cases.database import open_database
from core.cases.heads import HeadsError, read_heads, read_public_key
from core.cases.patients import create_patient
from core.cases.records import PatientDetails
from core.cli import main
from core.errors import SettingsError
from tests.cases.made import REVIEWER
from tests.cases.test_audit import tamper


def written(key, path):
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        if hasattr(key, "private_bytes")
        else key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return path


@pytest.fixture
def keys(tmp_path):
    """Give a private key and its public one as files."""
    key = Ed25519PrivateKey.generate()
    return written(key, tmp_path / "key.pem"), written(key.public_key(), tmp_path / "public.pem")


@pytest.fixture
def kept(settings, tmp_path, keys, monkeypatch):
    """Open a store whose heads are signed and kept; make three changes."""
    heads = tmp_path / "elsewhere" / "heads.jsonl"
    heads.parent.mkdir()
    told = settings.model_copy(update={"audit_heads": heads, "audit_key": keys[0]})
    database = open_database(told)
    monkeypatch.setattr("core.cases.audit.get_database", lambda: database)
    monkeypatch.setattr("core.cases.audit.get_settings", lambda: told)
    for number in range(3):
        create_patient(database, REVIEWER, PatientDetails(f"P-{number}"))
    yield database, heads
    database.engine.dispose()


def test_every_change_leaves_a_signed_head(kept, keys, capsys):
    database, heads = kept
    assert [json.loads(line)["entry"] for line in heads.read_text().splitlines()] == [1, 2, 3]
    assert read_heads(heads, read_public_key(keys[1]))[3] == verify(database).last_hash
    assert main(["audit", "verify"]) == 0
    assert "whole: 3 entries" in capsys.readouterr().out
    assert main(["audit", "head"]) == 0
    assert json.loads(capsys.readouterr().out)["hash"] == verify(database).last_hash
    command = ["audit", "verify", "--heads", str(heads), "--key", str(keys[1])]
    assert main(command) == 0


def test_entries_cut_off_the_end_are_missed(kept, capsys):
    database, _ = kept
    tamper(database, "DELETE FROM audit WHERE id = 3")
    assert verify(database).whole, "the chain alone does not show it"
    assert main(["audit", "verify"]) == 1
    assert "ends at entry 2, but its heads name entry 3" in capsys.readouterr().out


def test_a_chain_written_anew_is_found(kept, capsys):
    """As somebody with the database's password could: every hash fits again."""
    database, _ = kept
    tamper(database, "DELETE FROM audit WHERE id > 1")
    create_patient(database, REVIEWER, PatientDetails("P-7"))
    create_patient(database, REVIEWER, PatientDetails("P-8"))
    assert verify(database).whole
    assert main(["audit", "verify"]) == 1
    # The file now holds two hashes of one entry.
    assert "gives entry 2 another hash" in capsys.readouterr().out


def test_a_chain_written_anew_without_touching_the_heads_is_found(kept, capsys):
    database, heads = kept
    before = heads.read_text()
    tamper(database, "DELETE FROM audit WHERE id > 1")
    for name in ("P-7", "P-8"):
        create_patient(database, REVIEWER, PatientDetails(name))
    heads.write_text(before)
    assert main(["audit", "verify"]) == 1
    assert "broken at entry 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (lambda head: {**head, "hash": hashlib.sha256(b"x").hexdigest()}, "not signed with"),
        (lambda head: {**head, "entry": 7}, "not signed with"),
        (lambda head: {k: v for k, v in head.items() if k != "signature"}, "is no head"),
        (lambda head: {**head, "signature": "AAAA"}, "not signed with"),
        (list, "is no head"),
    ],
)
def test_a_forged_head_is_found(kept, capsys, forge, said):
    _, heads = kept
    lines = heads.read_text().splitlines()
    lines[1] = json.dumps(forge(json.loads(lines[1])))
    heads.write_text("\n".join(lines))
    assert main(["audit", "verify"]) == 1
    out = capsys.readouterr().out
    assert "Line 2 of" in out
    assert said in out


def test_another_key_does_not_fit(kept, tmp_path):
    _, heads = kept
    other = written(Ed25519PrivateKey.generate().public_key(), tmp_path / "other.pem")
    with pytest.raises(HeadsError, match="not signed with this key"):
        read_heads(heads, read_public_key(other))


def test_settings_that_cannot_be_used_are_named(settings, tmp_path):
    no_key = tmp_path / "no.pem"
    no_key.write_text("no key")
    rsa = written(generate_private_key(65537, 2048), tmp_path / "rsa.pem")
    for changed, name in (
        ({"audit_key": no_key}, "AUDIT_KEY"),
        ({"audit_key": rsa}, "AUDIT_KEY"),
        ({"audit_key": tmp_path / "none.pem"}, "AUDIT_KEY"),
        ({"audit_heads": tmp_path / "none" / "heads"}, "AUDIT_HEADS"),
    ):
        with pytest.raises(SettingsError, match=name):
            open_database(settings.model_copy(update=changed))


def test_a_head_that_cannot_be_written_does_not_undo_the_change(kept, caplog):
    database, heads = kept
    shutil.rmtree(heads.parent)
    create_patient(database, REVIEWER, PatientDetails("P-9"))
    assert "the audit trail's head was not written" in caplog.text
    with database.reading() as session:
        assert session.execute(text("SELECT count(*) FROM patients")).scalar() == 4


def test_a_missing_public_key_is_a_sentence(tmp_path):
    with pytest.raises(HeadsError, match="Name another"):
        read_public_key(Path(tmp_path / "none.pem"))
