"""Pictures in, answers out: the same as the command line's.

One picture that cannot be answered is a problem; one of a batch is an entry in `errors`.
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
    ModelsDep,
    PageDep,
    Services,
    ServicesDep,
    SiteModelsDep,
    UploadDep,
)
from core.api.openapi import one_picture, pictures, streamed_too
from core.api.schemas import AnalyzeAnswer, ClassifyAnswer, CropAnswer, StageAnswer
from core.api.tasks import ANALYZE, CLASSIFY, STAGE, Models, ResultT, Task, answer_upload, one_image
from core.api.uploads import Upload
from core.domain.results import CropResult, FailedFile, FieldAnalysis, StageResult
from core.errors import LeukoscopeError
from core.exports.answers import Pooled, crop_answer
from core.imaging.duplicates import Finder

router = APIRouter(tags=["pictures"], route_class=GuardedRoute)


@router.post("/predict", response_model=CropAnswer, openapi_extra=one_picture())
async def predict(
    services: ServicesDep, models: SiteModelsDep, upload: UploadDep, page: PageDep = None
) -> Response:
    """Name the cell of a picture that shows one cell."""

    def classify() -> CropResult:
        with one_image(upload, page, services.settings) as image:
            return CLASSIFY.run(models, image)

    try:
        result = await services.workers.run_on(upload, classify)
    except LeukoscopeError as error:
        services.metrics.picture(CLASSIFY.name, FailedFile(upload.name, str(error)))
        raise
    services.metrics.picture(CLASSIFY.name, result)
    return JSONResponse(crop_answer(result))


@router.post(
    "/predict_batch",
    response_model=ClassifyAnswer,
    openapi_extra=pictures(),
    responses=streamed_too(),
)
async def predict_batch(services: ServicesDep, models: SiteModelsDep, batch: BatchDep) -> Response:
    """Name the cells of pictures that show one cell each."""
    return await _answer(CLASSIFY, services, models, batch)


@router.post(
    "/analyze", response_model=AnalyzeAnswer, openapi_extra=pictures(), responses=streamed_too()
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
    return await _answer(ANALYZE, services, models, batch, keep_duplicates=keep_duplicates)


@router.post(
    "/stage", response_model=StageAnswer, openapi_extra=pictures(), responses=streamed_too()
)
async def stage(services: ServicesDep, models: ModelsDep, batch: BatchDep) -> Response:
    """Grade ALL fields, one by one and pooled."""
    return await _answer(STAGE, services, models, batch)


async def _answer(
    task: Task[ResultT],
    services: Services,
    models: Models,
    batch: Batch,
    *,
    keep_duplicates: bool = False,
) -> Response:
    work = partial(
        answer_upload,
        task,
        models,
        settings=services.settings,
        finder=Finder(keep=keep_duplicates),
    )
    outcomes = _outcomes(task, services, work, batch.uploads)
    if batch.streamed:
        lines = _lines(partial(task.answer, models), outcomes, len(batch.uploads))
        return StreamingResponse(lines, media_type=NDJSON)
    results: list[ResultT] = []
    failures: list[FailedFile] = []
    async for outcome in outcomes:
        if isinstance(outcome, FailedFile):
            failures.append(outcome)
        else:
            results += outcome
        if await batch.client_left():  # streams end by themselves
            raise ClientDisconnect
    return JSONResponse(task.answer(models, results, failures))


async def _outcomes(
    task: Task[ResultT],
    services: Services,
    work: Callable[[Upload], tuple[ResultT, ...] | FailedFile],
    uploads: Sequence[Upload],
) -> AsyncIterator[tuple[ResultT, ...] | FailedFile]:
    """Yield the results of each file, in their order, as soon as they are known."""
    for upload in uploads:
        outcome = await services.workers.run_on(upload, partial(work, upload))
        for image in (outcome,) if isinstance(outcome, FailedFile) else outcome:
            services.metrics.picture(task.name, image)
        yield outcome


async def _lines(
    answer: Callable[[Sequence[ResultT], Sequence[FailedFile]], dict[str, Any]],
    outcomes: AsyncIterator[tuple[ResultT, ...] | FailedFile],
    total: int,
) -> AsyncIterator[str]:
    """Yield a line for each image and one with the totals; each says how many files are done.

    What the contract says of all pictures together (`models`, `pooled`) is in the last line.
    """
    kept: list[ResultT] = []
    pooled = Pooled()
    done = images = failed = refused = 0
    async for outcome in outcomes:
        done += 1
        if isinstance(outcome, FailedFile):
            failed += 1
            yield _line(done, total, {"error": answer([], [outcome])["errors"][0]})
            continue
        for image in outcome:
            images += 1
            refused += image.reject_reason is not None
            if isinstance(image, StageResult):  # small, and pooled at the end
                kept.append(image)
            elif isinstance(image, FieldAnalysis):
                pooled.add(image.cells)
            yield _line(done, total, {"image": answer([image], [])["images"][0]})
    totals = {"images": images, "errors": failed, "refused": refused}
    together = answer(kept, [])
    del together["images"], together["errors"]
    yield _line(done, total, {"totals": totals} | together | pooled.answer())


def _line(done: int, total: int, said: dict[str, Any]) -> str:
    line = {"done": done, "total": total} | said
    return json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"
