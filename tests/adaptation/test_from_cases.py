from datetime import date

import pytest

from core.adaptation import from_cases
from core.adaptation.from_cases import keep_profile, learn_profile, types_to_learn
from core.cases.database import open_database
from core.cases.patients import create_patient
from core.cases.records import NewField, PatientDetails, SampleDetails
from core.cases.reviews import label_cells, label_counts
from core.cases.samples import load_case, save_sample
from core.errors import ProfileError
from core.inference.site_profile import load_profile
from core.settings import Settings
from core.synthetic.examples import synthetic_slides
from tests.cases.made import REVIEWER
from tests.images import read_image


@pytest.fixture(scope="module")
def fields(analyzer):
    images = [read_image(data, name) for name, data in synthetic_slides()]
    return [NewField(image, analyzer.analyze(image), analyzer.versions) for image in images]


@pytest.fixture
def settings(tmp_path):
    return Settings(_env_file=None, store=tmp_path, database_url=None)


@pytest.fixture
def reviewed(settings, fields, monkeypatch):
    """Give a store in which reviewers agreed with the model on neutrophils and lymphocytes."""
    monkeypatch.setattr(from_cases, "MOST_CELLS", 6)
    database = open_database(settings)
    patient = create_patient(database, REVIEWER, PatientDetails("P-1"))
    sample = save_sample(database, REVIEWER, patient.id, SampleDetails(date(2026, 3, 1)), fields)
    labels = {
        cell_id: cell.type
        for field in load_case(database, sample.id).fields
        for cell_id, cell in zip(field.cell_ids, field.analysis.cells, strict=True)
        if cell_id is not None and cell.type in ("neutrophil", "lymphocyte")
    }
    label_cells(database, REVIEWER, sample, labels)
    yield database
    database.engine.dispose()


def test_a_profile_is_learnt_from_the_last_cells_and_kept_only_when_asked(
    reviewed, settings, analyzer
):
    types = types_to_learn(label_counts(reviewed))
    assert types == ("neutrophil", "lymphocyte")
    learnt = learn_profile(reviewed, analyzer.classifier, types, "here", settings)
    assert learnt.cells == {"neutrophil": 6, "lymphocyte": 6}
    assert learnt.title == "here v1"
    assert not list(settings.store.glob("profiles/*"))
    keep_profile(learnt, settings)
    kept = load_profile("here", analyzer.classifier.model_sha256, settings)
    assert kept.title == "here v1"
    again = learn_profile(reviewed, analyzer.classifier, types, "here", settings)
    assert again.title == "here v2"


@pytest.mark.parametrize("name", ["", "../x", "x.json", "/etc/x", "a b", "ä", "x" * 61])
def test_a_name_that_could_be_a_path_is_rejected(reviewed, settings, analyzer, name):
    with pytest.raises(ProfileError, match="letters, digits"):
        learn_profile(reviewed, analyzer.classifier, ("neutrophil", "lymphocyte"), name, settings)


def test_two_types_with_enough_cells_are_needed():
    assert types_to_learn({}) == ()
    assert types_to_learn({"neutrophil": 50, "lymphocyte": 4}) == ()
    assert types_to_learn({"neutrophil": 5, "lymphocyte": 5, "not_a_white_cell": 9}) == (
        "neutrophil",
        "lymphocyte",
    )
