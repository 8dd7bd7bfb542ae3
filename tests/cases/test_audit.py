from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from core.cases.audit import BEGINNING, history, latest, record_access, record_view, verify
from core.cases.orm import AuditRow
from core.cases.patients import create_patient
from core.cases.queue import queue
from core.cases.range_tables import ranges_in_force
from core.cases.records import PatientDetails
from core.cases.reviews import label_cells
from core.cases.samples import load_case
from core.cases.sharing import comment, share, visit
from core.cli import main
from core.errors import ChangeRefusedError
from core.exports.registry import case_files
from core.settings import PROJECT_ROOT, Settings
from tests.cases.made import REVIEWER, SECOND


def tamper(database, statement):
    """Change rows behind the triggers' back, as somebody with the database's password could."""
    lift = ("DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete")
    if database.engine.dialect.name == "postgresql":
        lift = ("ALTER TABLE audit DISABLE TRIGGER ALL",)
    with database.writing() as session:
        for command in (*lift, statement):
            session.execute(text(command))


def test_every_change_is_told_in_one_chain(database, sample):
    cell = queue(database).items[0].id
    label_cells(database, SECOND, sample, {cell: "basophil"})
    assert [(e.user, e.action) for e in history(database, sample.id)] == [
        (REVIEWER.name, "create sample"),
        (SECOND.name, "label cells"),
    ]
    assert history(database, sample.id)[1].details == {
        "reviews": [[1, cell, "basophil"]],
        "before": ["monocyte"],
    }
    found = verify(database)
    assert (found.entries, found.broken) == (3, None)


def test_the_trail_is_read_in_pages_last_things_first(database, sample):
    comment(database, SECOND, sample.id, "Look again.")
    first, second = latest(database, limit=2), latest(database, offset=2, limit=2)
    assert [(e.number, e.action) for e in (*first.items, *second.items)] == [
        (3, "comment"),
        (2, "create sample"),
        (1, "create patient"),
    ]
    assert (first.total, first.items[0].sample_id) == (3, sample.id)


def test_the_chain_of_an_empty_database_is_whole(database):
    assert (verify(database).entries, verify(database).last_hash) == (0, BEGINNING)


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE audit SET person = 'nobody' WHERE id = 2", 2),
        ("UPDATE audit SET details = '{}' WHERE id = 2", 2),
        ("DELETE FROM audit WHERE id = 2", 2),
        ("DELETE FROM audit WHERE id = 1", 1),
        ("UPDATE audit SET hash = previous WHERE id = 3", 3),
    ],
)
def test_the_first_broken_entry_is_told(database, sample, statement, broken):
    comment(database, REVIEWER, sample.id, "the third entry")
    tamper(database, statement)
    assert verify(database).broken == broken


def test_writers_at_once_do_not_fork_the_chain(database):
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda i: create_patient(database, REVIEWER, PatientDetails(f"P{i}")), range(24)
            )
        )
    found = verify(database)
    assert (found.entries, found.broken) == (24, None)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET person = 'nobody'",
        "DELETE FROM audit",
        "UPDATE reviews SET label = 'monocyte'",
        "DELETE FROM reviews",
        "DELETE FROM cells",
    ],
)
def test_the_database_itself_forbids_rewriting(database, sample, statement):
    cell = queue(database).items[0].id
    label_cells(database, REVIEWER, sample, {cell: "basophil"})
    with pytest.raises(ChangeRefusedError), database.writing() as session:
        session.execute(text(statement))
    with database.reading() as session:
        assert session.scalar(select(AuditRow.user).where(AuditRow.id == 1)) == REVIEWER.name


def test_replacing_and_truncating_are_forbidden_too(database, sample):
    label_cells(database, REVIEWER, sample, {queue(database).items[0].id: "basophil"})
    statements = (
        ("TRUNCATE reviews", "TRUNCATE audit")
        if database.engine.dialect.name == "postgresql"
        else (
            "INSERT OR REPLACE INTO reviews SELECT * FROM reviews",
            "INSERT OR REPLACE INTO audit SELECT * FROM audit",
        )
    )
    for statement in statements:
        with pytest.raises(ChangeRefusedError), database.writing() as session:
            session.execute(text(statement))


def test_the_command_tells_and_returns_what_it_found(database, sample, monkeypatch, capsys):
    monkeypatch.setattr("core.cases.audit.get_database", lambda: database)
    assert main(["audit", "verify"]) == 0
    assert "2 entries" in capsys.readouterr().out
    tamper(database, "DELETE FROM audit WHERE id = 1")
    assert main(["audit", "verify"]) == 1
    assert capsys.readouterr().out == "The audit trail is broken at entry 1.\n"


def test_a_view_is_told_once_in_a_while(database, sample, monkeypatch):
    seen = {"patient_id": sample.patient_id, "sample_id": sample.id}
    for user in (REVIEWER, REVIEWER, SECOND):
        record_view(database, user.name, "view case", **seen)
    record_view(database, REVIEWER.name, "view patient", patient_id=sample.patient_id)
    views = [(e.user, e.action) for e in reversed(latest(database).items)][2:]
    assert views == [
        (REVIEWER.name, "view case"),
        (SECOND.name, "view case"),
        (REVIEWER.name, "view patient"),
    ]
    monkeypatch.setattr("core.cases.audit.VIEW_LASTS", timedelta(0))
    record_view(database, REVIEWER.name, "view case", **seen)
    assert latest(database).total == 6
    assert verify(database).whole


def test_what_is_exported_and_which_link_is_visited_is_told(database, sample, tmp_path):
    settings = Settings(_env_file=None, ranges=PROJECT_ROOT / "assets" / "reference_ranges.csv")
    made = case_files(
        database, load_case(database, sample.id), ranges_in_force(database, settings), SECOND
    )
    files = {file.key: file for file in made}
    assert history(database, sample.id)[-1].action == "create sample"
    files["json"].write()
    link, token = share(database, REVIEWER, sample.id)
    assert visit(database, token) == sample.id
    told = [(e.user, e.action, dict(e.details)) for e in history(database, sample.id)[1:]]
    assert told == [
        (SECOND.name, "export", {"report": "json"}),
        (REVIEWER.name, "share", {"link": link.id}),
        (f"link {link.id}", "visit link", {"link": link.id}),
    ]


def test_a_store_that_can_only_be_read_is_read_all_the_same(database, sample):
    reader = replace(database, read_only=True)
    seen = {"patient_id": sample.patient_id, "sample_id": sample.id}
    record_view(reader, REVIEWER.name, "view case", **seen)
    record_access(reader, REVIEWER.name, "export", report="pdf", **seen)
    assert latest(database).total == 2
