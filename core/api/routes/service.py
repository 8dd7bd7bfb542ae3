"""The state of the service: ready or not, which models and profiles, how busy."""

from collections.abc import Callable

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from core.api.deps import GuardedRoute, ServicesDep, UserDep
from core.api.schemas import HealthAnswer, ModelInfoAnswer, PersonAnswer, ProfileAnswer, Readiness
from core.cases.database import Database
from core.domain.taxonomy import RESEARCH_NOTICE
from core.errors import LeukoscopeError, ProfileError
from core.inference.site_profile import load_profile, profile_names
from core.model_card import MODEL_NAMES, load_card
from core.settings import Settings

public = APIRouter(tags=["service"])
router = APIRouter(tags=["service"], route_class=GuardedRoute)


@public.get("/health", response_model=HealthAnswer, responses={503: {"model": HealthAnswer}})
def health(services: ServicesDep) -> Response:
    """Say whether models and database are ready: with status 200 when both are, else 503."""
    models = _readiness(services.analyzer)
    database = _readiness(lambda: _check(services.database()))
    ready = models.ready and database.ready
    answer = HealthAnswer(status="ok" if ready else "unavailable", models=models, database=database)
    return JSONResponse(answer.model_dump(), 200 if ready else 503)


@router.get("/model_info")
def model_info(services: ServicesDep) -> ModelInfoAnswer:
    """Return the cards of the models: versions, labels, thresholds, training data, limits."""
    cards = {name: load_card(name, services.settings) for name in MODEL_NAMES}
    return ModelInfoAnswer(notice=RESEARCH_NOTICE, models=cards)


@router.get("/profiles")
def profiles(services: ServicesDep) -> list[ProfileAnswer]:
    """List the site profiles; `?profile=NAME` has cells typed with one."""
    classifier = load_card("wbc", services.settings)
    names = profile_names(services.settings)
    return [_profile(name, classifier.sha256, services.settings) for name in names]


@router.get("/me")
def me(user: UserDep) -> PersonAnswer:
    """Say whom the API takes the caller for."""
    return PersonAnswer(name=user.name, role=user.role)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(services: ServicesDep) -> Response:
    """Return load and drift signals for Prometheus."""
    return Response(services.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _readiness(attempt: Callable[[], object]) -> Readiness:
    """Say whether an attempt ends well; text that it returns is worth knowing all the same."""
    try:
        detail = attempt()
    except LeukoscopeError as error:
        return Readiness(ready=False, detail=str(error))
    return Readiness(ready=True, detail=detail if isinstance(detail, str) else None)


def _check(database: Database) -> str | None:
    database.check()
    return "The case database can only be read." if database.read_only else None


def _profile(name: str, model_sha256: str, settings: Settings) -> ProfileAnswer:
    try:
        profile = load_profile(name, model_sha256, settings)
    except ProfileError as error:
        return ProfileAnswer(name=name, problem=str(error))
    return ProfileAnswer.model_validate(profile, from_attributes=True)
