"""Requests that the door of the server does not let through, and what browsers are told."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import streamlit
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from core.access import VISITOR_COOKIE, access_of, new_visitor, visitors
from core.api.guard import PAGE_SCRIPT, Guard
from core.settings import Settings

HERE = ("127.0.0.1", 50000)
WRITES = ("POST", "PUT", "PATCH", "DELETE")


async def page(request):
    answer = PlainTextResponse("page", media_type="text/html")
    answer.set_cookie("_streamlit_user", "signed", max_age=30 * 24 * 3600, samesite="lax")
    return answer


async def connected(websocket):
    await websocket.accept()
    await websocket.send_text("connected")
    async for message in websocket.iter_bytes():
        await websocket.send_text(f"done: {message.decode()}")


async def anything(request):
    return PlainTextResponse("anything")


def connect(client, headers=None):
    """Open the connection of the pages; a test client would use a host name of its own."""
    address = f"{client.base_url}/_stcore/stream".replace("http", "ws", 1)
    return client.websocket_connect(address, headers=dict(headers or {}))


@pytest.fixture
def visit():
    """Give a function that opens a server with a guard, under a host name, from an address."""

    def opened(address="http://localhost:8501", client=HERE, auth=None, **changed):
        access = access_of(Settings(_env_file=None, **changed), auth)
        app = Starlette(
            routes=[
                Route("/", page),
                WebSocketRoute("/_stcore/stream", connected),
                Mount("/", Route("/{path:path}", anything, methods=["GET", *WRITES])),
            ]
        )
        return TestClient(Guard(app, access, b"redraw"), address, client=client)

    return opened


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "localhost@evil.example", "10.0.0.9", "", "[::1"],
)
def test_a_forged_host_gets_nothing(visit, host):
    for path in ("/", "/api/patients", "/media/abc.png"):
        answer = visit().get(path, headers={"host": host})
        assert answer.status_code == 400
        assert answer.json()["type"].endswith(":unknown-host")
    with pytest.raises(WebSocketDisconnect), connect(visit(), {"host": host}):
        pass


def test_two_hosts_are_none(visit):
    client = visit()
    assert client.get("/", headers=[("host", "localhost"), ("host", "evil.example")]).is_error


@pytest.mark.parametrize("address", ["http://localhost:8501", "http://127.0.0.1", "http://[::1]:9"])
def test_this_machine_is_served_under_its_own_names(visit, address):
    assert visit(address).get("/").status_code == 200


def test_a_host_that_is_set_is_served(visit):
    named = {"hosts": {"Leuko.Example"}, "open_access": True}
    assert visit("http://leuko.example", **named).get("/").status_code == 200
    assert visit("http://other.example", **named).get("/").status_code == 400
    signed = {"redirect_uri": "https://leuko.example/oauth2callback"}
    assert visit("https://leuko.example", auth=signed).get("/").status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://localhost:3000",
        "http://localhost",
        "http://127.0.0.1:8501",
        "null",
        "file://",
        "",
    ],
)
def test_other_origins_change_nothing_and_open_no_connection(visit, origin):
    client = visit()
    for method in WRITES:
        for path in ("/api/patients", "/_stcore/upload_file/1/2"):
            answer = client.request(method, path, headers={"origin": origin})
            assert answer.status_code == 403
            assert answer.json()["type"].endswith(":foreign-page")
    with pytest.raises(WebSocketDisconnect) as refused, connect(client, {"origin": origin}):
        pass
    assert refused.value.code == 1008


def test_a_browser_that_names_no_origin_tells_the_site(visit):
    client = visit()
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200)):
        headers = {"sec-fetch-site": site}
        assert client.post("/api/patients", headers=headers).status_code == status
    link = {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"}
    assert client.get("/", headers=link).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("kind", ["image", "script", "iframe", "empty"])
def test_other_sites_have_nothing_of_this_one_within_their_pages(visit, site, kind):
    """An image whose address is a case would put a view of it into the audit trail."""
    client = visit()
    headers = {"sec-fetch-site": site, "sec-fetch-dest": kind}
    for path in ("/", "/api/samples/1", "/api/samples/1/reports/pdf"):
        assert client.get(path, headers=headers).status_code == 403
    headers["sec-fetch-site"] = "same-origin"
    assert client.get("/api/samples/1", headers=headers).status_code == 200


def test_own_pages_and_programs_pass(visit):
    client = visit()
    for headers in ({}, {"origin": "http://localhost:8501"}):
        assert client.post("/api/patients", headers=headers).status_code == 200
        with connect(client, headers) as socket:
            assert socket.receive_text() == "connected"
    signed = {"redirect_uri": "https://leuko.example/oauth2callback"}
    behind = visit("http://127.0.0.1:8501", auth=signed)  # a proxy that sets its own Host
    headers = {"origin": "https://leuko.example"}
    assert behind.post("/api/patients", headers=headers).status_code == 200


OTHERS = [
    {"client": ("10.0.0.7", 5)},
    {"address": "http://10.0.0.1:8501"},
    {"client": None},
]


@pytest.mark.parametrize("other", OTHERS)
def test_other_machines_are_served_only_what_is_protected(visit, other):
    closed = visit(**other)
    for path in ("/", "/api/patients", "/api/health", "/media/abc"):
        answer = closed.get(path)
        assert answer.status_code == 403
        assert "LEUKOSCOPE_OPEN_ACCESS" in answer.json()["detail"]
    with pytest.raises(WebSocketDisconnect), connect(closed):
        pass
    assert visit(**other, open_access=True).get("/").status_code == 200
    assert visit(**other, auth={}).get("/").status_code == 200
    tokens = visit(**other, api_tokens=True)
    assert tokens.get("/api/patients").status_code == 200  # where the token is asked for
    assert tokens.get("/").status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "10.0.0.7"},
        {"x-forwarded-for": "127.0.0.1, 10.0.0.7"},
        {"x-real-ip": "10.0.0.7"},
        {"forwarded": "for=10.0.0.7"},
        {"via": "1.1 proxy"},
        {"x-forwarded-host": "leuko.example"},
    ],
)
def test_a_proxy_on_this_machine_opens_nothing(visit, headers):
    assert visit().get("/", headers=headers).status_code == 403
    assert visit().get("/", headers={"x-forwarded-for": "127.0.0.1"}).status_code == 200


def test_files_of_the_pages_are_for_browsers_that_a_page_let_in(visit):
    client, user = visit(auth={}), new_visitor()
    media, upload = "/media/abc.png", "/_stcore/upload_file/session/file"
    for cookie in ({}, {VISITOR_COOKIE: user}, {VISITOR_COOKIE: "guessed"}):
        client.cookies = cookie
        assert client.get(media).status_code == 403
        assert client.get("/media/static/media/abc.png").status_code == 403
        assert client.put(upload).status_code == 403
        assert client.get("/static/media/font.woff2").status_code == 200
    client.cookies = {VISITOR_COOKIE: user}
    later = datetime.now(UTC) + timedelta(minutes=1)
    visitors.admit(user, later, "fetch")
    assert client.get(media).status_code == 200
    assert client.put(upload).status_code == 403
    visitors.admit(user, later, "fetch", "send", sign_in="one")
    assert client.put(upload).status_code == 200
    visitors.dismiss("one")
    assert client.get(media).status_code == 403
    assert visit().get(media).status_code == 200  # without sign-in there is nobody to ask


@pytest.mark.parametrize("end", ["sign-out", "time"])
def test_a_page_takes_nothing_more_once_its_sign_in_ended(visit, end):
    client, user = visit(auth={}), new_visitor()
    client.cookies = {VISITOR_COOKIE: user}
    later = datetime.now(UTC) + timedelta(minutes=1)
    with connect(client, {"cookie": f"{VISITOR_COOKIE}={user}"}) as socket:
        assert socket.receive_text() == "connected"

        def done(message):
            socket.send_bytes(message)
            return socket.receive_text()

        assert done(b"sign in") == "done: sign in"
        visitors.admit(user, later, "send", sign_in=end)
        assert done(b"delete") == "done: delete"
        if end == "time":
            visitors.admit(user, datetime.now(UTC), "send", sign_in=end)
        else:
            visitors.dismiss(end)
        assert done(b"delete") == "done: redraw"
        assert done(b"sign in") == "done: sign in"
        visitors.admit(user, later, "send", sign_in="another")
        assert done(b"delete") == "done: delete"


def test_measurements_of_the_pages_are_for_this_machine_or_for_nobody(visit):
    assert visit().get("/_stcore/metrics").status_code == 200
    assert visit(auth={}).get("/_stcore/metrics").status_code == 403
    away = visit(client=("10.0.0.7", 5), open_access=True)
    assert away.get("/_stcore/metrics").status_code == 403


def test_browsers_are_told_what_pages_may_do(visit):
    headers = visit().get("/").headers
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'self'" in policy
    assert "default-src 'self'" in policy
    assert "object-src 'none'" in policy
    scripts = re.search("script-src ([^;]*)", policy).group(1)
    assert not {"'unsafe-inline'", "'unsafe-eval'", "*", "https:", "http:"} & set(scripts.split())
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert headers["referrer-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    assert "strict-transport-security" not in headers
    refused = visit().get("/", headers={"host": "evil.example"}).headers
    assert refused["content-security-policy"] == policy


def test_the_policy_knows_the_script_of_streamlits_page():
    text = (Path(streamlit.__file__).parent / "static" / "index.html").read_bytes()
    assert re.findall(rb"<script>(.*?)</script>", text, re.DOTALL) == [PAGE_SCRIPT]


def cookies(answer):
    return {c.partition("=")[0]: c for c in answer.headers.get_list("set-cookie")}


def test_cookies_hold_as_long_as_a_sign_in_and_keep_to_https(visit):
    plain = cookies(visit(auth={}, session_hours=2).get("/"))
    assert "Max-Age=7200" in plain["_streamlit_user"]
    assert "SameSite=lax" in plain["_streamlit_user"]
    assert "Secure" not in plain["_streamlit_user"]
    assert "HttpOnly" in plain[VISITOR_COOKIE]
    for address, changed in (
        ("https://localhost", {}),
        ("http://localhost", {"https": True}),
    ):
        answer = visit(address, auth={}, **changed).get("/")
        assert "max-age" in answer.headers["strict-transport-security"]
        for cookie in cookies(answer).values():
            assert cookie.endswith("; Secure")
            assert "SameSite=" in cookie
    kept = visit(auth={})
    kept.cookies = {VISITOR_COOKIE: new_visitor()}
    assert VISITOR_COOKIE not in cookies(kept.get("/"))
