"""Cases over the API are the cases of the pages."""

import pytest

from core.cases.audit import latest
from core.cases.drafts import add_draft_field, create_draft, load_draft
from core.cases.range_tables import ranges_in_force
from core.cases.reviews import label_cells, reviews_of
from core.cases.samples import load_case, load_sample
from core.cases.users import user_of
from core.exports.case_answer import case_answer
from core.exports.registry import CASE_FORMATS
from core.exports.summary import summarise
from core.synthetic.examples import synthetic_slides
from tests.cases.made import new_field, white
from tests.images import read_image


@pytest.fixture
def sample(client, slides):
    """Save a patient, a sample and a field."""
    patient = client.post("/patients", json={"identifier": "P-1", "birth_year": 1970}).json()
    made = client.post(f"/patients/{patient['id']}/samples", json={"taken": "2026-03-01"})
    assert made.status_code == 201
    saved = save(client, made.json(), slides[0])
    assert saved.status_code == 201
    return saved.json()["sample"]


def save(client, sample, slide, **more):
    params = {"version": sample["version"], **more}
    return client.post(f"/samples/{sample['id']}/fields", params=params, files={"file": slide})


def test_patients_are_listed_searched_and_paged(client, sample):
    client.post("/patients", json={"identifier": "P-2", "name": "Åsa Öst"})
    page = client.get("/patients", params={"limit": 1}).json()
    assert page["total"] == 2
    assert [item["patient"]["identifier"] for item in page["items"]] == ["P-1"]
    assert page["items"][0]["last"] == sample
    found = client.get("/patients", params={"search": "ÖST"}).json()["items"]
    assert [item["patient"]["identifier"] for item in found] == ["P-2"]


def test_a_draft_is_at_no_address(client, sample, database):
    """Not even for the user who made it: drafts are opened on the pages only."""
    user = user_of(database)
    draft, _ = create_draft(database, user, None)
    image = read_image(synthetic_slides()[1][1], "a.png")
    add_draft_field(database, user, draft, "A", new_field(image, white("basophil")))
    (field,) = load_draft(database, draft)[2]
    (cell,) = field.stored.cell_ids
    seen = load_sample(database, field.sample_id, draft.id)
    label_cells(database, user, seen, {cell: "monocyte"})
    assert client.get("/patients").json()["total"] == 1
    assert client.get("/patients", params={"search": "draft"}).json()["total"] == 0
    patient, own = f"/patients/{seen.patient_id}", f"/samples/{seen.id}"
    details = {"taken": "2026-03-01"}
    labels = {"version": 2, "labels": {cell: "basophil"}}
    for answer in (
        client.get(patient),
        client.post(f"{patient}/samples", json=details),
        client.get(own),
        client.get(f"{own}/reports/pdf"),
        client.post(f"{own}/reviews", json=labels),
        save(client, {"id": seen.id, "version": 2}, synthetic_slides()[2]),
    ):
        assert answer.status_code == 404
    assert client.get(f"/cells/{cell}/reviews").json() == []


def test_who_lists_patients_is_audited_once_in_a_while(client, sample, database):
    for search in ("", "P", "none"):
        client.get("/patients", params={"search": search})
    listed = [entry for entry in latest(database).items if entry.action == "list patients"]
    assert [entry.details for entry in listed] == [{}]  # what was searched is in no record


@pytest.mark.parametrize("typed", ["Mu\u0308 1", " M\u00fc  1\n", "M\u00fc\u00a01"])
def test_another_spelling_of_an_identifier_is_the_same_patient(client, typed):
    made = client.post("/patients", json={"identifier": typed})
    assert (made.status_code, made.json()["identifier"]) == (201, "M\u00fc 1")
    again = client.post("/patients", json={"identifier": "M\u00fc 1"})
    assert again.status_code == 422
    found = client.get("/patients", params={"search": typed}).json()
    assert found["total"] == 1


@pytest.mark.parametrize("character", ["\\n", "\\u0000", "\\u202e", "\\ud800", "\\u200b"])
@pytest.mark.parametrize("key", ["identifier", "name"])
def test_unseen_characters_in_what_names_a_patient_are_an_answer(client, character, key):
    body = f'{{"identifier": "P-1", "{key}": "P{character}1"}}'
    answer = client.post("/patients", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert client.get("/patients").json()["total"] == 0


def test_a_patient_is_given_with_counted_samples(client, sample):
    answer = client.get(f"/patients/{sample['patient_id']}").json()
    (summary,) = answer["samples"]
    assert answer["patient"]["birth_year"] == 1970
    assert summary["type_counts"] == {"neutrophil": 1}
    assert summary["uncertain"] == 1


def test_a_sample_is_given_as_the_pages_report_it(client, sample, database, settings):
    answer = client.get(f"/samples/{sample['id']}").json()
    assert (
        answer
        == case_answer(
            summarise(
                load_case(database, sample["id"]).with_neutral_names(),
                ranges_in_force(database, settings),
                settings,
            )
        ).dump()
    )


def test_a_graded_field_keeps_its_class_and_models(client, sample, slides, database):
    answer = save(client, sample, slides[1], grade=True).json()
    assert answer["stage"]["stage"] == "Early"
    first, second = load_case(database, sample["id"]).fields
    assert first.stage is None
    assert set(first.models) == {"detector", "wbc"}
    assert second.stage.stage == "Early"
    assert set(second.models) == {"detector", "wbc", "all_stage"}


def test_a_refused_picture_is_not_saved(client, sample, slides, database):
    answer = save(client, sample, ("refused.jpg", slides[1][1]))
    assert answer.status_code == 200
    assert not answer.json()["saved"]
    assert answer.json()["image"]["refused"]
    assert len(load_case(database, sample["id"]).fields) == 1


def test_the_same_picture_is_not_counted_twice(client, sample, slides):
    answer = save(client, sample, slides[0])
    assert answer.status_code == 422
    assert "would count twice" in answer.json()["detail"]


def test_a_cell_is_reviewed_once_on_what_was_seen(client, sample, database):
    cell_id = load_case(database, sample["id"]).fields[0].cell_ids[0]
    body = {"version": sample["version"], "labels": {cell_id: "lymphocyte"}, "comment": "small"}
    answer = client.post(f"/samples/{sample['id']}/reviews", json=body)
    assert answer.status_code == 201
    assert answer.json()["sample"]["version"] == sample["version"] + 1
    stale = client.post(f"/samples/{sample['id']}/reviews", json=body)
    assert stale.status_code == 409
    assert "after you opened it" in stale.json()["detail"]
    (review,) = reviews_of(database, cell_id)
    assert (review.label, review.comment) == ("lymphocyte", "small")
    assert review.reviewer == user_of(database).name
    assert client.get(f"/cells/{cell_id}/reviews").json() == answer.json()["reviews"]


def test_what_is_no_label_is_not_kept(client, sample, database):
    body = {"version": sample["version"], "labels": {"1": "elephant"}}
    answer = client.post(f"/samples/{sample['id']}/reviews", json=body)
    assert answer.status_code == 422
    assert answer.json()["invalid"][0]["place"] == "body.labels.1"


@pytest.mark.parametrize("form", CASE_FORMATS, ids=lambda form: form.key)
def test_reports_are_downloaded(client, sample, form):
    answer = client.get(f"/samples/{sample['id']}/reports/{form.key}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == form.media_type
    assert "leukoscope_P-1_2026-03-01_" in answer.headers["content-disposition"]
    assert answer.content


def test_what_is_not_there_is_404(client):
    for path in ("/patients/7", "/samples/7", "/samples/7/reports/pdf"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.json()["type"].endswith(":not-found")
