"""The one JSON contract: what command line, API, batches and exports answer, and its description.

Boxes are `[x, y, width, height]` in pixels of the image as uploaded, rounded to 0.1 px;
probabilities have four decimals, percentages two. Every number is finite; what is not becomes
null. Keys keep their order. A key that does not apply, such as the type of a red cell, is absent.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Annotated, Any, Self

from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from core.domain.differential import Differential, Share, differential, differential_of_counts
from core.domain.flags import Severity, blast_flag, flags
from core.domain.results import (
    Cell,
    CellCounts,
    FailedFile,
    FieldAnalysis,
    StageResult,
    override_sentence,
)
from core.domain.taxonomy import CELL_TYPES, STAGES, CellKind, Status

Answer = dict[str, Any]
"""An answer as JSON has it."""

_TYPED: Answer = {
    "type": "neutrophil",
    "subtype": "segmented",
    "probabilities": dict.fromkeys(CELL_TYPES, 0.0)
    | {"neutrophil": 0.9713, "immature_granulocyte": 0.0287},
    "confidence": 0.9713,
    "status": "classified",
}
_STAGED: Answer = {
    "stage": "Early",
    "probabilities": dict.fromkeys(STAGES, 0.0) | {"Early": 0.9121, "Benign": 0.0879},
    "confidence": 0.9121,
    "status": "classified",
}
_PASSED: Answer = {"warnings": [], "refused": None}
_BAD_FILE = {"file": "notes.txt", "error": "This is not an image. Send a JPEG, PNG … file."}


def number(value: float | None, decimals: int) -> float | None:
    """Round for JSON, which has no infinity; None stays None."""
    return None if value is None or not math.isfinite(value) else round(float(value), decimals)


def box_numbers(cell: Cell) -> tuple[float, float, float, float]:
    """Return x, y, width and height of a cell's box to 0.1 px."""
    box = cell.box
    x, y, width, height = (round(float(side), 1) for side in (box.x, box.y, box.width, box.height))
    return x, y, width, height


def _rounded(decimals: int) -> BeforeValidator:
    return BeforeValidator(lambda value: number(value, decimals))


Probability = Annotated[
    float | None,
    _rounded(4),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1}),
]
Probabilities = Annotated[
    dict[str, float | None],
    # All in one call: an answer has thousands of them.
    BeforeValidator(lambda values: {key: number(value, 4) for key, value in values.items()}),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1},
        }
    ),
]
Percent = Annotated[float | None, _rounded(2)]
Moment = Annotated[str, BeforeValidator(lambda at: at.isoformat())]
Amount = Annotated[float | None, _rounded(3)]
PageNumber = Annotated[int, Field(ge=1, description="Number of the image in its file, from 1")]
Warnings = Annotated[
    list[str],
    Field(
        description="Sentences that a reader must see beside the answer, such as a doubtful scale."
    ),
]
Refused = Annotated[
    str | None,
    Field(
        validation_alias=AliasChoices("reject_reason", "refused"),
        description="Why quality control rejected the image, in one sentence; null when it passed.",
    ),
]


def _at(*path: str) -> Any:
    """Return the field that is read from an attribute of an attribute."""
    return Field(validation_alias=AliasPath(*path))


def example(**values: Any) -> ConfigDict:
    """Return the configuration of a model with an example in its description."""
    return ConfigDict(json_schema_extra={"examples": [values]})


class Part(BaseModel):
    """A part of an answer: `model_validate` makes it from a result with the same attributes."""

    model_config = ConfigDict(from_attributes=True)

    def dump(self) -> Answer:
        """Return it as JSON has it."""
        return self.model_dump(mode="json", exclude_unset=True)


class FileError(Part):
    """A file that could not be answered."""

    file: str
    error: str


class ClassifiedCrop(Part):
    """The type of the one cell in an image."""

    model_config = example(file="cell.png", page=1, **_TYPED, **_PASSED)

    file: str
    page: PageNumber
    type: str | None
    subtype: str | None
    probabilities: Probabilities
    confidence: Probability
    status: Status
    warnings: Warnings
    refused: Refused


class ClassifyAnswer(Part):
    """The types of single cells; each file is one cell crop."""

    images: list[ClassifiedCrop]
    errors: Annotated[list[FileError], Field(examples=[[_BAD_FILE]])]


class FieldFlag(Part):
    """A finding that deserves a look; a possible blast is urgent."""

    code: Annotated[str, Field(validation_alias=AliasChoices("key", "code"))]
    severity: Severity
    sentence: str


class BlastShare(Part):
    """Possible blasts among the leukocytes, in percent with the exact 95 % interval."""

    count: int
    uncertain: Annotated[int, Field(description="Those of them that are uncertain")]
    white_cells: Annotated[
        int, Field(description="Leukocytes; uncertain cells by their most probable type")
    ]
    percent: Annotated[Percent, _at("percent", "value")]
    low: Annotated[Percent, _at("percent", "low")]
    high: Annotated[Percent, _at("percent", "high")]


class PooledStage(Part):
    """The ALL class over all fields of a request."""

    stage: str | None
    probabilities: Probabilities
    confidence: Probability
    status: Status
    warnings: Warnings
    refused: Refused
    blasts: Annotated[
        BlastShare | None, Field(description="Where the white cells were counted; else absent")
    ] = None
    flags: Annotated[
        list[FieldFlag], Field(description="`possible_blasts` where there are any; else absent")
    ] = []

    @model_validator(mode="before")
    @classmethod
    def _read(cls, result: object) -> object:
        """Read a result without `blasts` and `flags` where there are none."""
        if not isinstance(result, StageResult):
            return result
        names = {part.name for part in fields(result)} - {"blasts"}
        values = {name: getattr(result, name) for name in names}
        values["warnings"] = _marked(result)
        if result.blasts is not None:
            values["blasts"] = result.blasts
            if flag := blast_flag(result.blasts):
                values["flags"] = [flag]
        return values


class _Image(Part):
    file: str
    page: PageNumber


class StagedField(PooledStage, _Image):
    """The ALL class of one field."""

    model_config = example(file="field.png", page=1, **_STAGED, **_PASSED)


class StageAnswer(Part):
    """The ALL classes of fields, one by one and pooled."""

    images: list[StagedField]
    pooled: PooledStage | None
    errors: list[FileError]


class FoundCell(Part):
    """A cell of a field; `type`, `subtype` and `probabilities` on white cells only."""

    model_config = example(kind="wbc", box=[103.5, 80.0, 71.2, 68.9], **_TYPED)

    kind: CellKind
    box: Annotated[
        tuple[float, float, float, float],
        Field(description="x, y, width, height in pixels of the image as uploaded"),
    ]
    type: str | None = None
    subtype: str | None = None
    probabilities: Probabilities | None = None
    confidence: Probability
    status: Status
    poor_area: Annotated[
        str | None,
        Field(
            description="White cells of slides: why the part around is poor, such as `blurred, "
            "pale` (also `dark`, `crowded`); absent where it is not"
        ),
    ] = None

    @classmethod
    def of(cls, cell: Cell) -> Self:
        """Return one cell."""
        values: Answer = {
            "kind": cell.kind,
            "box": box_numbers(cell),
            "confidence": cell.confidence,
            "status": cell.status,
        }
        if cell.kind == "wbc":
            values |= {"type": cell.type, "subtype": cell.subtype}
            values["probabilities"] = cell.probabilities or {}
        if cell.poor_area is not None:
            values["poor_area"] = cell.poor_area
        return cls(**values)


class DifferentialShare(Part):
    """A type's part of the differential in percent, with its exact 95 % interval.

    Where a tenth or more of the white cells is uncertain, it reaches from none to all of them being
    of the type.
    """

    count: int
    percent: Percent
    low: Percent
    high: Percent


class KindCounts(Part):
    """Cells by kind, without what is out of scope."""

    wbc: int
    rbc: int
    platelet: int


class TileCounts(Part):
    """The tiles of a slide by what became of them."""

    analysed: int
    with_cells: int
    refused: int
    glass: int


class AnalyzedField(Part):
    """What was found in one field, whatever came with it."""

    file: str
    page: PageNumber
    width: int
    height: int
    micrometres_per_pixel: Annotated[float | None, _rounded(5)]
    cells: list[FoundCell]
    duplicates: Annotated[
        list[int],
        Field(description="Numbers, from 1, of cells that an earlier field shows too"),
    ] = []
    counts: KindCounts
    differential: dict[str, DifferentialShare]
    flags: list[FieldFlag]
    warnings: Warnings
    refused: Refused

    @classmethod
    def of(cls, analysis: FieldAnalysis, **values: Any) -> Self:
        """Return the answer for one field, with its cells and counts alone."""
        alone = analysis.alone
        counted = differential([alone])
        found = flags(counted, percent_ranges={}, absolute_ranges={}) if alone.cells else ()
        duplicates = [i for i, cell in enumerate(analysis.cells, 1) if cell.duplicate]
        if duplicates:
            values["duplicates"] = duplicates
        return cls(
            file=analysis.file,
            page=analysis.page,
            width=analysis.width,
            height=analysis.height,
            micrometres_per_pixel=analysis.scale and analysis.scale.micrometres_per_pixel,
            cells=[FoundCell.of(cell) for cell in analysis.cells],
            counts=alone.counts.kinds,
            differential=all_shares(counted),
            flags=found,
            warnings=_warnings(counted, _marked(analysis)),
            refused=analysis.reject_reason,
            **values,
        )


class AnalyzedSlide(AnalyzedField):
    """What was found in a whole slide."""

    tiles: TileCounts


class PooledFields(Part):
    """All fields together, with every cell counted once."""

    counts: KindCounts
    duplicates: Annotated[int, Field(description="Cells that are counted in an earlier field")]
    differential: dict[str, DifferentialShare]
    warnings: Annotated[Warnings, Field(description="Where there are any; else absent")] = []

    @classmethod
    def of(cls, counts: CellCounts) -> Self | None:
        """Return the pooled answer; None where no field shows cells of an earlier one."""
        if not counts.duplicates:
            return None
        counted = differential_of_counts(counts.types, counts.uncertain)
        values: Answer = {"warnings": warnings} if (warnings := _warnings(counted)) else {}
        return cls(
            counts=counts.kinds,
            duplicates=counts.duplicates.total(),
            differential=all_shares(counted),
            **values,
        )


class AnalyzeAnswer(Part):
    """What was found in fields, and by which models."""

    models: Annotated[dict[str, str], Field(examples=[{"detector": "1.0.0", "wbc": "1.0.0"}])]
    images: list[AnalyzedField]
    pooled: Annotated[
        PooledFields | None, Field(description="Where fields show the same cells; else absent")
    ] = None
    errors: list[FileError]

    @classmethod
    def of(
        cls,
        analyses: Iterable[FieldAnalysis],
        failures: Iterable[FailedFile] = (),
        *,
        models: Mapping[str, str],
        **values: Any,
    ) -> Self:
        """Return the answer of `analyze`; `models` maps model names to versions.

        Where fields show the same cells, `pooled` counts all fields with every cell once.
        """
        counts, images = CellCounts(), []
        for analysis in analyses:
            images.append(AnalyzedField.of(analysis))
            counts.add(analysis.cells)
        if pooled := PooledFields.of(counts):
            values["pooled"] = pooled
        return cls(models=models, images=images, errors=failures, **values)


def _warnings(counted: Differential, others: Iterable[str] = ()) -> list[str]:
    """Return the warnings of an answer with that of many uncertain cells."""
    return [*others, *([counted.excluded_warning] if counted.excluded_warning else ())]


def _marked(result: FieldAnalysis | StageResult) -> tuple[str, ...]:
    """Return the warnings of an image, an override of quality control first."""
    override = [override_sentence(result.qc_override)] if result.qc_override else []
    return (*override, *result.warnings)


def all_shares(counted: Differential) -> dict[str, Share]:
    """Return the shares of the leukocytes, and of the cells that are counted beside them."""
    return {
        **counted.shares,
        "erythroblast": counted.erythroblasts,
        "smudge_cell": counted.smudge_cells,
    }


class EstimateAnswer(Part):
    """A number with its 95 % interval."""

    value: Amount
    low: Amount
    high: Amount


class RangeAnswer(Part):
    """A reference range and its source."""

    low: float | None
    high: float | None
    source: str


class DifferentialRow(DifferentialShare):
    """A share beside its count per volume in 10⁹/L, reference ranges and verdicts."""

    count: Annotated[int, _at("share", "count")]
    percent: Annotated[Percent, _at("share", "percent")]
    low: Annotated[Percent, _at("share", "low")]
    high: Annotated[Percent, _at("share", "high")]
    absolute: Annotated[EstimateAnswer | None, _at("absolute", "estimate")]
    percent_range: Annotated[RangeAnswer | None, _at("percent", "limits")]
    absolute_range: Annotated[RangeAnswer | None, _at("absolute", "limits")]
    percent_verdict: Annotated[str | None, _at("percent", "verdict")]
    absolute_verdict: Annotated[str | None, _at("absolute", "verdict")]


class CasePatient(Part):
    """The patient of a case."""

    identifier: str
    name: str | None
    sex: str | None
    birth_year: int | None


class CaseSample(Part):
    """The sample of a case; counts in 10⁹/L."""

    id: int
    taken: Moment
    material: str
    state: str
    version: int
    white_cell_count: float | None
    white_cell_count_corrected: Amount
    white_cell_count_estimated: EstimateAnswer | None


class CaseFlag(Part):
    """A flag of a case."""

    key: str
    severity: str
    sentence: str


class CaseWhiteCell(Part):
    """A stored white cell; `number` is its place, from 1, in the `cells` of its image."""

    number: int
    id: int | None
    suggested: str | None
    reviewer: str | None
    attributes: dict[str, str] | None
    familiar: bool | None


class CaseField(Part):
    """A stored field."""

    id: int
    sha256: str
    page: int
    models: dict[str, str]
    stage: str | None
    white_cells: list[CaseWhiteCell]


class CaseSignature(Part):
    """Who signed a case, when, and the conclusion they signed."""

    reviewer: str
    at: Moment
    conclusion: str


class CaseComment(Part):
    """A comment on a case."""

    author: str
    at: Moment
    text: str
    place: Annotated[
        dict[str, str | float] | None,
        Field(
            description="View of a slide that it is about: `slide` (its id), `x` and `y` in pixels "
            "of level 0, `zoom`, `turn` in degrees"
        ),
    ] = None


class ReviewChange(Part):
    """White cells whose type of the model a reviewer replaced; cells it was uncertain about not."""

    suggested: str
    label: str
    cells: int


class CaseReview(Part):
    """What reviewers looked at in a case, and how the model agrees with them there."""

    reviewed: int
    unseen: Annotated[
        dict[str, int],
        Field(description="Cells that count as the model typed them and nobody looked at"),
    ]
    overridden: list[ReviewChange]
    agreement_percent: EstimateAnswer | None
    kappa: EstimateAnswer | None


class MeasuredError(Part):
    """How often the model's calls were right on a measured set."""

    set: Annotated[str, _at("name")]
    calls: int
    right_percent: Annotated[EstimateAnswer | None, _at("overall")]
    right_percent_by_type: Annotated[dict[str, EstimateAnswer | None], _at("by_type")]


class CaseSmear(Part):
    """Red cells and platelets of a case."""

    red_cells: int
    measured: Annotated[int, Field(description="Whole red cells whose diameter was measured")]
    size_variation_percent: Annotated[
        EstimateAnswer | None,
        Field(description="Coefficient of variation of the diameters; no RDW of an analyser"),
    ]
    mean_diameter_um: Amount
    platelets: int
    platelets_per_field: EstimateAnswer
    platelets_per_thousand_red_cells: EstimateAnswer | None
    platelets_estimated: Annotated[EstimateAnswer | None, Field(description="In 10⁹/L")]


class CaseDetails(Part):
    """What surrounds the fields of a stored sample."""

    notice: str
    patient: CasePatient
    sample: CaseSample
    differential: dict[str, DifferentialRow]
    total: int
    uncertain: int
    neutrophil_lymphocyte_ratio: EstimateAnswer | None
    flags: list[CaseFlag]
    fields: list[CaseField]
    smear: CaseSmear | None
    review: CaseReview
    conclusion: str
    signatures: list[CaseSignature]
    comments: list[CaseComment]
    reference_ranges: str | None
    models: list[str]
    model_error: list[MeasuredError]


class CaseAnswer(AnalyzeAnswer):
    """A stored sample: what was found in its fields, and the case around them."""

    case: CaseDetails
