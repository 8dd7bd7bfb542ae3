"""Stored cases as a user meets them: the list, a patient over time, one sample, reports."""

import json
from datetime import date

import pytest
from sqlalchemy import text
from streamlit.testing.v1 import AppTest

from core.cases.listing import search_patients
from core.cases.patients import create_patient, find_patient
from core.cases.queue import queue
from core.cases.range_tables import ranges_in_force
from core.cases.records import PatientDetails, SampleDetails
from core.cases.reviews import label_cells
from core.cases.samples import load_case, save_sample
from core.cases.signing import mark_reviewed, sign
from core.domain.results import StageResult
from core.exports.registry import case_files
from core.synthetic.examples import synthetic_slides
from tests.cases.made import new_field, red, white
from tests.images import read_image
from tests.pages.app import button, checked, open_app

PAGE = "patients"
STAGE = StageResult("a.png", "Pre", {"Pre": 0.9, "Pro": 0.1}, 0.9, "classified")


@pytest.fixture(scope="module")
def images():
    return [read_image(data, name) for name, data in synthetic_slides()]


@pytest.fixture
def patient(database, user):
    return create_patient(database, user, PatientDetails("P-1", "Åsa *Öst*", "female", 1970))


@pytest.fixture
def samples(database, user, patient, images):
    """Two samples of one patient, more lymphocytes in the second."""

    def cells(lymphocytes: int):
        names = ["lymphocyte"] * lymphocytes + ["neutrophil"] * (60 - lymphocytes)
        sure = [white(name, x=5.0 * place) for place, name in enumerate(names)]
        return [*sure, red(), white("monocyte", 0.4, "uncertain", x=90)]

    return [
        save_sample(
            database,
            user,
            patient.id,
            SampleDetails(date(2026, month, 1), white_cell_count=7.5),
            [new_field(images[0], *cells(lymphocytes), stage=STAGE)],
        )
        for month, lymphocytes in ((3, 10), (4, 40))
    ]


def texts(app: AppTest) -> str:
    return "\n".join(e.value for kind in (app.markdown, app.header, app.caption) for e in kind)


def links(app: AppTest) -> list[str]:
    return [link.label for link in app.get("page_link")]


def test_an_empty_store_says_how_cases_come_here():
    app = open_app(PAGE)
    assert any("No patients are stored yet" in i.value for i in app.info)
    assert not app.error


def test_patients_are_listed_with_their_last_sample_and_searched(database, user, samples):
    create_patient(database, user, PatientDetails("Q-7"))
    app = open_app(PAGE)
    assert [name for name in links(app) if "\\-" in name] == ["P\\-1", "Q\\-7"]
    assert "last sample 2026-04-01" in texts(app)
    assert "Åsa \\*Öst\\*" in texts(app)
    app.text_input(key="search").set_value("öst").run()
    assert "P\\-1" in links(app)
    assert "Q\\-7" not in links(app)
    app.selectbox(key="state").select("signed").run()
    assert any("No patient matches" in i.value for i in app.info)


def test_a_long_list_is_paged(database, user):
    for number in range(27):
        create_patient(database, user, PatientDetails(f"N-{number:02}"))
    app = open_app(PAGE)
    assert "N\\-26" in links(app)
    assert "N\\-00" not in links(app)
    app.get("pagination")[0].set_value(2).run()
    assert "N\\-00" in links(app)


def test_a_patient_shows_every_sample_and_the_change(patient, samples):
    app = open_app(PAGE, patient=patient.id)
    assert [link for link in links(app) if "sample" in link] == [
        f"2026\\-04\\-01, sample {samples[1].id}",
        f"2026\\-03\\-01, sample {samples[0].id}",
    ]
    assert {"Distribution", "Over time", "ALL class"} <= {s.value for s in app.header}
    assert "NLR 5.00" in texts(app)
    assert "**Lymphocytes** · range 1-3" in texts(app)
    table = app.dataframe[0].value.set_index("type")
    row = table.loc["Lymphocytes"]
    assert row["change"] == pytest.approx(50)
    assert row["direction"] == "▲ higher"
    assert table.loc["Monocytes", "direction"] == "within chance"


def test_samples_of_another_material_are_kept_apart(database, user, patient, samples, images):
    marrow = SampleDetails(date(2026, 5, 1), "bone_marrow")
    save_sample(database, user, patient.id, marrow, [new_field(images[0], white())])
    app = open_app(PAGE, patient=patient.id)
    assert not app.dataframe  # one marrow sample: nothing to compare
    app.get("button_group")[0].set_value("peripheral_blood").run()
    checked(app)
    assert len(app.dataframe) == 1


def test_a_sample_shows_its_counts_flags_cells_and_reports(patient, samples):
    app = open_app(PAGE, sample=samples[1].id)
    assert f"2026-04-01, sample {samples[1].id}" in texts(app)
    assert "Review and sign" in links(app)
    table = app.dataframe[0].value.set_index("type")
    assert table.loc["Lymphocytes", "count"] == 40
    assert table.loc["Lymphocytes", "absolute"] == pytest.approx(5.0)
    assert any("Lymphocytes" in m.value and "above the range" in m.value for m in app.markdown)
    assert [b.label for b in app.get("download_button")] == [
        "Report, PDF",
        "Workbook, XLSX",
        "Differential, CSV",
        "Cells, CSV",
        "All, JSON",
        "COCO, JSON",
        "FHIR, JSON",
    ]
    assert "ALL class, classified: **Pre-B ALL**" in texts(app)


def test_every_report_holds_the_reviewed_counts(database, user, samples):
    cell = queue(database).items[0]
    label_cells(database, user, cell.sample, {cell.id: "basophil"})
    case = load_case(database, cell.sample.id)
    files = case_files(database, case, ranges_in_force(database), user)
    made = {r.label: r.write() for r in files}
    assert made["Report, PDF"].startswith(b"%PDF")
    assert made["Workbook, XLSX"].startswith(b"PK")
    assert b"basophil,1," in made["Differential, CSV"]
    assert made["Cells, CSV"].count(b",wbc,basophil,classified,") == 1
    assert json.loads(made["All, JSON"])["case"]["differential"]["basophil"]["count"] == 1
    assert len(json.loads(made["COCO, JSON"])["annotations"]) == 62
    assert json.loads(made["FHIR, JSON"])["resourceType"] == "Bundle"


@pytest.mark.parametrize("address", [{"sample": 999}, {"patient": 999}, {"sample": "x"}])
def test_an_address_of_nothing_is_a_sentence(address):
    app = open_app(PAGE, **address)
    assert any("does not exist" in e.value for e in app.error)
    assert "All patients" in links(app)


def test_odd_addresses_do_no_harm(patient):
    assert open_app(PAGE, patient=10**30).error
    assert open_app(PAGE, patient=5000 * "9").error
    for odd in ({"page": 99}, {"page": "x"}, {"state": "gone"}):
        assert "P\\-1" in links(open_app(PAGE, **odd))


def test_a_lost_image_is_a_sentence_and_the_numbers_stay(database, samples):
    for path in database.images.root.glob("??/*"):
        path.unlink()
    app = open_app(PAGE, sample=samples[0].id)
    assert any("missing or damaged" in e.value for e in app.error)
    assert len(app.get("download_button")) == 7


def test_details_are_corrected(database, patient, samples):
    app = open_app(PAGE, patient=patient.id)
    app.text_input(key=f"patient_{patient.id}_identifier").set_value("P-2")
    checked(button(app, "Save").click().run())
    assert find_patient(database, "P-2") is not None
    app = open_app(PAGE, sample=samples[0].id)
    app.number_input(key=f"sample_{samples[0].id}_1_white_cells").set_value(9.0)
    checked(button(app, "Save").click().run())
    assert load_case(database, samples[0].id).sample.white_cell_count == 9.0


def test_a_signed_sample_is_read_only(database, user, patient):
    sample = save_sample(database, user, patient.id, SampleDetails(date(2026, 3, 1)))
    sign(database, user, mark_reviewed(database, user, sample))
    app = open_app(PAGE, sample=sample.id)
    assert ":green-badge[:material/verified: signed]" in texts(app)
    assert not any(b.label == "Save" for b in app.button)


def test_a_patient_is_added_and_opened(database):
    app = open_app(PAGE)
    app.text_input(key="add_identifier").set_value("Z-1")
    checked(button(app, "Add").click().run())
    assert find_patient(database, "Z-1") is not None
    assert any(s.value == "Z\\-1" for s in app.header)


def test_a_patient_is_deleted_only_after_the_identifier_was_typed(database, patient, samples):
    app = open_app(PAGE, patient=patient.id)
    assert button(app, "Delete permanently").disabled
    app.text_input(key=f"delete_{patient.id}").set_value("P-1").run()
    checked(button(app, "Delete permanently").click().run())
    assert not app.error
    assert search_patients(database).total == 0
    assert not list(database.images.root.glob("??/*"))


def test_a_viewer_reads_and_changes_nothing(database, patient, samples, monkeypatch):
    with database.writing() as session:
        session.execute(text("UPDATE people SET role = 'viewer'"))
    app = open_app(PAGE, patient=patient.id)
    assert not {"Save", "Delete permanently"} & {b.label for b in app.button}
    assert "Distribution" in texts(app)


def test_the_overview_shows_the_latest_cases(patient, samples):
    app = open_app()
    assert any(s.value == "Latest cases" for s in app.header)
    assert f"2026\\-04\\-01, sample {samples[1].id}" in links(app)
