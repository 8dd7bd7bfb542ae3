"""The card of a model: what it is, how to feed it, where it came from, what it is not for."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self, overload

from pydantic import BaseModel, ConfigDict, ValidationError

from core.domain.decision import DecisionThresholds
from core.errors import BatchError, ModelError
from core.settings import Settings, get_settings

ModelName = Literal["detector", "wbc", "all_stage"]
Precision = Literal["int8", "int8_weights", "float32"]
"""Of a network's arithmetic; `int8_weights`: of its weights alone."""
MODEL_NAMES: tuple[ModelName, ...] = ("detector", "wbc", "all_stage")
MODEL_FILE = "model.tflite"
APPEARANCE_FILE = "appearance.npz"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Thresholds(_Frozen):
    """The thresholds of a model."""

    def by_name(self) -> dict[str, float]:
        """Return the thresholds that are one number and are set."""
        return {name: value for name, value in self if isinstance(value, float)}


class DetectorThresholds(Thresholds):
    """Least scores of detected cells."""

    wbc: float
    rbc: float
    platelet: float


class ClassifierThresholds(Thresholds):
    """Thresholds of a classifier."""

    uncertain: float
    """Confidence below which a prediction is uncertain."""

    @property
    def decision(self) -> DecisionThresholds:
        """What `decide` needs of them."""
        return DecisionThresholds(self.uncertain)


class CellThresholds(ClassifierThresholds):
    """Thresholds of the cell classifier."""

    cellness: float
    """Probability of one whole cell below which a crop is out of scope."""
    appearance_density: float | None = None
    """Log density of a crop's appearance below which it is out of distribution."""
    rivals: dict[str, dict[str, float]] = {}
    """As `DecisionThresholds.rivals`."""

    @property
    def decision(self) -> DecisionThresholds:
        """What `decide` needs of them."""
        return DecisionThresholds(self.uncertain, self.cellness, self.rivals)


class FieldThresholds(ClassifierThresholds):
    """Thresholds of the field classifier and of quality control, which shares its trunk."""

    smear: float
    """Logit below which an image is rejected as no stained smear."""
    all_field: float
    """Logit below which a field is rejected as unlike those of suspected ALL."""


class ModelCard(_Frozen):
    """The content of `models/<name>/card.json`; the subclasses have the model's own thresholds."""

    name: ModelName
    version: str
    task: str
    architecture: str
    labels: list[str]
    """In the order of the model's outputs."""
    attributes: dict[str, list[str]] = {}
    """Further outputs and their values in order."""
    subtypes: list[str] = []
    """Values of the subtype output in order, the last one for cells of no subtype."""
    input_width: int
    input_height: int
    """For the detector: the usual size; any multiple of 32 is accepted."""
    preprocessing: str
    temperature: float = 1.0
    """Logits are divided by it before the softmax (Guo et al. 2017)."""
    ood_temperature: float | None = None
    """Takes the temperature's place for crops that are out of distribution."""
    thresholds: Thresholds
    training_data: list[str]
    data_fingerprint: str
    git_revision: str
    trained_on: str
    """ISO date."""
    sha256: str
    """Of the model file."""
    appearance_sha256: str | None = None
    """Of the file with the appearance density of the training crops, where a model has one."""
    file_bytes: int
    precision: Precision = "float32"
    """8-bit files come from `python -m core quantize`."""
    licence: str
    intended_use: str
    limits: list[str]

    def changed(self, **changes: Any) -> Self:
        """Return the card with other values, checked like those of a file."""
        return self.model_validate(self.model_dump() | changes)


class DetectorCard(ModelCard):
    """The card of the detector."""

    name: Literal["detector"]
    thresholds: DetectorThresholds


class CellClassifierCard(ModelCard):
    """The card of the cell classifier."""

    name: Literal["wbc"]
    thresholds: CellThresholds


class FieldClassifierCard(ModelCard):
    """The card of the field classifier."""

    name: Literal["all_stage"]
    thresholds: FieldThresholds


CARDS: Mapping[str, type[ModelCard]] = {
    "detector": DetectorCard,
    "wbc": CellClassifierCard,
    "all_stage": FieldClassifierCard,
}


def model_path(name: str, settings: Settings | None = None) -> Path:
    """Return the path of a model's file."""
    return (settings or get_settings()).models / name / MODEL_FILE


@overload
def load_card(name: Literal["detector"], settings: Settings | None = None) -> DetectorCard: ...
@overload
def load_card(name: Literal["wbc"], settings: Settings | None = None) -> CellClassifierCard: ...
@overload
def load_card(
    name: Literal["all_stage"], settings: Settings | None = None
) -> FieldClassifierCard: ...
@overload
def load_card(name: str, settings: Settings | None = None) -> ModelCard: ...
def load_card(name: str, settings: Settings | None = None) -> ModelCard:
    """Read a model's card. Raises ModelError when it is missing or damaged."""
    path = model_path(name, settings).with_name("card.json")
    try:
        return CARDS.get(name, ModelCard).model_validate_json(path.read_text())
    except OSError as error:
        raise _unusable(f"The card of the model {name} is missing", name) from error
    except ValidationError as error:
        raise _unusable(f"The card of the model {name} is damaged", name) from error


def _unusable(why: str, name: str) -> ModelError:
    return ModelError(f"{why}. Restore models/{name} from the repository.")


def read_checked(
    card: ModelCard, settings: Settings | None = None, file: str = MODEL_FILE
) -> bytes:
    """Return the bytes of a model's file. Raises ModelError unless they match the card's SHA-256.

    `file` is `MODEL_FILE` or `APPEARANCE_FILE`.
    """
    try:
        content = model_path(card.name, settings).with_name(file).read_bytes()
    except OSError as error:
        raise _unusable(
            f"The file {file} of the model {card.name} is missing", card.name
        ) from error
    expected = {MODEL_FILE: card.sha256, APPEARANCE_FILE: card.appearance_sha256}[file]
    if hashlib.sha256(content).hexdigest() != expected:
        why = f"The file {file} of the model {card.name} does not match its card"
        raise _unusable(why, card.name)
    return content


def models_fingerprint() -> str:
    """Return the fingerprint of the models that lie in the folder now. Raises ModelError."""
    return fingerprint_of(load_card(name) for name in MODEL_NAMES)


def fingerprint_of(cards: Iterable[ModelCard]) -> str:
    """Return one SHA-256 over the versions and checksums of models, in the order of their names."""
    ordered = sorted(cards, key=lambda card: card.name)
    text = "".join(f"{card.version} {card.sha256} " for card in ordered)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def check_models(expected: str) -> None:
    """Raise BatchError unless this machine has the models of the one that sent the work."""
    if models_fingerprint() != expected:
        raise BatchError(
            "A worker has other models than the machine that started it. Bring all machines to "
            "one version, and restart a server whose models were changed. A batch then goes on "
            "with --resume."
        )
