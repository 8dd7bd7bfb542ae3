"""Uploads of slides by the API: piece by piece, resumed, for their owner only."""

import base64
import os
from datetime import UTC, datetime, timedelta
from io import BytesIO

import anyio
import pytest
from PIL import Image
from starlette.testclient import TestClient

from core.access import VISITOR_COOKIE, new_visitor, visitors
from core.cases.records import User
from core.cases.users import remove, set_role
from core.slides import uploads
from core.slides.uploads import expire_uploads
from tests.api.test_access import bearer
from tests.cases.made import ADMIN
from tests.slides import made

TUS = {"Tus-Resumable": "1.0.0"}
PIECE = TUS | {"Content-Type": "application/offset+octet-stream"}


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return made.svs(made.a_slide(), tmp_path_factory.mktemp("made") / "a.svs").read_bytes()


@pytest.fixture
def opened(open_client, tmp_path):
    def opened(client=("127.0.0.1", 50000), **changed):
        shared = tmp_path / "shared"
        shared.mkdir(exist_ok=True)
        made = open_client(
            slide_folders=(shared,),
            slide_cache=tmp_path / "cache",
            slide_uploads=tmp_path / "uploads",
            **changed,
        )
        return TestClient(
            made.app, "http://localhost:8501", raise_server_exceptions=False, client=client
        )

    return opened


def begin(client, length, name="0042.svs", headers=None, **told):
    pairs = {"filename": name} | told
    metadata = ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in pairs.items())
    sent = TUS | {"Upload-Length": str(length), "Upload-Metadata": metadata} | (headers or {})
    return client.post("/slides/uploads", headers=sent)


def send(client, address, offset, data, headers=None):
    sent = PIECE | {"Upload-Offset": str(offset)} | (headers or {})
    return client.patch(address, content=data, headers=sent)


def upload(client, data, name="0042.svs", headers=None):
    address = begin(client, len(data), name, headers).headers["location"]
    return address, send(client, address, 0, data, headers)


def files(settings_folder):
    return [path for path in settings_folder.rglob("*") if path.is_file()]


def test_an_upload_goes_on_where_it_stopped_and_becomes_a_slide(opened, slide):
    client = opened()
    offers = client.options("/slides/uploads").headers
    assert (offers["tus-version"], offers["tus-max-size"]) == ("1.0.0", "5000000000")
    answer = begin(client, len(slide), modified="1770000000000")
    assert answer.status_code == 201
    address = answer.headers["location"]
    assert "upload-expires" in answer.headers
    first = send(client, address, 0, slide[:1000])
    assert (first.status_code, first.headers["upload-offset"]) == (204, "1000")
    (listed,) = client.get("/slides/uploads").json()
    assert (listed["name"], listed["offset"], listed["modified"]) == (
        "0042.svs",
        1000,
        1770000000000,
    )
    assert client.get("/slides").json() == []  # what is not whole is no slide
    for offset in (0, 999, 1001):
        refused = send(client, address, offset, b"x")
        assert refused.status_code == 409
        assert "1,000 bytes" in refused.json()["detail"]
    restarted = opened()
    state = restarted.head(address, headers=TUS)
    assert (state.headers["upload-offset"], state.headers["cache-control"]) == ("1000", "no-store")
    assert "slide-id" not in state.headers
    last = send(restarted, address, 1000, slide[1000:])
    assert last.status_code == 204
    (found,) = restarted.get("/slides").json()
    assert found == {"id": last.headers["slide-id"], "name": "0042.svs"}
    assert restarted.head(address, headers=TUS).headers["slide-id"] == found["id"]
    tile = restarted.get(f"/slides/{found['id']}/tiles/0/0_0.jpg")
    assert Image.open(BytesIO(tile.content)).size == (400, 300)
    assert restarted.get("/slides/uploads").json() == []
    assert restarted.delete(address, headers=TUS).status_code == 204
    assert restarted.get(f"/slides/{found['id']}/tiles/0/0_0.jpg").status_code == 404
    assert restarted.head(address, headers=TUS).status_code == 404


def test_what_arrived_before_the_connection_was_lost_is_kept(opened, slide, tmp_path):
    client = opened()
    address = begin(client, len(slide)).headers["location"]
    pieces = [slide[:700], slide[700:1500]]

    async def receive():
        if pieces:
            return {"type": "http.request", "body": pieces.pop(0), "more_body": True}
        return {"type": "http.disconnect"}

    async def ignore(_message):
        pass

    headers = [
        (k.lower().encode(), v.encode()) for k, v in (PIECE | {"Upload-Offset": "0"}).items()
    ]
    scope = {"type": "http", "method": "PATCH", "path": address, "raw_path": address.encode()}
    scope |= {"query_string": b"", "headers": headers, "client": ("127.0.0.1", 1)}
    anyio.run(client.app, scope | {"server": ("localhost", 80)}, receive, ignore)
    assert client.head(address, headers=TUS).headers["upload-offset"] == "1500"


def test_another_user_neither_sees_nor_changes_an_upload(
    opened, slide, database, settings, tmp_path
):
    client = opened(api_tokens=True, client=("10.0.0.9", 1))
    ana = bearer(database, settings, "ana@lab", "reviewer")
    eve = bearer(database, settings, "eve@lab", "reviewer")
    unfinished = begin(client, len(slide), headers=ana).headers["location"]
    address, done = upload(client, slide, headers=ana)
    slide_id = done.headers["slide-id"]
    assert client.get(f"/slides/{slide_id}", headers=ana).status_code == 200
    assert client.get("/slides", headers=eve).json() == []
    assert client.get("/slides/uploads", headers=eve).json() == []
    for path in ("", "/count", "/count/tiles", "/tiles/0/0_0.jpg"):
        assert client.get(f"/slides/{slide_id}{path}", headers=eve).status_code == 404
        assert client.get(f"/slides/{slide_id}{path}").status_code == 401
    for theirs in (unfinished, address):
        assert client.head(theirs, headers=TUS | eve).status_code == 404
        assert send(client, theirs, 0, b"x", eve).status_code == 404
        assert client.delete(theirs, headers=TUS | eve).status_code == 404
    viewer = bearer(database, settings, "vic@lab", "viewer")
    assert begin(client, 5, headers=viewer).status_code == 403
    remove(database, ADMIN, "ana@lab", client.app.state.services.settings)
    assert files(tmp_path / "uploads") == []


def test_a_browser_uploads_as_the_user_who_opened_the_page(opened, slide, database, settings):
    client = opened(client=("10.0.0.9", 1), sign_in=True)
    assert begin(client, 5).status_code == 401
    set_role(database, ADMIN, "ana@lab", "reviewer")
    hour = datetime.now(UTC) + timedelta(hours=1)
    for name in ("ana@lab", "eve@lab"):
        set_role(database, ADMIN, name, "reviewer")
    seen = {}
    for name in ("ana@lab", "eve@lab"):
        visitor = new_visitor()
        client.cookies.set(VISITOR_COOKIE, visitor)
        visitors.admit(visitor, hour, "fetch", "send")
        assert begin(client, 5).status_code == 401
        visitors.admit(visitor, hour, "slides", user=User(name, "reviewer"))
        begin(client, 5, f"{name[:3]}.svs")
        seen[name] = [found["name"] for found in client.get("/slides/uploads").json()]
    assert seen == {"ana@lab": ["ana.svs"], "eve@lab": ["eve.svs"]}
    set_role(database, ADMIN, "eve@lab", "viewer")  # while the page is open
    assert begin(client, 5).status_code == 403


def test_no_name_leads_out_or_hides_a_slide(opened, tmp_path):
    client = opened()
    for name, kept in {
        "../../shared/evil.svs": "evil.svs",
        "..\\..\\evil.svs": "evil.svs",
        "/etc/passwd.svs": "passwd.svs",
        ".hidden.svs": "hidden.svs",
        "a\0b\n\u202ec.svs": "abc.svs",
        "ä" * 300 + ".svs": None,
        "x.svs/": None,
        "....svs": None,
    }.items():
        answer = begin(client, 5, name)
        if answer.status_code == 415:  # what is left of it names no kind of slide
            assert kept is None
            continue
        (listed,) = client.get("/slides/uploads").json()
        assert kept in (None, listed["name"])
        (part,) = (path for path in files(tmp_path / "uploads") if path.suffix != ".json")
        assert part.name == f".{listed['name']}"
        assert part.parent.parent.parent == tmp_path / "uploads"
        assert len(os.fsencode(part.name)) < 255
        assert client.delete(answer.headers["location"], headers=TUS).status_code == 204
    assert not files(tmp_path / "shared")


def test_no_id_leads_out(opened, slide, tmp_path):
    client = opened()
    (tmp_path / "shared" / "a.svs").write_bytes(slide)
    for asked in ("..", "../x", "%2e%2e", "%2e%2e%2f%2e%2e%2fshared", "0" * 32, "a.svs"):
        for answer in (
            client.head(f"/slides/uploads/{asked}", headers=TUS),
            send(client, f"/slides/uploads/{asked}", 0, b"x"),
            client.delete(f"/slides/uploads/{asked}", headers=TUS),
        ):
            assert answer.status_code in (404, 405)
    assert (tmp_path / "shared" / "a.svs").read_bytes() == slide


@pytest.mark.parametrize(
    ("name", "content", "answered"),
    [
        ("notes.txt", b"x", (415, "Upload a slide")),
        ("a.mrxs", b"x", (415, "slide folder")),
        ("a.svs", b"", (422, "empty")),
        ("a.svs", b"no slide at all", (415, "not an image")),
        ("a.svs", "cut", (422, "damaged")),
        ("a.png", b"%PDF-1.7", (415, "PDF")),
    ],
)
def test_what_is_no_slide_is_refused_and_not_kept(opened, slide, name, content, answered):
    client = opened()
    content = slide[: len(slide) // 2] if content == "cut" else content
    answer = begin(client, len(content), name)
    if answer.status_code == 201:
        answer = send(client, answer.headers["location"], 0, content)
    assert answer.status_code == answered[0]
    assert answered[1] in answer.json()["detail"]
    assert files(client.app.state.services.settings.slide_uploads) == []


def test_a_slide_that_cannot_be_named_keeps_none(opened, slide):
    client = opened(neutral_names=True)
    _, done = upload(client, slide, "Jane Doe.svs")
    assert "Doe" not in client.get(f"/slides/{done.headers['slide-id']}").text
    assert client.get("/slides").json()[0]["name"].startswith("slide ")


def test_limits_are_said_before_anything_is_sent(opened, slide, tmp_path, monkeypatch):
    client = opened(slide_upload_megabytes=1, slide_uploads_total_megabytes=2)
    refused = begin(client, 1_000_001)
    assert refused.status_code == 413
    assert "0.001 GB" in refused.json()["detail"]
    off = begin(opened(slide_upload_megabytes=0), 5)
    assert off.status_code == 413
    assert "cannot be uploaded here" in off.json()["detail"]
    assert [begin(client, 1_000_000).status_code for _ in range(3)] == [201, 201, 507]
    (one, _) = client.get("/slides/uploads").json()
    address = f"/slides/uploads/{one['id']}"
    assert client.delete(address, headers=TUS).status_code == 204
    assert begin(client, 1_000_000).status_code == 201
    monkeypatch.setattr(uploads, "_FREE_BYTES", 10**18)
    full = begin(opened(), 5)
    assert full.status_code == 507
    assert "no room" in full.json()["detail"]
    monkeypatch.undo()
    monkeypatch.setattr(uploads, "MOST_UNFINISHED", 2)
    assert begin(opened(), 5).status_code == 409


def test_a_full_disk_loses_nothing(opened, slide, monkeypatch):
    client = opened()
    address = begin(client, len(slide)).headers["location"]
    send(client, address, 0, slide[:1000])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(uploads, "flock", full)
    refused = send(client, address, 1000, slide[1000:])
    assert refused.status_code == 507
    assert "/" not in refused.json()["detail"]
    monkeypatch.undo()
    assert client.head(address, headers=TUS).headers["upload-offset"] == "1000"
    assert send(client, address, 1000, slide[1000:]).status_code == 204


def test_more_bytes_than_announced_and_other_protocols_are_refused(opened):
    client = opened()
    address = begin(client, 10).headers["location"]
    assert send(client, address, 0, b"x" * 11).status_code == 400
    assert client.head(address).status_code == 412
    assert (
        client.patch(address, content=b"x", headers=TUS | {"Upload-Offset": "0"}).status_code == 415
    )
    assert client.post("/slides/uploads", headers=TUS).status_code == 422
    bad = TUS | {"Upload-Length": "5", "Upload-Metadata": "filename ***"}
    assert client.post("/slides/uploads", headers=bad).status_code == 400
    assert client.head(address, headers=TUS).headers["upload-offset"] == "0"


def test_uploads_that_nobody_continues_are_deleted(opened, tmp_path, slide):
    client = opened()
    kept, _ = upload(client, slide)
    old, new = (begin(client, 5, name).headers["location"] for name in ("old.svs", "new.svs"))
    week_ago = datetime.now(UTC).timestamp() - 8 * 24 * 3600
    for path in files(tmp_path / "uploads"):
        if path.name in (".old.svs", "0042.svs"):
            os.utime(path, (week_ago, week_ago))
    assert expire_uploads(client.app.state.services.settings) == 1
    statuses = [client.head(address, headers=TUS).status_code for address in (kept, old, new)]
    assert statuses == [200, 404, 200]
