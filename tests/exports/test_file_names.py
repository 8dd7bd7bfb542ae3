"""File names are identifiers: no export and no link shows them unless they are asked for."""

import io
import json
import zipfile
from dataclasses import replace
from datetime import date

import pypdfium2
import pytest

from core.cases.database import open_database
from core.cases.patients import create_patient
from core.cases.range_tables import ranges_in_force
from core.cases.records import PatientDetails, SampleDetails
from core.cases.samples import load_case, save_sample
from core.domain.results import StageResult
from core.exports.registry import CASE_FORMATS, case_files
from core.imaging.read import read_images
from core.settings import Settings
from core.synthetic.examples import synthetic_slides
from tests.cases.made import REVIEWER, new_field, white

SURNAME = "Kowalska"
WARNINGS = (
    "The scale is doubtful.",
    "This image is the same as “Kowalska_0.png, page 2”. Its cells are counted there.",
    "An image of another patient shows them too (“Kowalska_of_another.png”).",
)
STAGE = StageResult("Kowalska.png", "Pre", {"Pre": 0.9, "Pro": 0.1}, 0.9, "classified")


@pytest.fixture
def settings(tmp_path):
    return Settings(_env_file=None, store=tmp_path, database_url=None)


@pytest.fixture
def database(settings):
    opened = open_database(settings)
    yield opened
    opened.engine.dispose()


@pytest.fixture
def case(database):
    """Save three fields whose files bear the patient's name, with warnings and a class."""
    fields = []
    for number, (_, data) in enumerate(synthetic_slides()[:3]):
        (image,) = read_images(data, f"{SURNAME}_{number}.png")
        new = new_field(image, white("lymphocyte", 0.9), white("monocyte", 0.4, "uncertain", x=300))
        warned = replace(new.analysis, warnings=WARNINGS)
        fields.append(replace(new, analysis=warned, stage=STAGE, models={"all_stage": "1"}))
    patient = create_patient(database, REVIEWER, PatientDetails("P-1"))
    details = SampleDetails(date(2026, 3, 1))
    return load_case(database, save_sample(database, REVIEWER, patient.id, details, fields).id)


def text_of(key, made):
    if key == "pdf":
        document = pypdfium2.PdfDocument(made)
        return " ".join(page.get_textpage().get_text_range() for page in document)
    if key == "xlsx":
        with zipfile.ZipFile(io.BytesIO(made)) as parts:
            return " ".join(parts.read(name).decode() for name in parts.namelist())
    return made.decode()


@pytest.mark.parametrize("key", [form.key for form in CASE_FORMATS])
def test_no_report_shows_them_unless_asked(database, settings, case, key):
    ranges = ranges_in_force(database, settings)
    files = {file.key: file for file in case_files(database, case, ranges, REVIEWER)}
    assert SURNAME.casefold() not in text_of(key, files[key].write()).casefold()
    assert SURNAME not in files[key].name


@pytest.mark.parametrize("key", ["xlsx", "cells_csv", "json", "coco"])
def test_they_are_shown_when_asked_for(database, settings, case, key):
    ranges = ranges_in_force(database, settings)
    files = case_files(database, case, ranges, REVIEWER, file_names=True)
    made = next(file for file in files if file.key == key).write()
    assert f"{SURNAME}_2.png" in text_of(key, made)


def test_images_of_one_file_share_its_neutral_name(case):
    first, second, third = case.fields
    paged = replace(second, analysis=replace(second.analysis, sha256=first.analysis.sha256, page=2))
    named = replace(case, fields=(first, paged, third)).with_neutral_names()
    assert [(a.file, a.page) for a in named.analyses] == [
        ("field 1", 1),
        ("field 1", 2),
        ("field 2", 1),
    ]
    assert named.fields[0].stage.file == "field 1"
    assert SURNAME not in repr(named.fields)
    doubtful, same, other = named.analyses[0].warnings
    assert doubtful == WARNINGS[0]
    assert "the same as field 1, page 2. Its" in same
    assert "(another field)" in other


def test_json_names_the_fields_in_their_order(database, settings, case):
    ranges = ranges_in_force(database, settings)
    files = {file.key: file for file in case_files(database, case, ranges, REVIEWER)}
    images = json.loads(files["json"].write())["images"]
    assert [image["file"] for image in images] == ["field 1", "field 2", "field 3"]
