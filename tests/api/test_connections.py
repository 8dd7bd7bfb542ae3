"""Slow and numerous connections are closed, and others are served meanwhile."""

import asyncio
import socket
import threading
import time
from contextlib import closing, contextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from core.api import connections
from core.api.connections import Connection, ConnectionLimit, is_proxy
from core.settings import get_settings

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n"


async def echo(request: Request):
    return PlainTextResponse(str(len(await request.body())))


async def endless(_request):
    async def pieces():
        while True:
            yield bytes(100_000)
            await asyncio.sleep(0)

    return StreamingResponse(pieces())


async def talk(websocket):
    await websocket.accept()
    await websocket.receive_text()


APP = Starlette(
    routes=[
        Route("/", echo, methods=["GET", "POST"]),
        Route("/endless", endless),
        WebSocketRoute("/socket", talk),
    ]
)


@pytest.fixture
def hasty(monkeypatch):
    """Make all limits short, and allow three connections."""
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "ANSWER_SECONDS"):
        monkeypatch.setattr(connections, name, 0.4)
    monkeypatch.setattr(connections, "_TICK", 0.1)
    monkeypatch.setenv("LEUKOSCOPE_CONNECTIONS_PER_ADDRESS", "3")
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@contextmanager
def served():
    """Serve the app; give a function that connects to it."""
    server = uvicorn.Server(uvicorn.Config(APP, port=0, http=Connection, log_level="critical"))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(100)
        thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True
        )
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield lambda: closing(socket.create_connection(listening.getsockname(), timeout=20))
        finally:
            server.should_exit = True
            thread.join()


def rest(connection):
    """Read until the other side closes."""
    found = b""
    try:
        while piece := connection.recv(65536):
            found += piece
    except ConnectionResetError:
        pass
    return found


def drip(connection, data):
    """Send byte by byte until the other side closes; return the answer."""
    for byte in data:
        try:
            connection.sendall(bytes([byte]))
        except OSError:
            break
        time.sleep(0.05)
    return rest(connection)


def test_a_connection_without_a_request_is_closed(hasty):
    with served() as connect, connect() as connection:
        assert rest(connection).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("before", [b"", GET, POST])
def test_a_byte_now_and_then_does_not_hold_a_connection(hasty, before):
    """Neither in the head nor, after a POST's head, in the body; nor in the second request."""
    with served() as connect, connect() as connection:
        connection.sendall(before)
        if before == GET:
            first = b""
            while not first.endswith(b"\r\n\r\n0"):
                first += connection.recv(65536)
        assert drip(connection, GET * 10).startswith(b"HTTP/1.1 408")


def test_who_does_not_read_the_answer_is_closed(hasty):
    with served() as connect, connect() as connection:
        connection.sendall(GET.replace(b"/ ", b"/endless "))
        connection.recv(10)
        time.sleep(1.5)
        assert len(rest(connection)) < 50_000_000


def test_a_steady_body_may_take_long(hasty, monkeypatch):
    monkeypatch.setattr(connections, "LEAST_RATE", 1000)
    with served() as connect, connect() as connection:
        connection.sendall(POST.replace(b"1000000", b"10000"))
        for _ in range(20):
            connection.sendall(bytes(500))
            time.sleep(0.05)
        assert b"10000" in connection.recv(65536)


def test_connections_of_one_address_are_limited_and_come_free(hasty):
    with served() as connect:
        with connect() as first, connect(), connect():
            first.sendall(GET)
            assert b"200 OK" in first.recv(65536)
            with connect() as fourth:
                assert rest(fourth).startswith(b"HTTP/1.1 503")
        for _ in range(100):
            if not Connection.open:
                break
            time.sleep(0.05)
        with connect() as again:
            again.sendall(GET)
            assert b"200 OK" in again.recv(65536)


def test_a_trusted_proxy_may_have_many(hasty, monkeypatch):
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.0.0.0/8, 127.0.0.1")
    with served() as connect, connect(), connect(), connect(), connect() as fourth:
        fourth.sendall(GET)
        assert b"200 OK" in fourth.recv(65536)
    assert is_proxy("10.1.2.3")
    assert not is_proxy("11.1.2.3")
    assert not is_proxy("")
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    assert is_proxy("11.1.2.3")


def test_clients_behind_a_proxy_are_counted_by_their_own_addresses(hasty):
    limit = ConnectionLimit(APP)
    client = TestClient(ProxyHeadersMiddleware(limit, trusted_hosts="*"))
    crowded, other = ({"X-Forwarded-For": f"203.0.113.{n}"} for n in (1, 2))
    with (
        client.websocket_connect("/socket", headers=crowded) as first,
        client.websocket_connect("/socket", headers=crowded) as second,
        client.websocket_connect("/socket", headers=crowded) as third,
    ):
        answer = client.get("/", headers=crowded)
        assert answer.status_code == 429
        assert answer.json()["type"].endswith(":too-many-connections")
        with (
            pytest.raises(WebSocketDisconnect),
            client.websocket_connect("/socket", headers=crowded),
        ):
            pass
        assert client.get("/", headers=other).status_code == 200
        for open_one in (first, second, third):
            open_one.send_text("done")
    assert client.get("/", headers=crowded).status_code == 200
    assert not limit._open
