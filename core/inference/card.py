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
    thresholds: dict[str, float]
    training_data: list[str]
    data_fingerprint: str
    git_revision: str
    trained_on: str
    """ISO date."""
    sha256: str
    """Of the model file."""
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


def read_checked(card: ModelCard, settings: Settings | None = None) -> bytes:
    """Return a model file's bytes. Raises ModelError unless they match the card's SHA-256."""
    try:
        content = model_path(card.name, settings).read_bytes()
    except OSError as error:
        raise ModelError(
            f"The file of the model {card.name} is missing. "
            f"Restore models/{card.name} from the repository."
        ) from error
    if hashlib.sha256(content).hexdigest() != card.sha256:
        raise ModelError(
            f"The file of the model {card.name} does not match its card. "
            f"Restore models/{card.name} from the repository."
        )
    return content
