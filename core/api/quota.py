"""Limits on what the pages' upload address takes in: a session's bytes, and all sessions'.

The server of the pages keeps uploads in memory until their session ends, whether or not a page
ever reads them. Here they are counted while they come in, and dropped when nobody reads them.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.access import rejected_uploads
from core.api.problems import known
from core.errors import UploadsFullError
from core.settings import get_settings

UNREAD_SECONDS = 120.0
"""Since a session's last upload. Pages read files at once, unless a long run is under way."""
_MEGABYTE = 1_000_000
_ADDRESS = "/_stcore/upload_file/"

logger = logging.getLogger(__name__)


class Uploads(Protocol):
    """What keeps the uploaded files of the pages."""

    file_storage: Mapping[str, Mapping[str, Any]]
    """By session and file id; each has its bytes as `data`."""

    def remove_file(self, session_id: str, file_id: str) -> None:
        """Forget a file."""


class UploadQuota:
    """Wraps the pages; limits and forgets uploads."""

    def __init__(self, app: ASGIApp, uploads: Callable[[], Uploads]) -> None:
        settings = get_settings()
        self._app = app
        self._uploads = uploads
        self._session_most = settings.session_upload_megabytes * _MEGABYTE
        self._most = settings.upload_megabytes * _MEGABYTE
        self._coming: Counter[str] = Counter()
        """Bytes of bodies under way, by session."""
        self._sweeps: dict[str, asyncio.TimerHandle] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request; an upload only as far as there is room."""
        path: str = scope.get("path", "")
        if scope["type"] != "http" or _ADDRESS not in path or scope["method"] != "PUT":
            await self._app(scope, receive, send)
            return
        session = path.partition(_ADDRESS)[2].partition("/")[0]
        size, answered = 0, False

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            came = len(message.get("body", b""))
            size += came
            self._coming[session] += came
            self._check(session)
            return message

        def came_in() -> None:
            nonlocal size
            self._coming -= Counter({session: size})  # which forgets sessions without any
            size = 0

        async def answer(message: Message) -> None:
            nonlocal answered
            if not answered:
                answered = True
                came_in()  # it is kept now, or not at all
            await send(message)

        try:
            self._check(session, _length(scope))
            await self._app(scope, counted, answer)
        except UploadsFullError as error:
            rejected_uploads[session] += 1
            logger.warning("an upload to the pages was refused: %s", error)
            if not answered:
                await known(Request(scope), error)(scope, receive, send)
        finally:
            came_in()
            self._sweep_later(session)

    def _check(self, session: str, more: int = 0) -> None:
        """Raise UploadsFullError when there is no room for so many bytes more."""
        kept = {
            name: sum(len(file.data) for file in list(files.values()))
            for name, files in list(self._uploads().file_storage.items())
        }
        own = kept.get(session, 0) + self._coming[session] + more
        together = sum(kept.values()) + self._coming.total() + more
        if own > self._session_most or together > self._most:
            raise UploadsFullError

    def _sweep_later(self, session: str) -> None:
        if waiting := self._sweeps.pop(session, None):
            waiting.cancel()
        loop = asyncio.get_running_loop()
        self._sweeps[session] = loop.call_later(UNREAD_SECONDS, self._sweep, session)

    def _sweep(self, session: str) -> None:
        """Forget what a session has uploaded and no page has taken."""
        del self._sweeps[session]
        rejected_uploads.pop(session, None)
        uploads = self._uploads()
        for file in list(uploads.file_storage.get(session, ())):
            uploads.remove_file(session, file)


def _length(scope: Scope) -> int:
    said = dict(scope["headers"]).get(b"content-length", b"")
    return int(said) if said.isdigit() and len(said) < 20 else 0
