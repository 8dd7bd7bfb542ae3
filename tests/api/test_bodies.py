"""Rate, token and size come before the body, and no body costs more than it is worth."""

import asyncio
import json
from itertools import repeat

import pytest

from core.access import access_of
from core.api.guard import Guard
from core.api.problems import MOST_INVALID
from core.api.schemas import MOST_LABELS
from core.api.uploads import MAX_CASE_BYTES
from core.settings import Settings

JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=x"}
NESTED = b"[" * 28_000_000


def posted(app, path, headers, pieces):
    """Post pieces to an app; return the status, the problem's name and the pieces taken."""
    sent, taken = [], []

    async def receive():
        piece = next(pieces, None)
        taken.append(piece)
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("203.0.113.7", 1),
    }
    asyncio.run(app(scope, receive, send))
    problem = json.loads(sent[1]["body"])
    return sent[0]["status"], problem["type"].rpartition(":")[2], len(taken)


def asked(app, path, **headers):
    """Post with a body that must never be asked for; return status and the problem's name."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    status, name, taken = posted(app, path, JSON | named, repeat(b"["))
    assert taken == 0
    return status, name


@pytest.mark.parametrize(
    "path", ["/patients", "/samples/1/reviews", "/predict", "/predict_batch", "/samples/1/fields"]
)
def test_no_body_is_read_of_a_caller_who_may_not_ask(open_client, path):
    app = open_client(api_tokens=True).app
    assert asked(app, path) == (401, "token")
    assert asked(app, path, authorization="Bearer leuko_wrong") == (401, "token")
    guarded = Guard(app, access_of(Settings(_env_file=None, open_access=True), None))
    foreign = {"host": "localhost", "sec_fetch_site": "cross-site"}
    assert asked(guarded, path, **foreign) == (403, "foreign-page")
    assert asked(guarded, path, host="evil.example") == (400, "unknown-host")
    app = open_client(api_requests_per_minute=1, api_tokens=True).app
    assert [asked(app, path)[0] for _ in range(2)] == [401, 429]


@pytest.mark.parametrize(
    ("path", "size"),
    [
        ("/patients", MAX_CASE_BYTES + 1),
        ("/patients/1/samples", MAX_CASE_BYTES + 1),
        ("/samples/1/reviews", MAX_CASE_BYTES + 1),
        ("/predict", 32_000_001),
    ],
)
def test_no_body_is_read_that_says_it_is_too_large(client, path, size):
    assert asked(client.app, path, content_length=str(size)) == (413, "request-too-large")


def test_case_json_of_no_stated_length_ends_at_its_limit(client):
    answer = posted(client.app, "/patients", JSON, repeat(b"[" * 10_000))
    assert answer == (413, "request-too-large", 11)
    deep = client.post("/patients", content=b"[" * MAX_CASE_BYTES, headers=JSON)
    assert deep.status_code in (400, 422)


@pytest.mark.parametrize("path", ["/predict", "/predict_batch", "/predict_batch?stream=true"])
def test_nested_brackets_are_not_parsed(client, monkeypatch, path):
    monkeypatch.setattr(
        "core.api.uploads.ImagesBody.model_validate_json",
        lambda _body: pytest.fail("the JSON was parsed"),
    )
    answer = client.post(path, content=NESTED, headers=JSON)
    assert answer.status_code == 413
    assert answer.json()["type"].endswith(":too-many-files")


def test_lists_of_images_are_bounded_before_they_are_parsed(client):
    body = b'{"images": [' + b'{"image":""},' * 2_300_000 + b'{"image":""}]}'
    answer = client.post("/predict_batch", content=body, headers=JSON)
    assert answer.status_code == 413
    assert "100 images" in answer.json()["detail"]


def test_a_problem_names_few_invalid_values(client):
    labels = {str(cell): "no such type" for cell in range(1, 2000)}
    answer = client.post("/samples/1/reviews", json={"version": 1, "labels": labels})
    assert answer.status_code == 422
    assert len(answer.json()["invalid"]) == MOST_INVALID
    key = "9" * 90_000
    answer = client.post("/samples/1/reviews", json={"version": 1, "labels": {key: "x"}})
    assert answer.status_code == 422
    assert len(answer.content) < 2000
    labels = dict.fromkeys(range(1, MOST_LABELS + 2), "monocyte")
    compact = json.dumps({"version": 1, "labels": labels}, separators=(",", ":"))
    assert len(compact) < MAX_CASE_BYTES
    answer = client.post("/samples/1/reviews", content=compact, headers=JSON)
    assert answer.status_code == 422
    assert f"at most {MOST_LABELS}" in answer.json()["invalid"][0]["message"]


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        (b"--x\r\n\r\n\r\n", "unreadable-request"),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n', "unreadable-request"),
        (b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n\r\n', "too-many-files"),
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/predict_batch"])
def test_empty_multipart_parts_end_the_request(client, part, kind, path):
    status, name, taken = posted(client.app, path, FORM, repeat(part * 1000))
    assert (status in (400, 413), name, taken) == (True, kind, 1)


def test_part_headers_are_bounded(client):
    for headers in (b"A: " + b"b" * 1_000_000 + b"\r\n", b"A: b\r\n" * 1000):
        body = b"--x\r\n" + headers + b"\r\n\r\n--x--\r\n"
        answer = client.post("/predict", content=body, headers=FORM)
        assert answer.status_code == 400
