"""Guards the server: which requests reach the pages and the API, and the headers of responses.

It stands before everything that is served, WebSockets too, and judges by the head of a request
only. What it cannot judge, accounts and roles, is asked further in: by `core.api.deps.GuardedRoute`
for the API and by `ui/components/visitor.py` for the pages.
"""

from base64 import b64encode
from hashlib import sha256
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.access import (
    VISITOR_COOKIE,
    Access,
    address_of,
    is_loopback,
    is_visitor,
    new_visitor,
    visitors,
)
from core.api.problems import refuse
from core.errors import ClosedError, ForeignPageError, RequestError, UnknownHostError

_READING = ("GET", "HEAD", "OPTIONS")
_REFUSED = 1008
"""Code of a WebSocket that policy forbids (RFC 6455)."""
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "x-forwarded-host", "via")
"""What proxies add; those that name no client may speak for anybody."""
PAGE_SCRIPT = b"\n      window.prerenderReady = false\n    "
"""The only script within Streamlit's own page."""


def policy(*scripts: bytes) -> str:
    """Return a content security policy that allows own files and these scripts within a page."""
    # Streamlit makes styles in the browser, and runs the scripts of components from own blobs.
    hashes = (f" 'sha256-{b64encode(sha256(script).digest()).decode()}'" for script in scripts)
    return (
        f"default-src 'self'; script-src 'self' blob:{''.join(hashes)}; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        "media-src 'self' blob:; worker-src 'self' blob:; connect-src 'self'; object-src 'none'; "
        "base-uri 'self'; form-action 'self'; frame-src 'self'; frame-ancestors 'self'"
    )


_HEADERS = {
    "Content-Security-Policy": policy(PAGE_SCRIPT),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_YEAR = 365 * 24 * 3600


class Guard:
    """Wraps all that is served; plain ASGI, so that streams and WebSockets pass."""

    def __init__(self, app: ASGIApp, access: Access, redraw: bytes = b"") -> None:
        """Wrap an app; `redraw` is the message by which a page asks to be drawn, and nothing else.

        The first thing that a page sends after its sign-in ended is replaced by that.
        """
        self._app = app
        self._access = access
        self._redraw = redraw
        visitors.guarded = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with its problem."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        visitor = cookie_parser(headers.get("cookie", "")).get(VISITOR_COOKIE)
        answer = self._answer(scope, visitor, send)
        try:
            self._check(scope, headers, visitor)
        except RequestError as error:
            await refuse(error, scope, receive, answer, _REFUSED)
            return
        if scope["type"] == "websocket" and self._access.sign_in:
            await self._serve_page(scope, receive, send, visitor)
        else:
            await self._app(scope, receive, answer)

    async def _serve_page(
        self, scope: Scope, receive: Receive, send: Send, visitor: str | None
    ) -> None:
        """Pass what a page sends as long as the sign-in that it was shown by holds.

        What is pressed on a page runs before the page asks again who is there.
        """
        shown = False

        async def sent(message: Message) -> None:
            nonlocal shown
            shown = shown or visitors.may(visitor, "send")
            await send(message)

        async def received() -> Message:
            nonlocal shown
            message = await receive()
            ended = shown and not visitors.may(visitor, "send")
            if ended and message["type"] == "websocket.receive":
                shown = False  # what comes next is pressed on the page that offers to sign in
                return {"type": "websocket.receive", "bytes": self._redraw}
            return message

        await self._app(scope, received, sent)

    def _check(self, scope: Scope, headers: Headers, visitor: str | None) -> None:
        """Raise UnknownHostError, ForeignPageError or ClosedError for what is not let through."""
        path, access = scope["path"], self._access
        self._check_host(scope, headers)
        self._check_origin(scope, headers)
        if not access.serves_others(path) and not is_local(scope, headers):
            raise ClosedError(
                "This is served to its own machine only, for nothing protects it. Whoever runs "
                "the server can set up single sign-on, or set LEUKOSCOPE_OPEN_ACCESS=true."
            )
        if "/_stcore/metrics" in path and (access.sign_in or not is_local(scope, headers)):
            raise ClosedError("Measurements are at /api/metrics, for those with a token.")
        if not access.sign_in:
            return
        # Fonts of the program lie in a folder of the same name.
        is_file = "/media/" in path.replace("/static/media/", "/")
        if is_file and not visitors.may(visitor, "fetch"):
            raise ClosedError("Sign in to see this file.")
        if "/_stcore/upload_file" in path and not visitors.may(visitor, "send"):
            raise ClosedError("Sign in to upload files.")

    def _check_host(self, scope: Scope, headers: Headers) -> None:
        """Against DNS rebinding: a name that somebody else points at this machine is refused."""
        named = headers.getlist("host")
        name = _host_name(named[0]) if len(named) == 1 else None
        if name is not None and name in self._access.hosts:
            return
        # Addresses need no name service: the one that was connected to is the server's own.
        own = address_of((scope.get("server") or (None,))[0])
        if own is None or address_of(name) != own:
            raise UnknownHostError

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        """Against requests that pages of other sites, or other ports, have a browser send."""
        origins = headers.getlist("origin")
        own = {*self._access.origins}
        own.update(f"{scheme}://{headers['host']}" for scheme in ("http", "https"))
        if any(origin not in own for origin in origins):
            raise ForeignPageError
        changes = scope["type"] == "websocket" or scope["method"] not in _READING
        site = headers.get("sec-fetch-site", "none")
        # Reading leaves traces too, such as a view in the audit trail: links may lead here, but
        # other sites' pages may have nothing of this server within them.
        visit = headers.get("sec-fetch-dest", "document") == "document"
        if not origins and (changes or not visit) and site not in ("none", "same-origin"):
            raise ForeignPageError

    def _answer(self, scope: Scope, visitor: str | None, send: Send) -> Send:
        https = self._access.https or scope.get("scheme") in ("https", "wss")

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    answered.setdefault(name, value)
                if https:
                    answered.setdefault("Strict-Transport-Security", f"max-age={_YEAR}")
                is_page = answered.get("content-type", "").startswith("text/html")
                if self._access.sign_in and is_page and not is_visitor(visitor):
                    answered.append(
                        "Set-Cookie",
                        f"{VISITOR_COOKIE}={new_visitor()}; Path=/; HttpOnly; SameSite=Lax",
                    )
                message["headers"] = [
                    (name, self._cookie(value, https=https) if name == b"set-cookie" else value)
                    for name, value in message["headers"]
                ]
            await send(message)

        return answer

    def _cookie(self, header: bytes, *, https: bool) -> bytes:
        """Return a cookie that holds no longer than a sign-in, and is sent over HTTPS where set."""
        parts = [part.strip() for part in header.decode("latin-1").split(";")]
        longest = int(self._access.session.total_seconds())
        for place, part in enumerate(parts):
            name, _, value = part.partition("=")
            if name.lower() == "max-age" and value.isdecimal():
                parts[place] = f"Max-Age={min(int(value), longest)}"
        set_already = {part.partition("=")[0].lower() for part in parts[1:]}
        if "samesite" not in set_already:
            parts.append("SameSite=Lax")
        if https and "secure" not in set_already:
            parts.append("Secure")
        return "; ".join(parts).encode("latin-1")


def is_local(scope: Scope, headers: Headers) -> bool:
    """Return whether both ends of the connection, and whom a proxy names, are this machine."""
    ends = [(scope.get(end) or (None,))[0] for end in ("server", "client")]
    named = [value for name in _FORWARDED for value in headers.getlist(name)]
    clients = [client.strip() for value in named for client in value.split(",")]
    return all(map(is_loopback, [*ends, *clients]))


def _host_name(host: str) -> str | None:
    """Return the name in a Host header, in lower case; None when there is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises for what is no port
    except ValueError:
        return None
    odd = parts.path or parts.query or parts.fragment or parts.username or parts.password
    return None if odd or not parts.hostname else parts.hostname.rstrip(".")
