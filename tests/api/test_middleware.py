"""Every request has an id, a limit on its body, a record in the log."""

import logging

from core.api.logs import set_up_logging


def test_a_sane_id_is_kept_and_any_other_replaced(client):
    def answered(offered):
        return client.get("/health", headers={"x-request-id": offered}).headers["x-request-id"]

    assert answered("batch-7.b_2") == "batch-7.b_2"
    for odd in ("", "a b", "x" * 65, "line\u00e9"):
        assert answered(odd.encode("latin-1")) != odd
    assert answered("") != answered("")


def test_the_id_is_in_every_record_of_its_request(client, slides, caplog):
    set_up_logging()
    client.post(
        "/predict_batch",
        files={"files": ("broken.jpg", slides[0][1])},
        headers={"x-request-id": "the-id"},
    )
    failed, answered = caplog.records[-2:]
    assert "a file failed" in failed.message
    assert answered.message.startswith("POST /predict_batch 200 ")
    assert failed.request_id == answered.request_id == "the-id"
    assert not hasattr(logging.makeLogRecord({}), "request_id")


def test_answers_are_kept_nowhere(client):
    assert client.get("/patients").headers["cache-control"] == "no-store"


def test_an_address_writes_nothing_of_its_own_into_the_log(client, caplog):
    set_up_logging()
    client.get("/none%0A2026-01-01 INFO core.api all is well")
    assert caplog.records[-1].message.startswith("GET unknown 404 ")
    client.get("/patients/Katarzyna", params={"search": "Katarzyna"})
    assert caplog.records[-1].message.startswith("GET /patients/{patient_id} 422 ")


def test_a_body_is_counted_as_it_comes(open_client):
    client = open_client(api_request_megabytes=1)
    pieces = [bytes(200_000)] * 6

    form = {"content-type": "multipart/form-data; boundary=x"}
    json = {"content-type": "application/json"}
    for path, content, headers in (
        ("/predict", iter(pieces), form),  # of no stated length
        ("/predict", b"".join(pieces), form),
        ("/patients", iter(pieces), json),
    ):
        answer = client.post(path, content=content, headers=headers)
        assert answer.status_code == 413
        assert answer.json()["type"].endswith(":request-too-large")
        assert "larger than 1 MB" in answer.json()["detail"]


def test_a_defect_is_a_problem_without_its_cause(client, slides, caplog):
    set_up_logging()
    answer = client.post("/predict", files={"file": ("broken.jpg", slides[0][1])})
    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:leukoscope:problem:internal"
    assert "a defect" not in answer.text
    assert "builtins.RuntimeError\n" in caplog.text
    assert "RuntimeError: a defect" not in caplog.text


def test_unknown_addresses_and_methods_are_problems(client):
    for answer, status in ((client.get("/none"), 404), (client.get("/predict"), 405)):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
