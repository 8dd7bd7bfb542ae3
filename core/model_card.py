"""The card of a model: what it is, how to feed it, where it came from, what it is not for."""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import ModelError
from core.settings import Settings, get_settings

ModelName = Literal["detector", "wbc", "all_stage"]
MODEL_NAMES: tuple[ModelName, ...] = ("detector", "wbc", "all_stage")
MODEL_FILE = "model.tflite"
LOOKS_FILE = "looks.npz"


class ModelCard(BaseModel):
    """The content of `models/<name>/card.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ModelName
    version: str
    task: str
    architecture: str
    labels: list[str]
    """In the order of the model's outputs."""
    attributes: dict[str, list[str]] = {}
    """Further outputs and their values in order."""
    input_width: int
    input_height: int
    """For the detector: the usual size; any multiple of 32 is accepted."""
    preprocessing: str
    temperature: float = 1.0
    """Logits are divided by it before the softmax (Guo et al. 2017)."""
    temperature_away: float | None = None
    """Takes the temperature's place for pictures that look unlike all training pictures."""
    thresholds: dict[str, float]
    training_data: list[str]
    data_fingerprint: str
    git_revision: str
    trained_on: str
    """ISO date."""
    sha256: str
    """Of the model file."""
    looks_sha256: str | None = None
    """Of the file that says how the training pictures look, where a model has one."""
    file_bytes: int
    numbers: Literal["float32", "int8"] = "float32"
    """What the network computes with; int8 files come from `python -m core quantize`."""
    licence: str
    intended_use: str
    limits: list[str]


def model_path(name: str, settings: Settings | None = None) -> Path:
    """Return the path of a model's file."""
    return (settings or get_settings()).models / name / MODEL_FILE


def load_card(name: str, settings: Settings | None = None) -> ModelCard:
    """Read a model's card. Raises ModelError when it is missing or does not read as one."""
    path = model_path(name, settings).with_name("card.json")
    try:
        return ModelCard.model_validate_json(path.read_text())
    except OSError as error:
        raise ModelError(
            f"The card of the model {name} is missing. Restore models/{name} from the repository."
        ) from error
    except ValidationError as error:
        raise ModelError(
            f"The card of the model {name} is damaged. Restore models/{name} from the repository."
        ) from error


def read_checked(
    card: ModelCard, settings: Settings | None = None, file: str = MODEL_FILE
) -> bytes:
    """Return the bytes of a model's file. Raises ModelError unless they match the card's SHA-256.

    `file` is `MODEL_FILE` or `LOOKS_FILE`.
    """
    try:
        content = model_path(card.name, settings).with_name(file).read_bytes()
    except OSError as error:
        raise ModelError(
            f"The file {file} of the model {card.name} is missing. "
            f"Restore models/{card.name} from the repository."
        ) from error
    expected = {MODEL_FILE: card.sha256, LOOKS_FILE: card.looks_sha256}[file]
    if hashlib.sha256(content).hexdigest() != expected:
        raise ModelError(
            f"The file {file} of the model {card.name} does not match its card. "
            f"Restore models/{card.name} from the repository."
        )
    return content
