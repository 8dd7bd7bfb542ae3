"""Dependencies of the routes: the caller, the models, the database, the images of the request."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from math import ceil
from time import time
from typing import Annotated, Any, TypeAlias

from fastapi import Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from core.access import VISITOR_COOKIE, Access, visitors
from core.api.guard import is_local
from core.api.metrics import Metrics
from core.api.uploads import MAX_CASE_BYTES, MOST_STREAMED, Upload, limited, received
from core.api.work import Workers
from core.cases.database import Database
from core.cases.records import User
from core.cases.tokens import user_of_token
from core.cases.users import LOCAL_USER, user_of
from core.domain.results import FieldImage
from core.errors import ProfileError, TokenError, TooManyRequestsError
from core.inference.pipeline import Analyzer
from core.inference.site_profile import SiteProfile, load_profile, profile_names
from core.inference.tasks import ResultT, Task
from core.settings import Settings

NDJSON = "application/x-ndjson"


class RateLimit:
    """A limit of requests per minute from one address."""

    def __init__(self, per_minute: int) -> None:
        self._limit = RateLimitItemPerMinute(per_minute)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def count(self, address: str) -> None:
        """Count a request. Raises TooManyRequestsError when it is one too many."""
        if not self._limiter.hit(self._limit, address):
            free_again = self._limiter.get_window_stats(self._limit, address).reset_time
            raise TooManyRequestsError(max(1, ceil(free_again - time())))


@dataclass(frozen=True, slots=True)
class Services:
    """What an app is built from."""

    settings: Settings
    analyzer: Callable[[], Analyzer]
    database: Callable[[], Database]
    access: Access
    workers: Workers
    metrics: Metrics
    rate: RateLimit


def get_services(request: Request) -> Services:
    """Return the services of the app."""
    services: Services = request.app.state.services
    return services


ServicesDep: TypeAlias = Annotated[Services, Depends(get_services)]

bearer = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="From `python -m core token add`. Needed where people sign in.",
)


class GuardedRoute(APIRoute):
    """A route that checks rate, token and size before it reads any body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler; it raises TooManyRequestsError and as `identify`."""
        answer = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            services = get_services(request)
            services.rate.count(request.client.host if request.client else "")
            credentials = await bearer(request)
            request.state.caller = await run_in_threadpool(
                self.identify, services, request, credentials
            )
            if self.body_field is not None:
                receive = limited(request.headers, request.receive, MAX_CASE_BYTES)
                request = Request(request.scope, receive)
            return await answer(request)

        return guarded

    def identify(
        self,
        services: Services,
        _request: Request,
        credentials: HTTPAuthorizationCredentials | None,
    ) -> User | None:
        """Return the caller as `identify`."""
        return identify(services, credentials)


class PageRoute(GuardedRoute):
    """A route that pages ask too: a browser that may see the pages needs no token."""

    def identify(
        self,
        services: Services,
        request: Request,
        credentials: HTTPAuthorizationCredentials | None,
    ) -> User | None:
        """Return the user of a token, or who opened the pages; None where nobody signs in.

        Raises as `identify`, and TokenError.
        """
        access = services.access
        if credentials is None and access.sign_in:
            visitor = request.cookies.get(VISITOR_COOKIE)
            if visitors.may(visitor, "slides"):
                return visitors.user(visitor)
            # The guard lets other machines come this far, because their users may have signed in.
            if not is_local(request.scope, request.headers):
                raise TokenError
        elif credentials is None and (access.everyone or is_local(request.scope, request.headers)):
            return None
        return identify(services, credentials)


def identify(services: Services, credentials: HTTPAuthorizationCredentials | None) -> User | None:
    """Return the user of the request's token; None without one, where none is needed.

    Raises TokenError, UnknownPersonError, StoreUnavailableError.
    """
    if credentials is not None:
        return user_of_token(services.database(), credentials.credentials, services.settings)
    if services.access.tokens:
        raise TokenError
    return None


def get_database(services: ServicesDep) -> Database:
    """Return the case database. Raises StoreUnavailableError, StoreTooNewError."""
    return services.database()


DatabaseDep: TypeAlias = Annotated[Database, Depends(get_database)]


def get_user(request: Request, services: ServicesDep, database: DatabaseDep) -> User:
    """Return who calls; without tokens everybody is the local person, as on the pages."""
    return request.state.caller or user_of(database, LOCAL_USER, services.settings)


UserDep: TypeAlias = Annotated[User, Depends(get_user)]


def get_owner(request: Request, services: ServicesDep) -> str | None:
    """Return whose uploaded slides the request may see; None for nobody's."""
    caller: User | None = request.state.caller
    if caller is None:
        return None if services.access.sign_in else LOCAL_USER
    return caller.name


OwnerDep: TypeAlias = Annotated[str | None, Depends(get_owner)]


@dataclass(frozen=True, slots=True)
class Models:
    """The loaded models, and the site profile that a request asks for."""

    analyzer: Analyzer
    profile: SiteProfile | None = None

    def run(self, task: Task[ResultT], image: FieldImage) -> ResultT:
        """Return the result of a task."""
        return task.run(self.analyzer, image, self.profile)


def get_models(services: ServicesDep) -> Models:
    """Return the models. Raises ModelError."""
    return Models(services.analyzer())


def get_models_for_site(
    services: ServicesDep,
    profile: Annotated[str | None, Query(description="Name of a site profile")] = None,
) -> Models:
    """Return the models with the profile that the request names. Raises ModelError, ProfileError.

    Only profiles of the store can be named, for a name may be a path elsewhere.
    """
    analyzer = services.analyzer()
    chosen: SiteProfile | None = None
    if profile is not None:
        if profile not in profile_names(services.settings):
            raise ProfileError(f"There is no profile {profile}. GET /api/profiles lists them.")
        chosen = load_profile(profile, analyzer.classifier.model_sha256, services.settings)
    return Models(analyzer, chosen)


ModelsDep: TypeAlias = Annotated[Models, Depends(get_models)]
SiteModelsDep: TypeAlias = Annotated[Models, Depends(get_models_for_site)]


async def get_upload(request: Request, services: ServicesDep) -> AsyncIterator[Upload]:
    """Yield the one image of the request, holding a model slot until it is answered."""
    instead = "Send several to /api/predict_batch."
    async with received(request, services.settings, 1, instead) as uploads:
        with services.workers.slot():
            yield uploads[0]


@dataclass(frozen=True, slots=True)
class Batch:
    """The images of a request, and how their answer is wanted."""

    uploads: Sequence[Upload]
    streamed: bool
    """Line by line, as each image is done."""
    client_left: Callable[[], Awaitable[bool]]


async def get_batch(
    request: Request,
    services: ServicesDep,
    stream: Annotated[
        bool, Query(description=f"Answer line by line, as does `Accept: {NDJSON}`")
    ] = False,
) -> AsyncIterator[Batch]:
    """Yield the images of the request, holding a model slot until all are answered."""
    streamed = stream or NDJSON in request.headers.get("accept", "")
    most = MOST_STREAMED if streamed else services.settings.api_files
    instead = "Send the rest in another." if streamed else "Have more streamed: ?stream=true."
    async with received(request, services.settings, most, instead) as uploads:
        with services.workers.slot():
            yield Batch(uploads, streamed, request.is_disconnected)


UploadDep: TypeAlias = Annotated[Upload, Depends(get_upload)]
PageDep: TypeAlias = Annotated[
    int | None,
    Query(ge=1, le=2**31 - 1, description="Which image of a file that holds several, from 1"),
]
BatchDep: TypeAlias = Annotated[Batch, Depends(get_batch)]
