"""The REST API: beside the pages (`asgi.py`), or alone.

Alone, with as many processes as there are cores:
`uvicorn --factory core.api.app:create_server --http core.api.connections:Connection --workers 4`.
"""

import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache, partial

from anyio import to_thread
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from core.access import Access, get_access
from core.api.connections import ConnectionLimit
from core.api.deps import RateLimit, Services, bearer
from core.api.guard import Guard
from core.api.logs import set_up_logging
from core.api.metrics import Metrics
from core.api.middleware import RequestMiddleware
from core.api.openapi import add_docs, describe
from core.api.problems import add_handlers
from core.api.routes import cases, predictions, service, slide_uploads, slides
from core.api.work import Workers
from core.cases.database import Database, get_database
from core.domain.taxonomy import RESEARCH_NOTICE
from core.errors import ModelError, SettingsError
from core.imaging.decoder import start_decoders
from core.inference.pipeline import Analyzer, get_analyzer
from core.settings import Settings, get_settings

VERSION = "1"
"""Of the API; the models have their own."""
_ABOUT = f"""Finds, counts and types white blood cells in smear images and grades ALL fields.
{RESEARCH_NOTICE}

Errors are problem details (RFC 9457); every answer carries `X-Request-ID`. Batches are answered
whole, or with `?stream=true` line by line (NDJSON) as each image is done."""

logger = logging.getLogger(__name__)


def create_app(
    settings: Settings | None = None,
    *,
    analyzer: Callable[[], Analyzer] = get_analyzer,
    database: Callable[[], Database] = get_database,
    access: Access | None = None,
) -> FastAPI:
    """Return the app. It opens models and database with its first requests.

    Serve it behind `core.api.guard.Guard`.
    """
    settings = settings or get_settings()
    workers = Workers(settings.interpreters, settings.api_queue)
    services = Services(
        settings=settings,
        analyzer=analyzer,
        database=database,
        access=access or get_access(),
        workers=workers,
        metrics=Metrics(workers),
        rate=RateLimit(settings.api_requests_per_minute),
    )
    app = FastAPI(
        title="Leukoscope",
        version=VERSION,
        summary="White blood cells in smear images",
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    add_docs(app)
    slides.add_viewer(app)
    app.include_router(service.public)
    routes = (predictions, service, cases, slide_uploads, slides)  # /slides/uploads is no slide
    for router in (module.router for module in routes):
        app.include_router(router, dependencies=[Depends(bearer)])
    app.add_middleware(RequestMiddleware, services=services)
    add_handlers(app)
    app.openapi = cache(partial(describe, app))  # type: ignore[method-assign]
    return app


def create_server() -> Starlette:
    """Return the API alone, at the same addresses as beside the pages, with its models loaded."""
    set_up_logging()
    try:
        access = get_access()
        app = create_app(access=access)
    except SettingsError as error:
        sys.exit(str(error))
    return Starlette(
        routes=[Mount("/api", app)],
        middleware=[Middleware(ConnectionLimit), Middleware(Guard, access=access)],
        lifespan=_loaded,
    )


@asynccontextmanager
async def _loaded(_server: Starlette) -> AsyncIterator[None]:
    await to_thread.run_sync(start_decoders)
    try:
        await to_thread.run_sync(get_analyzer)
    except ModelError as error:
        logger.error("%s", error)  # noqa: TRY400 - the sentence says all
    yield
