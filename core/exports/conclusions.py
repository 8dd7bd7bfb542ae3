"""Templates of conclusions, which a laboratory keeps in a TOML file."""

import tomllib
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.cases.names import LONGEST_COMMENT
from core.domain.differential import Differential
from core.domain.taxonomy import CELL_TYPES
from core.errors import SettingsError
from core.settings import Settings, get_settings


class _Template(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    text: str = Field(min_length=1, max_length=LONGEST_COMMENT)


class _Templates(BaseModel):
    model_config = ConfigDict(extra="forbid")

    template: list[_Template] = []


def conclusion_templates(settings: Settings | None = None) -> Mapping[str, str]:
    """Return the texts of the templates by name. Raises SettingsError for a file that is none."""
    path = (settings or get_settings()).conclusions
    try:
        read = _Templates.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:  # of TOML, of UTF-8 and of pydantic alike
        why = "it does not have a name and a text for each template"
        if not isinstance(error, ValidationError):
            why = "it is missing or is not TOML"
        raise SettingsError("conclusions", f"{path.name}: {why}") from error
    return {template.name: template.text.strip() for template in read.template}


def filled_conclusion(text: str, counted: Differential) -> str:
    """Return a template with the numbers of a sample."""
    shares = ", ".join(
        f"{CELL_TYPES[key].plural.lower()} {share.percent:.1f} %"
        for key, share in counted.shares.items()
        if share.count
    )
    for name, value in (
        ("{cells}", str(counted.total)),
        ("{differential}", shares or "no classified cells"),
        ("{blasts}", str(counted.blasts.count)),
    ):
        text = text.replace(name, value)
    return text
