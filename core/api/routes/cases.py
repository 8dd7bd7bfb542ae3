"""Patients, their samples, fields, reviews and reports, as the pages show them.

Whoever changes a sample names the version they saw: when somebody else was faster, nothing is
changed and the answer is 409.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import JSONResponse

from core.api.deps import (
    DatabaseDep,
    GuardedRoute,
    PageDep,
    ServicesDep,
    SiteModelsDep,
    UploadDep,
    UserDep,
)
from core.api.openapi import one_image_body
from core.api.schemas import PatientAnswer, ReviewsAnswer, ReviewsBody, SavedField
from core.api.uploads import one_image
from core.cases import audit
from core.cases.database import Database
from core.cases.listing import PAGE, patient_history, search_patients
from core.cases.patients import create_patient
from core.cases.range_tables import ranges_in_force
from core.cases.records import (
    CaseState,
    ListedPatient,
    NewField,
    Page,
    Patient,
    PatientDetails,
    Review,
    Sample,
    SampleDetails,
)
from core.cases.repeats import compared_with_stored
from core.cases.reviews import label_cells, reviews_of
from core.cases.samples import add_fields, load_case, load_sample, save_sample
from core.cases.users import require
from core.exports.case_answer import case_answer
from core.exports.registry import CASE_FORMATS, case_files
from core.exports.schema import AnalyzedField, CaseAnswer
from core.exports.summary import summarise
from core.imaging.duplicates import Finder
from core.inference.tasks import ANALYZE, STAGE, models_of

LONGEST_PAGE = 200
Id = Annotated[int, Path(ge=1, le=2**31 - 1)]
"""As the databases keep it."""
FileNames = Annotated[
    bool, Query(description="Name the files as they came in, not `field 1`, `field 2`")
]

if TYPE_CHECKING:
    ReportKey = str
else:
    ReportKey = Literal[tuple(form.key for form in CASE_FORMATS)]

router = APIRouter(tags=["cases"], route_class=GuardedRoute)


@router.get("/patients")
def list_patients(  # noqa: PLR0913, PLR0917 - each is a dependency or a parameter
    database: DatabaseDep,
    user: UserDep,
    search: Annotated[str, Query(description="Part of identifier or name", max_length=200)] = "",
    state: CaseState | None = None,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = PAGE,
) -> Page[ListedPatient]:
    """List patients, the last sampled first."""
    found = search_patients(database, search, state=state, offset=offset, limit=limit)
    audit.record_view(database, user.name, "list patients")
    return found


@router.post("/patients", status_code=201)
def add_patient(database: DatabaseDep, user: UserDep, details: PatientDetails) -> Patient:
    """Add a patient."""
    return create_patient(database, user, details)


@router.get("/patients/{patient_id}")
def get_patient(database: DatabaseDep, user: UserDep, patient_id: Id) -> PatientAnswer:
    """Return a patient and all samples, the first taken first."""
    patient, samples = patient_history(database, patient_id)
    audit.record_view(database, user.name, "view patient", patient_id=patient_id)
    return PatientAnswer(patient=patient, samples=list(samples))


@router.post("/patients/{patient_id}/samples", status_code=201)
def add_sample(
    database: DatabaseDep, user: UserDep, patient_id: Id, details: SampleDetails
) -> Sample:
    """Add a sample without any field yet."""
    return save_sample(database, user, patient_id, details)


@router.get("/samples/{sample_id}", response_model=CaseAnswer)
async def get_sample(
    services: ServicesDep,
    database: DatabaseDep,
    user: UserDep,
    sample_id: Id,
    file_names: FileNames = False,
) -> Response:
    """Return a sample with all that is in it: the answer of `analyze`, and the case around it."""

    def answer() -> Response:
        ranges = ranges_in_force(database, services.settings)
        case = load_case(database, sample_id)
        audit.record_view(
            database, user.name, "view case", patient_id=case.patient.id, sample_id=sample_id
        )
        shown = case if file_names else case.with_neutral_names()
        return JSONResponse(case_answer(summarise(shown, ranges, services.settings)).dump())

    with services.workers.slot():
        return await services.workers.run(answer)


@router.post(
    "/samples/{sample_id}/fields",
    status_code=201,
    response_model=SavedField,
    openapi_extra=one_image_body(),
    responses={200: {"model": SavedField, "description": "The image was refused, not saved"}},
)
async def add_field(  # noqa: PLR0913, PLR0917 - each is a dependency or a parameter
    services: ServicesDep,
    database: DatabaseDep,
    user: UserDep,
    models: SiteModelsDep,
    upload: UploadDep,
    sample_id: Id,
    version: Annotated[int, Query(ge=1, description="Of the sample as it was seen")],
    grade: Annotated[bool, Query(description="Have the field graded for ALL too")] = False,
    page: PageDep = None,
    keep_duplicates: Annotated[
        bool, Query(description="Count cells that another field of the sample shows too")
    ] = False,
) -> Response:
    """Analyse an image and save it with all that was found into a sample."""

    def save() -> Response:
        require(user, "reviewer")
        sample = _sample_seen(database, sample_id, version)
        with one_image(upload, page, services.settings) as image:
            analysis = models.run(ANALYZE, image)
            services.metrics.image(ANALYZE.name, analysis)
            accepted = analysis.reject_reason is None
            graded = models.run(STAGE, image) if grade and accepted else None
            if accepted:
                stage = graded if graded and graded.reject_reason is None else None
                versions = models_of(models.analyzer.versions, analysis, stage)
                fields = [NewField(image, analysis, versions, stage)]
                finder = Finder(keep=keep_duplicates)
                fields = compared_with_stored(
                    database, sample.patient_id, fields, sample.id, finder
                )
                analysis = fields[0].analysis
                sample = add_fields(database, user, sample, fields)
        answer = SavedField(
            saved=accepted,
            sample=sample,
            image=AnalyzedField.of(analysis),
            stage=graded,
        )
        return JSONResponse(answer.model_dump(mode="json"), 201 if accepted else 200)

    return await services.workers.run_on(upload, save)


@router.post("/samples/{sample_id}/reviews", status_code=201)
def add_reviews(
    database: DatabaseDep, user: UserDep, sample_id: Id, body: ReviewsBody
) -> ReviewsAnswer:
    """Name cells of a sample: all of them or, when something is wrong, none."""
    seen = _sample_seen(database, sample_id, body.version)
    sample, reviews = label_cells(database, user, seen, body.labels, body.comment)
    return ReviewsAnswer(sample=sample, reviews=list(reviews))


@router.get("/cells/{cell_id}/reviews")
def get_reviews(database: DatabaseDep, _user: UserDep, cell_id: Id) -> list[Review]:
    """Return all reviews of a cell, first things first; none of a cell that nobody named."""
    return list(reviews_of(database, cell_id))


@router.get(
    "/samples/{sample_id}/reports/{report}",
    response_class=Response,
    responses={
        200: {
            "description": "The file",
            "content": {form.media_type: {} for form in CASE_FORMATS},
        }
    },
)
async def get_report(  # noqa: PLR0913, PLR0917 - each is a dependency or a parameter
    services: ServicesDep,
    database: DatabaseDep,
    user: UserDep,
    sample_id: Id,
    report: ReportKey,
    file_names: FileNames = False,
) -> Response:
    """Return a sample as a file, as the page Patients gives it."""

    def make() -> Response:
        settings = services.settings
        ranges = ranges_in_force(database, settings)
        case = load_case(database, sample_id)
        files = case_files(database, case, ranges, user, settings=settings, file_names=file_names)
        file = next(file for file in files if file.key == report)
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name)}"}
        return Response(file.write(), media_type=file.media_type, headers=headers)

    with services.workers.slot():
        return await services.workers.run(make)


def _sample_seen(database: Database, sample_id: int, version: int) -> Sample:
    return replace(load_sample(database, sample_id), version=version)
