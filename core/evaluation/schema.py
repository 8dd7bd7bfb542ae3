"""What is written beside a model: the figures of `models/<name>/metrics.json`.

Field names follow this code, aliases the keys of the files, so that figures measured earlier load.
Proportions are fractions of 1 with 95 % limits.
"""

from dataclasses import asdict
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from core.domain.intervals import Estimate


def _none_without_value(estimate: Any) -> Any:
    empty = isinstance(estimate, dict) and estimate.get("value") is None
    return None if empty else estimate


def _null_value(estimate: Estimate | None) -> dict[str, float | None]:
    return asdict(estimate) if estimate else {"value": None, "low": None, "high": None}


Proportion = Annotated[
    Estimate | None, BeforeValidator(_none_without_value), PlainSerializer(_null_value)
]
"""None where there was nothing to count; in files an estimate whose numbers are null."""


class Figures(BaseModel):
    """Base of everything that is written; unknown keys of a file are left out."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, serialize_by_alias=True)

    def json_object(self) -> dict[str, Any]:
        """Return the content for a file; what was not measured is left out."""
        return self.model_dump(mode="json", exclude_unset=True)


class ClassFigures(Figures):
    """One class of a classifier, on one set."""

    precision: Proportion
    recall: Proportion
    f1: Proportion
    support: int
    """Images of the class."""
    roc_auc: float | None
    average_precision: float | None


class ClassificationFigures(Figures):
    """A classifier on one set."""

    n: int
    labels: tuple[str, ...]
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_f1: Estimate
    ece: float
    brier: float
    nll: float | None
    roc_auc: float | None
    average_precision: float | None
    outside_labels: float
    """Proportion of images that the model would give a label that the set does not have."""
    confusion: list[list[int]]
    """Truth in rows, prediction in columns."""
    unanswered: list[int]
    """Images without a prediction by true label."""
    per_class: dict[str, ClassFigures]
    unreadable: int = 0
    """Files of a folder that could not be read."""


class KindFigures(Figures):
    """One kind of cell of the detector, on one set."""

    map50: float | None
    map50_95: float | None
    precision: Proportion
    recall: Proportion
    truths: int
    predictions: int
    threshold: float


class DetectionFigures(Figures):
    """The detector on one set."""

    images: int
    map50: float | None
    map50_95: float | None
    per_kind: dict[str, KindFigures]
    wbc_count_exact: Proportion
    rbc_count_error: float | None
    """Median over images, as a fraction of the true number."""
    rbc_count_bias: float | None


class CorruptedFigures(Figures):
    """A classifier on images as they are or under one corruption."""

    accuracy: Estimate
    classified: Estimate
    classified_right: Proportion
    out_of_distribution: Proportion = Field(None, alias="unfamiliar")


class CorruptionRow(CorruptedFigures):
    """A classifier under one corruption."""

    corruption: str = Field(alias="shift")
    drop: float
    """Accuracy lost."""


class CorruptionFigures(Figures):
    """A classifier under each corruption of `core.evaluation.corruptions`."""

    set: str
    n: int
    unchanged: CorruptedFigures
    rows: list[CorruptionRow]


class BeforeAfter(Figures):
    """A figure before and after adaptation."""

    before: float
    after: float


class AdaptationFigures(Figures):
    """What a site profile of a few cells changes on the other cells of its site."""

    set: str
    types: list[str]
    cells_a_type: int
    draws: int
    rejected: int = Field(alias="refused")
    """Profiles that were not kept because they did not help."""
    before: Estimate
    after: Estimate
    ece: BeforeAfter | None = None


class PatientShare(Figures):
    """One patient's blasts as a fraction of the white cells."""

    patient: str
    cells: int
    uncertain: int
    true: float
    predicted: float
    """Of the leukocytes, classified or uncertain, each by its most probable type."""


class BlastFigures(Figures):
    """How well blasts are told from other white cells, on patients that were left out."""

    n: int
    """White cells."""
    blasts: int
    auroc: float
    """Of the probability of a blast, against all other white cells."""
    possible: Proportion
    """Blasts that raise the flag: named blasts, certain or not."""
    certain_healthy: Proportion
    """Blasts that are called a healthy type with certainty."""
    others_possible: Proportion
    """Other white cells that are called blasts, certain or not."""
    others_uncertain: Proportion
    smudge_excluded: Proportion
    """Smudge cells that are not counted as any other type."""
    patients: list[PatientShare]
    """Those with twenty white cells or more."""
    median_share_error: float | None
    """Absolute, as a fraction of the white cells."""


class FieldFlagFigures(Figures):
    """Fields of suspected ALL whose count raises the flag of possible blasts."""

    set: str
    fold: str
    """The one that the fields are of."""
    leukaemia: Proportion
    """Fields of leukaemia that raise it."""
    by_class: dict[str, Proportion]
    """Fields that raise it, by class."""
    cells: dict[str, Proportion]
    """Possible blasts among the leukocytes, by class."""


class SubtypeFigures(Figures):
    """One subtype on one set."""

    n: int
    right: Proportion
    """Cells that get the subtype."""
    right_of_type: Proportion
    """The same among cells whose type is right."""


class CamFigures(Figures):
    """How much of the class activation maps lies inside white cells."""

    n: int
    without_cells: int
    inside: float = Field(alias="evidence")
    """Proportion of the maps inside the boxes of white cells."""
    area: float
    """Proportion of the image that these boxes cover."""


class RejectionFigures(Figures):
    """Quality control on images of one kind that are no smears."""

    n: int
    rejected: Estimate = Field(alias="refused")
    auroc: float
    """Against all smears."""


class SmearFigures(Figures):
    """Quality control on smears."""

    n: int
    rejected: Estimate = Field(alias="refused")
    by_set: dict[str, Proportion]


class QualityControlFigures(Figures):
    """Quality control on smears and on other images."""

    smears: SmearFigures
    others: dict[str, RejectionFigures]
    auroc: float


class FieldsFound(Figures):
    """Fields of one white cell each, and those in which one is found."""

    n: int
    found: Estimate


class NucleiFound(Figures):
    """White cells against nuclei that are told by their colour."""

    n: int
    nuclei: int
    recall: Proportion
    precision: Proportion


class BoxesFound(Figures):
    """White cells against true boxes, each met by one found box at most."""

    n: int
    cells: int
    least_iou: float
    """Least IoU of a found box with the true one."""
    recall: Proportion
    precision: Proportion


class SyntheticRow(Figures):
    """The detector on synthetic fields under one corruption."""

    corruption: str = Field(alias="shift")
    recall: Proportion
    precision: Proportion
    rbc_count_error: float


class SyntheticFields(Figures):
    """The detector on synthetic fields."""

    n: int
    rows: list[SyntheticRow]


class UnevenLightFigures(Figures):
    """White cells of one set that are found under uneven light."""

    set: str
    corruption: str
    cells: int
    found: Proportion
    """Of the cells."""
    kept: Proportion
    """Of the cells found in the unchanged fields."""


class UnseenFigures(Figures):
    """The detector on images unlike those of its training."""

    kaggle_test_simple: FieldsFound
    taleqani: NucleiFound
    small_cells: BoxesFound | None = None
    """Fields at low magnification (pig_fields), validation part."""
    clumps: BoxesFound | None = None
    """Validation fields with composed clumps of white cells."""
    synthetic: SyntheticFields = Field(alias="made")


class ImageSize(Figures):
    """One size of a set's images in pixels, and how many of them have it."""

    width: int
    height: int
    share: float


class MeanColour(Figures):
    """Mean CIELAB colour (L* 0 to 100, a*, b*) and its standard deviation over images."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


class DataSetFigures(Figures):
    """What a data set holds."""

    images: int = Field(alias="pictures")
    unit: str
    """What `counts` counts."""
    counts: dict[str, dict[str, int]]
    """By split and label."""
    sampled: int = Field(alias="looked_at")
    """Images that were opened for sizes and colour."""
    sizes: list[ImageSize]
    colour: MeanColour
    samples: dict[str, str]
    """A file of each label."""


class AttributeFigures(Figures):
    """One attribute, or the mean over all."""

    accuracy: float
    macro_f1: float


class AttributesFigures(Figures):
    """The eleven attributes on WBCAtt's test split."""

    n: int
    mean: AttributeFigures
    per_attribute: dict[str, AttributeFigures]


class LightRow(Figures):
    """Accuracy of a classifier on fields as they were taken, and with their light corrected."""

    light: str
    as_taken: Estimate
    corrected: Estimate
    corrected_where_uneven: Estimate
    """What the classifier gets in use."""


class RedCellFigures(Figures):
    """Red cells and platelets of a set as the detector sees them and as they are labelled."""

    set: str
    images: int
    red_cells: int
    """Labelled, whole, in images with enough of them on both sides."""
    group: int
    """Images of a random group, which stands for a sample."""
    variation_labelled: float
    """Mean size variation over the groups, in percent."""
    variation_bias: float
    """Mean of measured minus labelled, in points."""
    variation_error: float
    """95 % of the groups differ by no more, in points."""
    diameter_bias: float
    """Mean difference of an image's median diameter, in percent of the labelled."""
    diameter_error: float
    """95 % of the images differ by no more, in percent."""
    platelets: int
    """Labelled."""
    platelets_found: int
    platelets_exact: Proportion
    """Proportion of the images that have as many platelets as are labelled."""


class LightFigures(Figures):
    """Whether light correction helps a classifier that was trained without it."""

    set: str
    n: int
    rows: list[LightRow]


class ModelFigures(Figures):
    """What every model has beside its sets."""

    model: str = ""
    version: str = ""
    generated_by: str = ""
    data: dict[str, DataSetFigures] = {}


class ClassifierFigures(ModelFigures):
    """The content of `metrics.json` of `wbc` and `all_stage`."""

    sets: dict[str, ClassificationFigures] = {}
    corruptions: CorruptionFigures | None = Field(None, alias="shifts")
    out_of_distribution: dict[str, Proportion] = Field({}, alias="unfamiliar")
    """Proportion of each set's cells."""
    adaptation: AdaptationFigures | None = None
    blasts: dict[str, BlastFigures] = {}
    """By set."""
    field_flags: FieldFlagFigures | None = None
    subtypes: dict[str, dict[str, SubtypeFigures]] = {}
    """By set and subtype."""
    attributes: AttributesFigures | None = None
    cam: CamFigures | None = Field(None, alias="evidence")
    light: LightFigures | None = None
    quality_control: QualityControlFigures | None = Field(None, alias="gate")


class DetectorFigures(ModelFigures):
    """The content of `metrics.json` of the detector."""

    sets: dict[str, DetectionFigures] = {}
    unseen: UnseenFigures | None = None
    uneven_light: list[UnevenLightFigures] = []
    smear: list[RedCellFigures] = []
