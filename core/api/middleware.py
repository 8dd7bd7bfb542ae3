"""What happens to every request: an id, a limit on its body, a log record, a measurement."""

import logging
from time import perf_counter

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.api.deps import Services
from core.api.logs import id_of, request_id
from core.api.problems import internal
from core.api.uploads import MAX_JSON_BYTES, PIECE, limited

_CLIENT_LEFT = 499  # what nginx writes in its log; nobody is there to see it

logger = logging.getLogger(__name__)


class RequestMiddleware:
    """Wraps an app; as plain ASGI, so that streams pass piece by piece."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._metrics = services.metrics
        largest = services.settings.api_request_megabytes * 1_000_000
        self._limits = {
            "multipart/form-data": largest,
            "application/json": min(largest, MAX_JSON_BYTES),
            PIECE: services.settings.slide_upload_megabytes * 1_000_000,  # written as it comes
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        identifier = id_of(headers.get("x-request-id"))
        reset = request_id.set(identifier)
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = MutableHeaders(scope=message)
                answered["X-Request-ID"] = identifier
                answered["X-Content-Type-Options"] = "nosniff"
                answered.setdefault("Cache-Control", "no-store")
            await send(message)

        limit = self._limits.get(
            headers.get("content-type", "").partition(";")[0], self._limits["application/json"]
        )
        started = perf_counter()
        try:
            await self._app(scope, limited(headers, receive, limit), answer)
        except ClientDisconnect:
            status = status or _CLIENT_LEFT
        except Exception:
            logger.exception("the request failed")
            if status:
                raise  # the server cuts the answer short, so that nobody takes it for whole
            await internal(Request(scope))(scope, receive, answer)
        finally:
            seconds = perf_counter() - started
            route = getattr(scope.get("route"), "path", "unknown")
            self._metrics.request(scope["method"], route, status, seconds)
            # Not the address itself: somebody may have put a name there, or line breaks.
            logger.info("%s %s %d %.3f s", scope["method"], route, status, seconds)
            request_id.reset(reset)
