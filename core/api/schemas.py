"""What the API takes and gives, as its description shows it.

The answers themselves are made in `core.exports.answers`, for the command line too; a test holds
these descriptions against them.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.cases.records import Patient, Review, Role, Sample, SampleSummary
from core.domain.taxonomy import (
    CELL_TYPES,
    NOT_A_WHITE_CELL,
    REVIEW_TYPES,
    STAGES,
    CellKind,
    Status,
)
from core.errors import NotAnImageError
from core.model_card import CellClassifierCard, DetectorCard, FieldClassifierCard

_PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_TYPED = dict.fromkeys(CELL_TYPES, 0.0) | {"neutrophil": 0.9713, "immature_granulocyte": 0.0287}
_STAGED = dict.fromkeys(STAGES, 0.0) | {"Early": 0.9121, "Benign": 0.0879}
_BAD_FILE = {"file": "notes.txt", "error": "This is not a picture. Send a JPEG, PNG … file."}
_WARNINGS = "Sentences that a reader must see beside the answer, such as a doubtful scale."
_REFUSED = "Why the input gate refused the picture, in one sentence; null when it was accepted."

MOST_LABELS = 5_000
"""Of one request."""
Label = Literal[(*REVIEW_TYPES, NOT_A_WHITE_CELL)]  # type: ignore[valid-type]
Probability = Annotated[float, Field(ge=0, le=1)]
PageNumber = Annotated[int, Field(ge=1, description="Number of the image in its file, from 1")]


def _example(**values: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [values]})


class InvalidValue(BaseModel):
    """A value that does not fit the description."""

    place: str
    message: str


class Problem(BaseModel):
    """What went wrong (RFC 9457). `type` is stable; `detail` is what a page shows."""

    model_config = _example(
        type="urn:leukoscope:problem:not-an-image",
        title="The bytes are no picture in any format that is known here",
        status=415,
        detail=str(NotAnImageError()),
        instance="/api/predict",
        request_id="0f8fad5bd9cb469fa16570867728950e",
    )

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    invalid: list[InvalidValue] | None = None


class PictureBody(BaseModel):
    """A picture as JSON. Multipart is the better way for large ones."""

    model_config = _example(image=_PIXEL, name="cell.png")

    image: Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]
    name: str = "image"


class PicturesBody(BaseModel):
    """One picture or several as JSON."""

    model_config = _example(image=_PIXEL, name="field.png")

    image: Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})] | None = None
    name: str = "image"
    images: list[PictureBody] = []


class FileError(BaseModel):
    """A file that could not be answered."""

    file: str
    error: str


class CropAnswer(BaseModel):
    """The type of the one cell in a picture."""

    model_config = _example(
        file="cell.png",
        page=1,
        type="neutrophil",
        probabilities=_TYPED,
        confidence=0.9713,
        status="classified",
        warnings=[],
        refused=None,
    )

    file: str
    page: PageNumber
    type: str | None
    probabilities: dict[str, Probability]
    confidence: Probability
    status: Status
    warnings: Annotated[list[str], Field(description=_WARNINGS)]
    refused: Annotated[str | None, Field(description=_REFUSED)]


class ClassifyAnswer(BaseModel):
    """The types of single cells."""

    images: list[CropAnswer]
    errors: Annotated[list[FileError], Field(examples=[[_BAD_FILE]])]


class PooledAnswer(BaseModel):
    """The ALL class over all fields of a request."""

    stage: str | None
    probabilities: dict[str, Probability]
    confidence: Probability
    status: Status
    warnings: Annotated[list[str], Field(description=_WARNINGS)]
    refused: Annotated[str | None, Field(description=_REFUSED)]


class GradedField(PooledAnswer):
    """The ALL class of one field."""

    model_config = _example(
        file="field.png",
        page=1,
        stage="Early",
        probabilities=_STAGED,
        confidence=0.9121,
        status="classified",
        warnings=[],
        refused=None,
    )

    file: str
    page: PageNumber


class StageAnswer(BaseModel):
    """The ALL classes of fields, one by one and pooled."""

    images: list[GradedField]
    pooled: PooledAnswer | None
    errors: list[FileError]


class FoundCell(BaseModel):
    """A cell of a field; `type` and `probabilities` on white cells only."""

    model_config = _example(
        kind="wbc",
        box=[103.5, 80.0, 71.2, 68.9],
        type="neutrophil",
        probabilities=_TYPED,
        confidence=0.9713,
        status="classified",
    )

    kind: CellKind
    box: Annotated[
        tuple[float, float, float, float],
        Field(description="x, y, width, height in pixels of the picture as uploaded"),
    ]
    type: str | None = None
    probabilities: dict[str, Probability] | None = None
    confidence: Probability
    status: Status


class ShareAnswer(BaseModel):
    """A type's part of the differential, with exact 95 % limits, in percent."""

    count: int
    percent: float | None
    low: float | None
    high: float | None


class CellCounts(BaseModel):
    """Cells by kind, without what is out of scope."""

    wbc: int
    rbc: int
    platelet: int


class AnalyzedField(BaseModel):
    """What was found in one field."""

    file: str
    page: PageNumber
    width: int
    height: int
    micrometres_per_pixel: float | None
    cells: list[FoundCell]
    duplicates: Annotated[
        list[int],
        Field(description="Numbers, from 1, of cells that an earlier field shows too"),
    ] = []
    counts: CellCounts
    differential: dict[str, ShareAnswer]
    warnings: Annotated[list[str], Field(description=_WARNINGS)]
    refused: Annotated[str | None, Field(description=_REFUSED)]


class PooledFields(BaseModel):
    """All fields together, with every cell counted once."""

    counts: CellCounts
    duplicates: Annotated[int, Field(description="Cells that are counted in an earlier field")]
    differential: dict[str, ShareAnswer]


class AnalyzeAnswer(BaseModel):
    """What was found in fields, and by which models."""

    models: Annotated[dict[str, str], Field(examples=[{"detector": "1.0.0", "wbc": "1.0.0"}])]
    images: list[AnalyzedField]
    pooled: Annotated[
        PooledFields | None, Field(description="Where fields show the same cells; else absent")
    ] = None
    errors: list[FileError]


class Readiness(BaseModel):
    """Whether something works, and why not."""

    ready: bool
    detail: str | None = None


class CaseAnswer(AnalyzeAnswer):
    """A stored sample: what was found in its fields, and the case around them."""

    case: dict[str, Any]


class PatientAnswer(BaseModel):
    """A patient with all samples."""

    patient: Patient
    samples: list[SampleSummary]


class HealthAnswer(BaseModel):
    """Whether requests can be answered."""

    status: Literal["ok", "unavailable"]
    models: Readiness
    database: Readiness


class ModelInfoAnswer(BaseModel):
    """The cards of the models by name."""

    notice: str
    models: dict[str, DetectorCard | CellClassifierCard | FieldClassifierCard]


class ProfileAnswer(BaseModel):
    """A site profile in the store. `problem` says why it cannot be used, null when it can."""

    name: str
    version: int | None = None
    made_on: str | None = None
    cells: dict[str, int] = {}
    accuracy_before: float | None = None
    accuracy_after: float | None = None
    problem: str | None = None


class ReviewsBody(BaseModel):
    """Labels for cells of one sample, as seen in its `version`."""

    model_config = _example(version=1, labels={"17": "neutrophil"}, comment="")

    version: Annotated[int, Field(description="Of the sample when its cells were looked at")]
    labels: Annotated[
        dict[int, Label],
        Field(min_length=1, max_length=MOST_LABELS, description="Cell id to cell type"),
    ]
    comment: str = ""


class ReviewsAnswer(BaseModel):
    """The sample in its next version, and the reviews that were appended."""

    sample: Sample
    reviews: list[Review]


class SavedField(BaseModel):
    """What was found in a picture; a refused one is not saved."""

    saved: bool
    sample: Sample
    image: AnalyzedField
    stage: GradedField | None = None


class PersonAnswer(BaseModel):
    """Whom the API takes the caller for."""

    name: str
    role: Role
