"""Health, models, profiles, metrics and the description."""

import re
from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from core.api.app import create_app
from core.errors import ModelError, StoreUnavailableError
from core.model_card import MODEL_NAMES, load_card


def failing(error):
    def fail():
        raise error

    return fail


def samples(client):
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_health_says_what_is_not_ready(settings, client, fake, database):
    assert client.get("/health").json()["status"] == "ok"
    for app, part in (
        (
            create_app(
                settings, analyzer=failing(ModelError("No model.")), database=lambda: database
            ),
            "models",
        ),
        (
            create_app(settings, analyzer=lambda: fake, database=failing(StoreUnavailableError())),
            "database",
        ),
    ):
        answer = TestClient(app).get("/health")
        assert answer.status_code == 503
        assert answer.json()["status"] == "unavailable"
        assert not answer.json()[part]["ready"]
        assert answer.json()[part]["detail"]


def test_health_says_that_a_store_can_only_be_read(settings, fake, database):
    reader = replace(database, read_only=True)
    client = TestClient(create_app(settings, analyzer=lambda: fake, database=lambda: reader))
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["database"] == {
        "ready": True,
        "detail": "The case database can only be read.",
    }
    assert client.get("/patients").status_code == 200
    refused = client.post("/patients", json={"identifier": "P-1"})
    assert refused.status_code == 503
    assert "read-only" in refused.json()["detail"]


def test_without_models_the_sentence_of_the_error_is_answered(settings, database, slides):
    app = create_app(settings, analyzer=failing(ModelError("No model.")), database=lambda: database)
    answer = TestClient(app).post("/predict", files={"file": slides[0]})
    assert answer.status_code == 503
    assert answer.json()["detail"] == "No model."


def test_predictions_need_no_database(settings, fake, slides):
    app = create_app(settings, analyzer=lambda: fake, database=failing(StoreUnavailableError()))
    client = TestClient(app)
    assert client.post("/predict", files={"file": slides[0]}).status_code == 200
    assert client.get("/patients").status_code == 503


def test_model_info_gives_the_cards(client):
    models = client.get("/model_info").json()["models"]
    assert list(models) == list(MODEL_NAMES)
    assert models["wbc"]["version"] == load_card("wbc").version


def test_profiles_that_cannot_be_used_say_why(client, settings):
    folder = settings.store / "profiles"
    folder.mkdir()
    (folder / "north.profile.json").write_text("{}")
    (listed,) = client.get("/profiles").json()
    assert listed["name"] == "north"
    assert "damaged" in listed["problem"]


def test_metrics_count_classes_and_refusals(client, slides):
    data = slides[0][1]
    files = [("files", (name, data)) for name in ("a.jpg", "b.jpg", "refused.jpg")]
    client.post("/analyze", files=[*files, ("files", ("c.txt", b"text"))])
    client.post("/predict", files={"file": ("c.txt", b"text")})
    found = samples(client)
    assert found["leukoscope_pictures_total", "analyze", "answered"] == 2
    assert found["leukoscope_pictures_total", "analyze", "refused"] == 1
    assert found["leukoscope_pictures_total", "analyze", "failed"] == 1
    assert found["leukoscope_pictures_total", "classify", "failed"] == 1
    assert found["leukoscope_predictions_total", "analyze", "classified", "neutrophil"] == 2
    assert found["leukoscope_predictions_total", "analyze", "monocyte", "uncertain"] == 2
    assert found["leukoscope_unfamiliar_cells_total", "analyze"] == 0
    assert found["leukoscope_request_seconds_count", "/analyze", "200", "POST"] == 1
    assert found["leukoscope_request_seconds_count", "/predict", "415", "POST"] == 1
    assert found[("leukoscope_model_requests",)] == 0


def test_metrics_count_cells_of_unfamiliar_look(client, slides):
    for name in ("a.jpg", "b.jpg", "refused.jpg"):
        client.post("/predict", files={"file": (name, slides[0][1])})
    assert samples(client)["leukoscope_unfamiliar_cells_total", "classify"] == 2


def test_metrics_of_unknown_addresses_share_a_label(client):
    for number in range(3):
        client.get(f"/none/{number}")
    assert samples(client)["leukoscope_request_seconds_count", "404", "GET", "unknown"] == 3


def test_the_docs_load_nothing_from_elsewhere(client):
    page = client.get("/docs").text
    assert "https://" not in page
    found = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(found) == 3
    for address in found:
        assert client.get(address).status_code == 200
    assert client.get("/openapi.json").json()["openapi"].startswith("3.")
