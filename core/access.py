"""Who may use the server: the rules of the pages, the API and the command line.

They follow from the settings and from the `[auth]` section of Streamlit's secrets. Without sign-in
and without tokens only this machine is served, unless OPEN_ACCESS is set.
"""

import os
import secrets
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from threading import Lock
from typing import Any, Literal
from urllib.parse import urlsplit

from core.cases.records import User
from core.cases.users import LOCAL_USER
from core.errors import OpenAddressError, SignInSettingsError
from core.settings import PROJECT_ROOT, Settings, get_settings

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
SHORTEST_COOKIE_SECRET = 32
_AUTH = ("redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url")
"""What Streamlit needs of the section `[auth]`."""
VISITOR_COOKIE = "leukoscope_visitor"
_SECRETS = Path(".streamlit") / "secrets.toml"


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of this server."""

    sign_in: bool
    """Users of the pages sign in with an OpenID Connect provider."""
    tokens: bool
    """API requests need a token."""
    everyone: bool
    """OPEN_ACCESS: everyone may use what neither of the two protects."""
    hosts: frozenset[str]
    """Names that the server answers to, in lower case, without ports."""
    origins: frozenset[str]
    """Public origins of the pages, such as `https://leukoscope.example`."""
    https: bool
    """Browsers reach the server over HTTPS."""
    session: timedelta
    """A sign-in holds this long."""

    @property
    def open_to_all(self) -> bool:
        """Whether anyone who reaches the server may use the pages."""
        return self.everyone and not self.sign_in

    def check_address(self, host: str | None) -> None:
        """Raise OpenAddressError for an address to listen on where nothing protects the server."""
        if not (self.sign_in or self.tokens or self.everyone or is_loopback(host)):
            raise OpenAddressError(host or "all addresses")

    def serves_others(self, path: str) -> bool:
        """Whether clients on other machines may ask for a path: it is protected, or open to all."""
        of_api = path == "/api" or path.startswith("/api/")
        of_pages = not of_api or path.startswith(PAGE_PATHS)
        return self.everyone or (of_api and self.tokens) or (of_pages and self.sign_in)


@cache
def get_access() -> Access:
    """Return the rules of this process. Raises SettingsError; a failure is not kept."""
    return access_of(get_settings(), auth_section())


def access_of(settings: Settings, auth: Mapping[str, Any] | None) -> Access:
    """Return the rules that follow from settings and Streamlit's section `[auth]`, if any."""
    sign_in = auth is not None
    tokens = settings.api_tokens
    if tokens is None:
        tokens = sign_in or bool(settings.admins - {LOCAL_USER})
    public = urlsplit(str((auth or {}).get("redirect_uri", "")))
    named = {public.hostname} if public.hostname else set()
    return Access(
        sign_in=sign_in,
        tokens=tokens,
        everyone=settings.open_access,
        hosts=LOOPBACK_NAMES | named | {name.lower() for name in settings.hosts},
        origins=frozenset({f"{public.scheme}://{public.netloc}"} if named else ()),
        https=settings.https or public.scheme == "https",
        session=timedelta(hours=settings.session_hours),
    )


def auth_section() -> Mapping[str, Any] | None:
    """Return the section `[auth]` of the secrets, where Streamlit looks for them; None without.

    Unreadable secrets count as an empty section, so that damaging a file does not open the server.
    """
    found: Mapping[str, Any] | None = None
    for path in _secrets_paths():
        try:
            if path.is_dir():  # one folder a section, as Kubernetes mounts secrets
                if (path / "auth").exists():
                    found = {p.name: p.read_text().strip() for p in (path / "auth").iterdir()}
            elif path.exists():
                found = tomllib.loads(path.read_text(encoding="utf-8")).get("auth", found)
        except (OSError, ValueError):
            return {}
    return found if found is None or isinstance(found, Mapping) else {}


def check_sign_in(auth: Mapping[str, Any] | None) -> None:
    """Raise SignInSettingsError for a section `[auth]` that is incomplete or unsafe.

    Streamlit reads it only at the first sign-in and logs no error. Its cookies name the user, so
    anybody who guesses the secret can forge them.
    """
    if auth is None:
        return
    if not auth:
        raise SignInSettingsError("the section is empty, or its file is damaged or may not be read")
    if missing := [f"`{name}`" for name in _AUTH if not auth.get(name)]:
        raise SignInSettingsError(f"it lacks {', '.join(missing)}")
    if len(str(auth["cookie_secret"])) < SHORTEST_COOKIE_SECRET:
        raise SignInSettingsError(
            f"`cookie_secret` is shorter than {SHORTEST_COOKIE_SECRET} characters, so sign-ins "
            "could be forged"
        )


def _secrets_paths() -> Iterator[Path]:
    if named := os.environ.get("STREAMLIT_SECRETS_FILES"):
        yield from map(Path, named.replace(",", " ").split())
        return
    folders = (Path.home(), Path.cwd(), PROJECT_ROOT)
    for folder in folders:
        try:
            config = tomllib.loads((folder / ".streamlit" / "config.toml").read_text())
        except (OSError, ValueError):
            continue
        yield from map(Path, config.get("secrets", {}).get("files", ()))
    for folder in folders:
        yield folder / _SECRETS


def address_of(host: str | None) -> IPv4Address | IPv6Address | None:
    """Return the IP address that a text is, an IPv4 address within IPv6 as such; None for names."""
    try:
        address = ip_address(host or "")
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_loopback(host: str | None) -> bool:
    """Return whether an address or name certainly is this machine's own."""
    address = address_of(host)
    return host == "localhost" if address is None else address.is_loopback


PAGE_PATHS = ("/api/slides", "/api/viewer/")
"""Beginnings of paths of the API that pages ask for too, with the cookie of their visitor."""

Use = Literal["fetch", "send", "slides"]
"""Of the files of the pages; `slides` are those of the server's slide folders."""


@dataclass(slots=True)
class Visitors:
    """Browsers that may fetch and send files because their user has opened a page.

    A browser is known by a random cookie. The pages' files are fetched and sent outside the
    connection of the pages, so only the cookie identifies the user.
    """

    guarded: bool = False
    """Whether a guard asks here before it lets a browser fetch or send files."""
    _admitted: dict[tuple[str, Use], tuple[datetime, str, User | None]] = field(
        default_factory=dict
    )
    """Until when, by which sign-in, and as whom."""
    _lock: Lock = field(default_factory=Lock)

    def admit(
        self,
        visitor: str | None,
        until: datetime,
        *uses: Use,
        sign_in: str = "",
        user: User | None = None,
    ) -> None:
        """Allow a browser these uses until a time."""
        if visitor is None or not is_visitor(visitor):
            return
        now = datetime.now(UTC)
        with self._lock:
            left = {key: value for key, value in self._admitted.items() if value[0] > now}
            self._admitted = left | {(visitor, use): (until, sign_in, user) for use in uses}

    def dismiss(self, sign_in: str) -> None:
        """Allow the browsers of a sign-in nothing more."""
        with self._lock:
            self._admitted = {
                k: value for k, value in self._admitted.items() if value[1] != sign_in
            }

    def may(self, visitor: str | None, use: Use) -> bool:
        """Return whether a browser may fetch, or send, files."""
        admitted = self._admitted.get((visitor or "", use))
        return admitted is not None and admitted[0] > datetime.now(UTC)

    def user(self, visitor: str | None) -> User | None:
        """Return who had signed in when the browser was admitted to slides; None for nobody."""
        if not self.may(visitor, "slides"):
            return None
        return self._admitted[visitor or "", "slides"][2]


visitors = Visitors()
"""Of this process; so are the sessions of the pages."""
rejected_uploads: Counter[str] = Counter()
"""Uploads by session of the pages that were too many, until a page reports them."""


def new_visitor() -> str:
    """Return an unguessable name for a browser."""
    return secrets.token_hex(32)


def is_visitor(name: str | None) -> bool:
    """Return whether a cookie holds a name that `new_visitor` may have given."""
    return name is not None and len(name) == 64 and set(name) <= set("0123456789abcdef")
