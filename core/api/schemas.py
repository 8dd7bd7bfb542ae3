"""Bodies and answers that only the API has; those of the contract are in `core.exports.schema`."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from core.cases.records import Patient, Review, Role, Sample, SampleSummary
from core.domain.taxonomy import CELL_TYPES, NOT_A_WHITE_CELL
from core.errors import NotAnImageError
from core.exports.schema import AnalyzedField, StagedField, example
from core.model_card import CellClassifierCard, DetectorCard, FieldClassifierCard

_PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

MOST_LABELS = 5_000
"""Of one request."""
Label = Literal[(*CELL_TYPES, NOT_A_WHITE_CELL)]  # type: ignore[valid-type]


class InvalidValue(BaseModel):
    """A value that does not fit the description."""

    place: str
    message: str


class Problem(BaseModel):
    """What went wrong (RFC 9457). `type` is stable; `detail` is what a page shows."""

    model_config = example(
        type="urn:leukoscope:problem:not-an-image",
        title="The bytes are no image in any format that is known here",
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


class SlideAnswer(BaseModel):
    """A slide of the server's folders."""

    model_config = example(id="5f2c9a0b7d3e4186", name="tray 3 / 0042.svs")

    id: str
    name: str


class SlideInfoAnswer(SlideAnswer):
    """A slide, and how it is divided into tiles."""

    model_config = example(
        id="5f2c9a0b7d3e4186",
        name="tray 3 / 0042.svs",
        width=80_000,
        height=60_000,
        micrometres_per_pixel=0.25,
        tile_size=512,
        last_zoom=8,
        version="18f2-4c00",
        planes=5,
        middle_plane=3,
        plane_step=0.5,
    )

    width: int
    """Pixels of level 0."""
    height: int
    micrometres_per_pixel: float | None
    tile_size: int
    last_zoom: int
    """Zoom of level 0; each zoom before has half its resolution."""
    version: str
    """Changes when the file changes."""
    planes: int
    """Focal planes that can be asked for; 1 of most slides."""
    middle_plane: int
    """The plane of tiles without another one, and of the count."""
    plane_step: float | None
    """Micrometres between two planes, where the file says it."""


class SlideUploadAnswer(BaseModel):
    """An unfinished upload of a slide."""

    model_config = example(
        id="0123456789abcdef0123456789abcdef",
        name="0042.svs",
        length=1_200_000_000,
        offset=640_000_000,
        modified=1_770_000_000_000,
        expires="2026-03-08T12:00:00Z",
    )

    id: str
    name: str
    length: int
    """Bytes of the whole file."""
    offset: int
    """Bytes that have arrived."""
    modified: int
    """When the file changed on the user's machine, as its browser said: ms since 1970."""
    expires: datetime
    """UTC."""


class SlideCountAnswer(BaseModel):
    """The white cells of a slide that were found so far, as columns; what a viewer draws."""

    version: str
    types: list[tuple[str, str]]
    """Name and colour."""
    cells: list[tuple[int, int, int, int, int, int, int]]
    """Left, top, width and height in pixels of level 0; index of the type; 1 when counted; 1 in a
    poor area."""
    numbers: list[int]
    """Of the cells in the count, from 1."""


class SlideTilesAnswer(BaseModel):
    """The tiles of a slide's count, as columns; what a viewer draws as a map."""

    version: str
    """As that of the cells."""
    tiles: list[tuple[int, int, int, int, str]]
    """Left, top, right, bottom; glass, thick, countable, counted or rejected."""
    quality: list[tuple[str, str, str]]
    """Of each tile: sharp, soft or blurred; pale, usual or dark stain; sparse, monolayer or
    crowded. Empty where it is not known; tiles that are not counted have the values of one
    nearby."""


class ImageBody(BaseModel):
    """An image as JSON. Multipart is the better way for large ones."""

    model_config = example(image=_PIXEL, name="cell.png")

    image: Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]
    name: str = "image"


class ImagesBody(BaseModel):
    """One image or several as JSON."""

    model_config = example(image=_PIXEL, name="field.png")

    image: Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})] | None = None
    name: str = "image"
    images: list[ImageBody] = []


class Readiness(BaseModel):
    """Whether something works, and why not."""

    ready: bool
    detail: str | None = None


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

    model_config = example(version=1, labels={"17": "neutrophil"}, comment="")

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
    """What was found in an image; a refused one is not saved."""

    saved: bool
    sample: Sample
    image: AnalyzedField
    stage: StagedField | None = None


class PersonAnswer(BaseModel):
    """Whom the API takes the caller for."""

    name: str
    role: Role
