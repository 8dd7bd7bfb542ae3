"""Uploads to the pages are limited in all, and forgotten when no page reads them."""

import asyncio
from types import SimpleNamespace

import pytest
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.testclient import TestClient

from core.access import rejected_uploads
from core.api import quota
from core.api.quota import UploadQuota
from core.settings import get_settings

MEGABYTE = bytes(1_000_000)


class Kept:
    """Keeps files as the pages' server does."""

    def __init__(self):
        self.file_storage = {}

    def add(self, session, file, data):
        self.file_storage.setdefault(session, {})[file] = SimpleNamespace(data=data)

    def remove_file(self, session, file):
        del self.file_storage[session][file]


@pytest.fixture
def kept(monkeypatch):
    monkeypatch.setenv("LEUKOSCOPE_SESSION_UPLOAD_MEGABYTES", "3")
    monkeypatch.setenv("LEUKOSCOPE_UPLOAD_MEGABYTES", "5")
    get_settings.cache_clear()
    yield Kept()
    get_settings.cache_clear()


@pytest.fixture
def app(kept):
    async def put(request):
        kept.add(*request.path_params.values(), await request.body())
        return Response(status_code=204)

    route = Route("/_stcore/upload_file/{session}/{file}", put, methods=["PUT"])
    return UploadQuota(Router(routes=[route]), lambda: kept)


def put(app, session, file, content):
    return TestClient(app).put(f"/_stcore/upload_file/{session}/{file}", content=content)


def test_a_session_and_all_sessions_have_their_room(app, kept):
    statuses = [put(app, "a", str(n), MEGABYTE).status_code for n in range(4)]
    assert statuses == [204, 204, 204, 503]
    statuses = [put(app, "b", str(n), MEGABYTE).status_code for n in range(3)]
    assert statuses == [204, 204, 503]
    refused = put(app, "c", "1", MEGABYTE)
    assert "cannot hold more uploads" in refused.json()["detail"]
    assert refused.headers["retry-after"] == "60"
    kept.file_storage["a"].clear()
    assert put(app, "c", "1", MEGABYTE).status_code == 204
    assert not app._coming
    assert [rejected_uploads.pop(session, 0) for session in "abca"] == [1, 1, 1, 0]


def test_bytes_count_while_they_come(app, kept):
    """Of no stated length, and of several uploads at a time."""
    pieces = [MEGABYTE] * 4
    assert put(app, "a", "1", iter(pieces)).status_code == 503
    assert not kept.file_storage
    taken = []

    async def upload(session):
        async def receive():
            taken.append(session)
            await asyncio.sleep(0)
            return {"type": "http.request", "body": MEGABYTE, "more_body": True}

        sent = []

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": "PUT",
            "path": f"/_stcore/upload_file/{session}/1",
            "headers": [],
            "query_string": b"",
        }
        await app(scope, receive, send)
        return sent[0]["status"]

    async def both():
        return await asyncio.gather(*(upload(name) for name in "ab"))

    assert asyncio.run(both()) == [503, 503]
    assert set(taken[:4]) == {"a", "b"}
    assert len(taken) <= 8
    assert not app._coming


def test_what_no_page_reads_is_forgotten(app, kept, monkeypatch):
    monkeypatch.setattr(quota, "UNREAD_SECONDS", 0.05)
    with TestClient(app) as client:
        address = "/_stcore/upload_file/a"
        assert client.put(f"{address}/1", content=MEGABYTE).status_code == 204
        assert kept.file_storage["a"]
        client.portal.call(asyncio.sleep, 0.2)
        assert not kept.file_storage["a"]
    assert not app._sweeps


def test_other_requests_pass(app):
    assert TestClient(app).get("/_stcore/upload_file/a/1").status_code == 405
