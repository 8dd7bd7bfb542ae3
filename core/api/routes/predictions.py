"""Routes that take images and return the same answers as the command line.

One image that cannot be answered is a problem; one of a batch is an entry in `errors`.
"""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.requests import ClientDisconnect

from core.api.deps import (
    NDJSON,
    Batch,
    BatchDep,
    GuardedRoute,
    Models,
    ModelsDep,
    PageDep,
    Services,
    ServicesDep,
    SiteModelsDep,
    UploadDep,
)
from core.api.openapi import image_bodies, one_image_body, streamed_too
from core.api.uploads import Upload, one_image
from core.domain.results import CellCounts, CropResult, FailedFile, FieldAnalysis, StageResult
from core.errors import LeukoscopeError
from core.exports.schema import (
    AnalyzeAnswer,
    ClassifiedCrop,
    ClassifyAnswer,
    Part,
    PooledFields,
    StageAnswer,
)
from core.imaging.decoder import decoded
from core.imaging.duplicates import Finder, count_once
from core.inference.field_classifier import pool
from core.inference.tasks import ANALYZE, CLASSIFY, STAGE, ResultT, Task, or_failure, with_profile

router = APIRouter(tags=["images"], route_class=GuardedRoute)


@router.post("/predict", response_model=ClassifiedCrop, openapi_extra=one_image_body())
async def predict(
    services: ServicesDep, models: SiteModelsDep, upload: UploadDep, page: PageDep = None
) -> Response:
    """Name the cell of an image that shows one cell."""

    def classify() -> CropResult:
        with one_image(upload, page, services.settings) as image:
            return models.run(CLASSIFY, image)

    try:
        result = await services.workers.run_on(upload, classify)
    except LeukoscopeError as error:
        services.metrics.image(CLASSIFY.name, FailedFile(upload.name, str(error)))
        raise
    services.metrics.image(CLASSIFY.name, result)
    return JSONResponse(ClassifiedCrop.model_validate(result).dump())


@router.post(
    "/predict_batch",
    response_model=ClassifyAnswer,
    openapi_extra=image_bodies(),
    responses=streamed_too(),
)
async def predict_batch(services: ServicesDep, models: SiteModelsDep, batch: BatchDep) -> Response:
    """Name the cells of images that show one cell each."""

    def answer(results: Sequence[CropResult], failures: Sequence[FailedFile]) -> ClassifyAnswer:
        return ClassifyAnswer(images=results, errors=failures)

    return await _answer(CLASSIFY, services, models, batch, answer)


@router.post(
    "/analyze", response_model=AnalyzeAnswer, openapi_extra=image_bodies(), responses=streamed_too()
)
async def analyze(
    services: ServicesDep,
    models: SiteModelsDep,
    batch: BatchDep,
    keep_duplicates: Annotated[
        bool, Query(description="Count cells in every field that shows them, not in the first only")
    ] = False,
) -> Response:
    """Find, count and type the cells of fields."""
    versions = with_profile(models.analyzer.versions, models.profile)
    return await _answer(
        ANALYZE,
        services,
        models,
        batch,
        partial(AnalyzeAnswer.of, models=versions),
        partial(count_once, finder=Finder(keep=keep_duplicates)),
    )


@router.post(
    "/stage", response_model=StageAnswer, openapi_extra=image_bodies(), responses=streamed_too()
)
async def stage(services: ServicesDep, models: ModelsDep, batch: BatchDep) -> Response:
    """Grade ALL fields, one by one and pooled."""
    thresholds = models.analyzer.field_classifier.thresholds

    def answer(results: Sequence[StageResult], failures: Sequence[FailedFile]) -> StageAnswer:
        pooled = pool(results, thresholds) if results else None
        return StageAnswer(images=results, pooled=pooled, errors=failures)

    return await _answer(STAGE, services, models, batch, answer)


async def _answer(  # noqa: PLR0913, PLR0917 - what tells the tasks apart
    task: Task[ResultT],
    services: Services,
    models: Models,
    batch: Batch,
    answer: Callable[[Sequence[ResultT], Sequence[FailedFile]], Part],
    compare: Callable[[Sequence[ResultT]], tuple[ResultT, ...]] = tuple,
) -> Response:
    """Answer for all files, whole or line by line.

    `compare` marks in the results of a file what earlier files of the request show too.
    """

    def run(upload: Upload) -> tuple[ResultT, ...]:
        with decoded(upload.read(), upload.name, settings=services.settings) as images:
            return compare([models.run(task, image) for image in images])

    async def outcomes() -> AsyncIterator[tuple[ResultT, ...] | FailedFile]:
        """Yield the results of each file, in their order, as soon as they are known."""
        for upload in batch.uploads:
            call = partial(or_failure, upload.name, partial(run, upload))
            outcome = await services.workers.run_on(upload, call)
            for image in (outcome,) if isinstance(outcome, FailedFile) else outcome:
                services.metrics.image(task.name, image)
            yield outcome

    if batch.streamed:
        lines = _lines(answer, outcomes(), len(batch.uploads))
        return StreamingResponse(lines, media_type=NDJSON)
    results: list[ResultT] = []
    failures: list[FailedFile] = []
    async for outcome in outcomes():
        if isinstance(outcome, FailedFile):
            failures.append(outcome)
        else:
            results += outcome
        if await batch.client_left():  # streams end by themselves
            raise ClientDisconnect
    return JSONResponse(answer(results, failures).dump())


async def _lines(
    answer: Callable[[Sequence[ResultT], Sequence[FailedFile]], Part],
    outcomes: AsyncIterator[tuple[ResultT, ...] | FailedFile],
    total: int,
) -> AsyncIterator[str]:
    """Yield a line for each image and one with the totals; each says how many files are done.

    What the contract says of all images together (`models`, `pooled`) is in the last line.
    """
    kept: list[ResultT] = []
    counts, done = CellCounts(), 0
    totals = {"images": 0, "errors": 0, "refused": 0}

    def line(**said: Any) -> str:
        values = {"done": done, "total": total, **said}
        return json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n"

    async for outcome in outcomes:
        done += 1
        if isinstance(outcome, FailedFile):
            totals["errors"] += 1
            yield line(error=answer([], [outcome]).dump()["errors"][0])
            continue
        for image in outcome:
            totals["images"] += 1
            totals["refused"] += image.reject_reason is not None
            if isinstance(image, StageResult):  # small, and pooled at the end
                kept.append(image)
            elif isinstance(image, FieldAnalysis):
                counts.add(image.cells)
            yield line(image=answer([image], []).dump()["images"][0])
    last = answer(kept, []).dump()
    del last["images"], last["errors"]
    if pooled := PooledFields.of(counts):
        last["pooled"] = pooled.dump()
    yield line(totals=totals, **last)
