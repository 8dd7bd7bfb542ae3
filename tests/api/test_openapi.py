"""The API against its own description, by Schemathesis."""

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from core.api.app import create_app
from core.api.uploads import PIECE
from core.cases.database import open_database
from core.cases.patients import create_patient
from core.cases.records import PatientDetails, SampleDetails
from core.cases.samples import save_sample
from core.cases.tokens import add_token
from core.cases.users import user_of
from core.settings import Settings
from core.synthetic.examples import synthetic_slides
from tests.api.fake_analyzer import FakeAnalyzer
from tests.cases.made import ADMIN, REVIEWER, new_field, white
from tests.images import read_image

schemathesis.serializer.alias(PIECE, "application/octet-stream")
opened = {}
folder = TemporaryDirectory()
app = create_app(
    Settings(
        _env_file=None,
        database_url=None,
        api_tokens=True,
        slide_uploads=Path(folder.name),
        slide_cache=Path(folder.name, "copies"),
    ),
    analyzer=FakeAnalyzer,
    database=lambda: opened["database"],
)
description = schemathesis.openapi.from_asgi("/openapi.json", app)
OPERATIONS = {found.ok().label: found.ok() for found in description.get_all_operations()}

UNDECIDABLE = [positive_data_acceptance]
"""No schema can tell a picture that is damaged or an identifier that is taken."""


@pytest.fixture(scope="module", autouse=True)
def _database(tmp_path_factory):
    """Open a store with one patient, one sample, one cell, and a token for it."""
    made = Settings(_env_file=None, store=tmp_path_factory.mktemp("store"), database_url=None)
    database = opened["database"] = open_database(made)
    patient = create_patient(database, REVIEWER, PatientDetails("P"))
    name, data = synthetic_slides()[0]
    field = new_field(read_image(data, name), white())
    save_sample(database, REVIEWER, patient.id, SampleDetails(date(2026, 3, 1)), [field])
    _, opened["token"] = add_token(database, ADMIN, user_of(database), "schemathesis")
    yield
    database.engine.dispose()


@pytest.mark.parametrize("label", OPERATIONS)
def test_operations_do_what_their_description_says(label):
    @settings(
        max_examples=15,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[label].as_strategy())
    def check(case):
        headers = {"Authorization": f"Bearer {opened['token']}"}
        # The first list of slides makes the example.
        case.call_and_validate(headers=headers, excluded_checks=UNDECIDABLE, timeout=120)

    check()
