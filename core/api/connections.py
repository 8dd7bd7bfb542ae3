"""Limits on connections: how many, and how slow.

uvicorn waits for ever for the head or the body of a request, and for a client that does not read
its answer. `Connection` takes the place of its protocol (`--http core.api.connections:Connection`)
and closes connections that do not get on. `ConnectionLimit` counts what a client does at a time,
also where a proxy speaks for many.
"""

import asyncio
import logging
import os
from collections import Counter
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import ClassVar

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from core.api.problems import refuse
from core.errors import TooManyConnectionsError
from core.settings import get_settings

HEAD_SECONDS = 10.0
"""For the head of a request, from its first byte or the start of the connection."""
BODY_SECONDS = 20.0
"""For a body, and a second more for each `LEAST_RATE` bytes that have come."""
LEAST_RATE = 5_000
"""Bytes a second."""
ANSWER_SECONDS = 60.0
"""Without the client reading any of an answer that waits."""
_TICK = 1.0
_TOO_LATE = 1013
"""Code of a WebSocket that is to be tried again later."""

logger = logging.getLogger(__name__)


class Connection(H11Protocol):
    """One connection, watched."""

    open: ClassVar[Counter[str]] = Counter()
    """Connections by the address of the other end, without WebSockets."""

    _address: str | None = None
    """None while the connection is not counted."""
    _timer: asyncio.TimerHandle | None = None
    _phase: tuple[object, object] = (None, None)
    _since: float = 0.0
    _received: int = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count a connection and begin to watch it, or close it when it is one too many."""
        super().connection_made(transport)
        # Streamlit gives the access log a handler after uvicorn has taken it away.
        self.access_log = self.access_log and self.config.access_log
        address = self.client[0] if self.client else ""
        settings = get_settings()
        many = self.open[address] >= settings.connections_per_address and not is_proxy(address)
        if many or self.open.total() >= settings.connections:
            self._close_with(503, "Too many connections. Close some, then try again.")
            return
        self._address = address
        self.open[address] += 1
        self._since = self.loop.time()
        self._timer = self.loop.call_later(_TICK, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        self._let_go()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over; `ConnectionLimit` counts it from here."""
        self._let_go()
        super().handle_websocket_upgrade(event)

    def data_received(self, data: bytes) -> None:
        """Take in a piece, unless the connection is being closed."""
        if self.transport.is_closing():
            return
        self._received += len(data)
        super().data_received(data)

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._address is not None:
            type(self).open -= Counter([self._address])  # which forgets addresses without any
            self._address = None

    def _look(self) -> None:
        """Close the connection when it has been in one phase for too long."""
        now, theirs = self.loop.time(), self.conn.their_state
        if self._phase != (theirs, self.cycle):
            self._phase, self._since, self._received = (theirs, self.cycle), now, 0
        elif theirs is h11.SEND_BODY and self.flow.read_paused:
            self._since += _TICK  # the server is what is slow
        elif theirs is not h11.IDLE and theirs is not h11.SEND_BODY and not self.flow.write_paused:
            self._since = now
        most = {
            h11.IDLE: HEAD_SECONDS,
            h11.SEND_BODY: BODY_SECONDS + self._received / LEAST_RATE,
        }.get(theirs, ANSWER_SECONDS)
        if now - self._since > most:
            logger.info("a connection was too slow and is closed")
            self._close_with(408, "The request came too slowly. Send it again.")
            return
        self._timer = self.loop.call_later(_TICK, self._look)

    def _close_with(self, status: int, sentence: str) -> None:
        """Say why, where nothing has been said yet, and close without waiting for anything."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = sentence.encode()
            self.transport.write(
                b"HTTP/1.1 %d \r\ncontent-type: text/plain\r\nconnection: close\r\n"
                b"content-length: %d\r\n\r\n%s" % (status, len(body), body)
            )
            self.transport.close()
        # What is not read at once is not waited for.
        self.loop.call_later(_TICK, self.transport.abort)


class ConnectionLimit:
    """Wraps an app; holds each client to so many requests and WebSockets at a time."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._most = get_settings().connections_per_address
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer that there are too many."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        address = (scope.get("client") or ("",))[0]
        if self._open[address] >= self._most:
            await refuse(TooManyConnectionsError(), scope, receive, send, _TOO_LATE)
            return
        self._open[address] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= Counter([address])  # which forgets addresses without any


def is_proxy(address: str) -> bool:
    """Tell whether an address is a trusted proxy's, as FORWARDED_ALLOW_IPS names them."""
    named = os.environ.get("FORWARDED_ALLOW_IPS", "")
    for part in map(str.strip, named.split(",")):
        if part in ("*", address):
            return True
        with suppress(ValueError):
            if ip_address(address) in ip_network(part, strict=False):
                return True
    return False
