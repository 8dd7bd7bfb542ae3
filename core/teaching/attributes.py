"""The eleven morphological attributes in words and drawings, and how often each value is seen.

`assets/atlas/attributes.toml` explains each attribute and its values.

`python -m core.teaching.attributes assets/atlas/attributes.csv` counts the values again, from the
labels that WBCAtt gives to PBC cells (Tsutsui et al. 2023). The table holds counts, no labels.
"""

import argparse
import csv
import tomllib
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from core.datasets.readers import open_set
from core.domain.taxonomy import ATTRIBUTES
from core.errors import AtlasError
from core.settings import Settings
from core.teaching.atlas import FOLDER, Text

TABLE = FOLDER / "attributes.csv"
EXPLAINED = FOLDER / "attributes.toml"

TITLES: dict[str, str] = {
    "cell_size": "Cell size",
    "cell_shape": "Cell shape",
    "nucleus_shape": "Nucleus",
    "nuclear_cytoplasmic_ratio": "Nuclear-cytoplasmic ratio",
    "chromatin_density": "Chromatin",
    "cytoplasm_colour": "Cytoplasm colour",
    "cytoplasm_texture": "Cytoplasm texture",
    "cytoplasm_vacuole": "Vacuoles",
    "granularity": "Granules",
    "granule_type": "Granule type",
    "granule_colour": "Granule colour",
}
"""In the order of reading a cell: from its outline inwards, then outwards again."""

_WORDS: dict[tuple[str, str], str] = {
    ("nucleus_shape", "segmented-bilobed"): "two lobes",
    ("nucleus_shape", "segmented-multilobed"): "three lobes or more",
    ("nucleus_shape", "unsegmented-band"): "bent band",
    ("nucleus_shape", "unsegmented-indented"): "indented",
    ("nucleus_shape", "unsegmented-round"): "round",
    ("chromatin_density", "densely"): "densely packed",
    ("chromatin_density", "loosely"): "loosely packed",
    ("cytoplasm_vacuole", "no"): "none",
    ("cytoplasm_vacuole", "yes"): "present",
    ("granularity", "no"): "none",
    ("granularity", "yes"): "present",
    ("granule_type", "nil"): "none",
    ("granule_colour", "nil"): "none",
}


def in_words(attribute: str, values: Sequence[str]) -> str:
    """Name values of an attribute, such as `indented or irregular`."""
    words = [_WORDS.get((attribute, value), value) for value in values]
    if {"no", "yes"} == set(values):
        return f"{words[0]}, sometimes {words[1]}"
    return " or ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])} or {words[-1]}"


class Value(BaseModel):
    """One value of an attribute."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: Text
    drawing: tuple[str, int]
    """Entry of the atlas and seed of a drawing that shows it."""


class Attribute(BaseModel):
    """What one attribute means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    about: Text
    values: dict[str, Value]

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if self.values.keys() != set(ATTRIBUTES[self.name]):
            raise ValueError(f"{self.name} does not explain each of its values")
        return self


@cache
def explained(path: Path = EXPLAINED) -> dict[str, Attribute]:
    """Return what each attribute means, in the order of `TITLES`. Raises AtlasError."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        return {name: Attribute.model_validate({**found[name], "name": name}) for name in TITLES}
    except (OSError, KeyError, TypeError, ValueError) as error:  # of TOML and pydantic too
        raise AtlasError(
            "The texts about the attributes are missing or damaged. Restore "
            "assets/atlas/attributes.toml."
        ) from error


@cache
def observed(table: Path = TABLE) -> dict[str, dict[str, Counter[str]]]:
    """Return how many cells have each value, by type or subtype and attribute.

    Raises AtlasError when the table is missing or damaged.
    """
    found: dict[str, dict[str, Counter[str]]] = {}
    try:
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                values = found.setdefault(row["label"], {}).setdefault(row["attribute"], Counter())
                values[row["value"]] += int(row["cells"])
    except (OSError, KeyError, ValueError) as error:
        raise AtlasError(
            f"The table {table.name} of the atlas is missing or damaged. Count it again with "
            "`python -m core.teaching.attributes assets/atlas/attributes.csv`."
        ) from error
    return found


def observed_text(values: Counter[str], attribute: str) -> str:
    """Write the shares of at least 5 %, such as `75 % indented, 19 % irregular`."""
    total = values.total()
    return ", ".join(
        f"{100 * cells / total:.0f} % {in_words(attribute, [value])}"
        for value, cells in values.most_common()
        if cells >= 0.05 * total
    )


def count_attributes(settings: Settings | None = None) -> list[tuple[str, str, str, int]]:
    """Count label, attribute, value and cells of PBC. Raises DataError when it is not here."""
    counted: Counter[tuple[str, str, str]] = Counter()
    for example in open_set("pbc", settings).examples:
        for label in filter(None, (example.label, example.subtype)):
            counted.update((label, name, value) for name, value in example.attributes.items())
    order = list(ATTRIBUTES)
    rows = [(*key, cells) for key, cells in counted.items()]
    return sorted(rows, key=lambda row: (row[0], order.index(row[1]), row[2]))


def write_table(path: Path) -> None:
    """Count the values and write the table."""
    rows = count_attributes()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("label", "attribute", "value", "cells"), *rows])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Count the attributes of PBC cells by type.")
    parser.add_argument("table", type=Path)
    write_table(parser.parse_args().table)
