"""The case database on SQLite, and on PostgreSQL where a server is named."""

from datetime import date

import pytest
from sqlalchemy import event

from core.cases.database import open_database
from core.cases.patients import create_patient
from core.cases.records import PatientDetails, SampleDetails
from core.cases.samples import save_sample
from core.settings import Settings
from core.synthetic.examples import synthetic_slides
from tests.cases.made import REVIEWER, new_field, red, white
from tests.cases.stores import KINDS, empty_database, migrated_database
from tests.images import read_image


@pytest.fixture(params=KINDS)
def settings(request, tmp_path):
    """Settings of a store, once per kind: empty where the test itself opens the database."""
    opened = "database" in request.fixturenames
    kind = request.param
    with migrated_database(kind, tmp_path) if opened else empty_database(kind) as address:
        yield Settings(_env_file=None, store=tmp_path, database_url=address)


@pytest.fixture
def database(settings):
    opened = open_database(settings)
    yield opened
    opened.engine.dispose()


@pytest.fixture(scope="session")
def images():
    """Give the made slides, decoded."""
    return [read_image(data, name) for name, data in synthetic_slides()]


@pytest.fixture
def patient(database):
    return create_patient(database, REVIEWER, PatientDetails("P-1", "Åsa Öst", "female", 1970))


@pytest.fixture
def sample(database, patient, images):
    """Save a case of two fields: neutrophil, red cell, uncertain monocyte; lymphocyte."""
    return save_sample(
        database,
        REVIEWER,
        patient.id,
        SampleDetails(date(2026, 3, 1), white_cell_count=7.5),
        [
            new_field(images[0], white(), red(), white("monocyte", 0.4, "uncertain", x=90)),
            new_field(images[1], white("lymphocyte", 0.8)),
        ],
    )


@pytest.fixture
def count_queries(database):
    """Give a list that grows with every SELECT."""
    statements: list[str] = []

    def executed(_connection, _cursor, statement, *_rest):
        if statement.startswith(("SELECT", "WITH")):
            statements.append(statement)

    event.listen(database.engine, "before_cursor_execute", executed)
    return statements
