"""The public data sets that models are trained and measured on: where they are, and their terms."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Source:
    """A public data set with its licence and citation."""

    name: str
    content: str
    use: str
    licence: str
    citation: str
    url: str
    archive: str = ""
    """File name in the data folder; empty for what is no set of its own."""
    images: int = 0
    parts: Mapping[str, str] = field(default_factory=dict)
    """Address of each file by its part in the set, `kaggle:owner/name` for Kaggle; empty for a set
    that is packed by hand."""


_DESCRIBED = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
SOURCES = {key: Source(**described) for key, described in _DESCRIBED.items()}
PUBLIC_SETS = {key: source for key, source in SOURCES.items() if source.archive}
"""The sets that readers open, by the names they are opened by."""


def how_to_get(name: str) -> str:
    """Return how a user gets a set, as a sentence without its full stop."""
    source = PUBLIC_SETS[name]
    if source.parts:
        return f"Fetch it with `python -m core data get {name}`"
    return f"Get it from {source.url}, pack it as {source.archive}"
