"""Site profiles: the change of the classifier's last layer for one laboratory."""

import base64
import binascii
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from core.errors import ProfileError
from core.settings import Settings, get_settings

SUFFIX = ".profile.json"


def _decoded(value: object) -> NDArray[np.float32]:
    if isinstance(value, str):
        try:
            flat = np.frombuffer(base64.b64decode(value, validate=True), np.float32)
        except (binascii.Error, ValueError) as error:
            raise ValueError("not an array") from error
        return flat
    return np.asarray(value, np.float32)


def _encoded(array: NDArray[np.float32]) -> str:
    return base64.b64encode(np.ascontiguousarray(array, np.float32).tobytes()).decode()


_Array = Annotated[
    NDArray[np.float32], BeforeValidator(_decoded), PlainSerializer(_encoded, return_type=str)
]


class SiteProfile(BaseModel):
    """A change of the classifier's last layer, fitted to one site's reviewed cells.

    Logits become `logits / logit_temperature + features @ weights + bias`.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        validate_by_name=True,
        serialize_by_alias=True,
    )

    name: str
    version: int
    """How often a profile of this name was fitted."""
    made_on: str
    """ISO date."""
    model_sha256: str
    """Of the classifier it was fitted to; it fits no other."""
    cells: dict[str, int]
    """Reviewed cells by type."""
    accuracy_before: float
    accuracy_after: float
    """Leave-one-out accuracy on the site's cells without and with the profile."""
    temperature: float = Field(gt=0)
    uncertain: float = Field(ge=0, le=1)
    """Confidence below which a cell is uncertain at this site."""
    logit_temperature: float = Field(default=1.0, ge=1, alias="softness")
    """Temperature of the shipped logits at this site, before the change."""
    weights: _Array
    """Features x types, float32; flat in the file."""
    bias: _Array

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len(self.bias) == 0 or len(self.weights) % len(self.bias):
            raise ValueError("weights and bias do not fit each other")
        if not (np.isfinite(self.weights).all() and np.isfinite(self.bias).all()):
            raise ValueError("weights and bias must be finite")
        return self

    @property
    def title(self) -> str:
        """Name and version, for answers and reports."""
        return f"{self.name} v{self.version}"

    def logits(self, logits: NDArray[Any], features: NDArray[Any]) -> NDArray[np.float32]:
        """Return the site's logits of one cell, or of n cells in rows."""
        weights = self.weights.reshape(features.shape[-1], -1)
        return np.asarray(
            logits / self.logit_temperature + features @ weights + self.bias, np.float32
        )


def profile_path(name_or_file: str, settings: Settings | None = None) -> Path:
    """Return where a profile lies: the file itself, or the named one in the store.

    Raises ProfileError for a name that is no plain word.
    """
    path = Path(name_or_file)
    if path.suffix == ".json" or path.parent != Path():
        return path
    if not name_or_file or name_or_file.startswith("."):
        raise ProfileError(f"{name_or_file!r} is no name for a profile. Use letters and digits.")
    return (settings or get_settings()).store / "profiles" / f"{name_or_file}{SUFFIX}"


def profile_names(settings: Settings | None = None) -> list[str]:
    """Return the names of the profiles in the store."""
    folder = (settings or get_settings()).store / "profiles"
    return sorted(path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))


def load_profile(
    name_or_file: str, model_sha256: str, settings: Settings | None = None
) -> SiteProfile:
    """Read a profile. Raises ProfileError when it is missing, damaged or for another model."""
    path = profile_path(name_or_file, settings)
    try:
        profile = SiteProfile.model_validate_json(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(
            f"There is no profile {name_or_file}. Make it with `python -m core adapt`."
        ) from error
    except ValidationError as error:
        raise ProfileError(
            f"The profile {name_or_file} is damaged. Make it again with `python -m core adapt`."
        ) from error
    if profile.model_sha256 != model_sha256:
        raise ProfileError(
            f"The profile {profile.name} was made for another version of the classifier. "
            "Make it again with `python -m core adapt`."
        )
    return profile
