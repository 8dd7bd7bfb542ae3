"""What is erased is in no file of the store, and no file of it can be recognised."""

import hashlib
import os
from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import text as sql

from core.cases.audit import verify
from core.cases.orm import Base
from core.cases.patients import create_patient, delete_patient, update_patient
from core.cases.queue import queue
from core.cases.records import PatientDetails, SampleDetails
from core.cases.reviews import label_cells
from core.cases.samples import add_fields, save_sample
from core.cases.sharing import comment
from core.cases.unfinished import keep_text
from tests.cases.made import ADMIN, REVIEWER, new_field, white

IDENTIFIER, NAME, FORMER, WORDS = "ZQ-8841-X", "Katarzyna Ostrów", "Kasimir", "a rare remark"
UNSIGNED, FILE = "an unsigned guess", "katarzyna_1970.png"


@pytest.fixture
def erased(database, images):
    """Save a patient with all that can be said of one, erase it; return what must be gone."""
    kept = create_patient(database, REVIEWER, PatientDetails("P-kept"))
    save_sample(
        database,
        REVIEWER,
        kept.id,
        SampleDetails(date(2026, 1, 1)),
        [new_field(images[2], white())],
    )
    patient = create_patient(database, REVIEWER, PatientDetails(IDENTIFIER, FORMER))
    patient = update_patient(database, REVIEWER, patient, PatientDetails(IDENTIFIER, NAME))
    first, second = (replace(image, name=FILE) for image in images[:2])
    sample = save_sample(
        database,
        REVIEWER,
        patient.id,
        SampleDetails(date(2026, 3, 1)),
        [new_field(first, white("monocyte", 0.4, "uncertain"))],
    )
    sample = add_fields(database, REVIEWER, sample, [new_field(second, white())])
    sample, _ = label_cells(database, REVIEWER, sample, {queue(database).items[0].id: "basophil"})
    comment(database, REVIEWER, sample.id, WORDS)
    keep_text(database, REVIEWER, sample.id, "conclusion", UNSIGNED, 0)
    stored = [
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in database.images.root.glob("??/*.png")
    ]
    delete_patient(database, ADMIN, patient.id)
    left = [path.stem for path in database.images.root.glob("??/*.png")]
    gone = [sha256 for sha256 in stored if sha256 not in left]
    assert len(gone) == 2
    assert len(left) == 1
    return [IDENTIFIER, NAME, FORMER, WORDS, UNSIGNED, FILE, *gone, first.sha256, second.sha256]


def holds(content: bytes, text: str) -> bool:
    """Tell whether bytes hold a text, as it is, case-folded, or escaped as in JSON."""
    forms = {text, text.casefold(), text.encode("ascii", "backslashreplace").decode()}
    return any(form.encode() in content for form in forms)


def test_no_file_of_the_store_holds_what_was_erased(database, settings, erased):
    if database.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL keeps files of its own: docs/deployment.md")
    files = [path for path in settings.store.rglob("*") if path.is_file()]
    assert (settings.store / "leukoscope.sqlite-wal").stat().st_size == 0
    assert {path.suffix for path in files} >= {".sqlite", ".png"}
    for path in files:
        content = path.read_bytes() + os.fsencode(path.name)
        assert not [text for text in erased if holds(content, text)], path.name
    assert verify(database).broken is None


def test_no_row_of_the_database_holds_what_was_erased(database, erased):
    with database.reading() as session:
        rows = [
            str(row)
            for table in Base.metadata.sorted_tables
            for row in session.execute(table.select())
        ]
    assert any("P-kept" in row for row in rows)
    assert not [text for text in erased for row in rows if holds(row.encode(), text)]


def test_a_reader_of_an_older_state_delays_the_emptying_and_no_more(
    database, patient, monkeypatch, caplog
):
    if database.engine.dialect.name != "sqlite":
        pytest.skip("a log of SQLite")
    with database.reading() as reader:
        reader.execute(sql("SELECT * FROM patients")).all()
        reader.connection().exec_driver_sql("PRAGMA busy_timeout = 100")
        connection = database.engine.raw_connection()
        connection.cursor().execute("PRAGMA busy_timeout = 100")
        connection.close()
        delete_patient(database, ADMIN, patient.id)
    assert "still holds what was erased" in caplog.text
    database.forget()
