"""Networks compared on small protocols: the content of `models/<name>/comparisons.json`.

`python -m research` writes the rows. None of these networks is shipped.
"""

from collections.abc import Mapping
from typing import Literal, get_args

from pydantic import Field, ValidationError

from core.domain.intervals import Estimate
from core.errors import ModelError
from core.evaluation.schema import BlastFigures, ClassificationFigures, Figures, Proportion
from core.model_card import ModelName
from core.settings import Settings, get_settings

COMPARISONS_FILE = "comparisons.json"
Architecture = Literal["convnet", "vgg19", "resnet50", "mobilenetv2", "mobilenetv2_skcab"]
ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)


class ScoredCells(Figures):
    """A classifier on one source: of cells, or of ALL fields."""

    n: int
    accuracy: Estimate
    macro_f1: Estimate
    ece: float
    balanced_accuracy: Proportion = None


class ScoredFields(Figures):
    """A detector on one kind of fields."""

    images: int
    map50: float | None
    wbc_recall: Proportion
    wbc_precision: Proportion
    rbc_count_error: float | None


class Row(Figures):
    """One training."""

    protocol: str
    training_seconds: float
    git_revision: str = ""
    recipe: str = ""
    """Of the cell classifier: by the types it tells."""


class ArchitectureRow(Row):
    """One network."""

    start: str
    """ImageNet or random weights."""
    parameters: int
    file_bytes: int
    milliseconds: float
    """Of one forward pass in LiteRT, median."""
    sets: dict[str, ScoredCells]


class SourcesRow(Row):
    """One cell classifier by what it was trained on."""

    trained_on: list[str]
    """Sources."""
    temperature: float | None = None
    """The one that suits the training cells of a source that was left out."""
    sets: dict[str, ScoredCells]


class PatientsRow(Row):
    """Cell classifiers on patients that each of them did not see, joined over folds."""

    folds: list[str]
    temperature: float = 1.0
    """Of the kept predictions."""
    patients: int
    figures: ClassificationFigures
    blasts: BlastFigures


class FieldsRow(Row):
    """One detector by the fields left out of its training."""

    sets: dict[str, ScoredFields]


class TypedCells(ScoredCells):
    """One file of the cell classifier on one set."""

    classified: Proportion
    classified_right: Proportion


class FoundCells(Figures):
    """One file of the detector on one set."""

    images: int
    map50: float
    map50_95: float
    wbc_count_exact: Proportion
    rbc_count_error: float | None


class StagedFields(Figures):
    """One file of the ALL classifier against the one in floats."""

    n: int
    same_class: Estimate
    largest_change: float
    """Of a probability."""


class PrecisionRow(Figures):
    """One file of a shipped network: floats, 8-bit integers, or a smaller input."""

    command: str
    side: int
    """Of the input, in pixels."""
    file_bytes: int
    milliseconds: float
    sets: dict[str, TypedCells | FoundCells | StagedFields]
    git_revision: str = ""
    recipe: str = ""
    """As `Row.recipe`."""


class Comparisons(Figures):
    """All rows of one model, by what was changed or left out."""

    architectures: Mapping[str, ArchitectureRow] = Field({})
    sources: Mapping[str, SourcesRow] = Field({}, alias="domains")
    patients: Mapping[str, PatientsRow] = Field({})
    recipe: Mapping[str, SourcesRow] = Field({})
    fields: Mapping[str, FieldsRow] = Field({}, alias="parts")
    precisions: Mapping[str, PrecisionRow] = Field({}, alias="numbers")

    @property
    def runs(self) -> Mapping[tuple[str, str], ArchitectureRow | SourcesRow]:
        """Trainings of cell classifiers, by section and key."""
        sections: dict[str, Mapping[str, ArchitectureRow | SourcesRow]] = {
            "architectures": self.architectures,
            "sources": self.sources,
            "recipe": self.recipe,
        }
        return {(name, key): row for name, rows in sections.items() for key, row in rows.items()}


def load_comparisons(name: ModelName, settings: Settings | None = None) -> Comparisons:
    """Return what was compared, nothing where there is no file.

    Raises ModelError when the file is damaged.
    """
    path = (settings or get_settings()).models / name / COMPARISONS_FILE
    try:
        return Comparisons.model_validate_json(path.read_text())
    except FileNotFoundError:
        return Comparisons()
    except (OSError, ValidationError) as error:
        raise ModelError(
            f"The comparisons of the model {name} are damaged. Make them again with `make compare`."
        ) from error
