"""The atlas: one Markdown file an entry in `assets/atlas`, with TOML between two lines of `+++`.

A file is named after the key of its entry, which for types, subtypes and ALL classes is the label
of `core.domain.taxonomy`. `sources.toml` names the works that entries refer to.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from core.domain.taxonomy import ATTRIBUTES, SUBTYPES
from core.errors import AtlasError
from core.settings import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "assets" / "atlas"
_FENCE = "+++\n"
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class LookAlike(BaseModel):
    """Another entry that may be mistaken for this one, and how to tell the two apart."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    difference: Text


class Entry(BaseModel):
    """One page of the atlas."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    name: Text
    also: tuple[Text, ...] = ()
    """Other names."""
    summary: Text
    size: tuple[float, float]
    """Diameter in µm, from and to."""
    normal: Text | None = None
    """What is normal, where the table of reference ranges has no line for it."""
    raised: tuple[Text, ...]
    """Where more are seen; of an abnormal cell, where it is seen at all."""
    lowered: tuple[Text, ...]
    sources: tuple[str, ...] = Field(min_length=1)
    attributes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Usual values of the eleven attributes, most typical first; empty for other than white cells.
    """
    look_alikes: tuple[LookAlike, ...] = Field(min_length=1)
    text: Text
    """Markdown, with headings of the third level."""

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if not 0 < self.size[0] < self.size[1]:
            raise ValueError("the size is no range")
        if self.attributes and self.attributes.keys() != ATTRIBUTES.keys():
            raise ValueError("attributes are all eleven or none")
        for name, values in self.attributes.items():
            if not values or not set(values) <= set(ATTRIBUTES[name]):
                raise ValueError(f"{name} has values that WBCAtt does not know")
        others = [other.key for other in self.look_alikes]
        if self.key in others or len(set(others)) < len(others):
            raise ValueError("a look-alike is the entry itself or named twice")
        return self

    @property
    def size_text(self) -> str:
        """The size, such as `12-15 µm`."""
        return f"{self.size[0]:g}-{self.size[1]:g} µm"

    @property
    def phrase(self) -> str:
        """The name inside a sentence."""
        return self.name[:1].lower() + self.name[1:]

    @property
    def type(self) -> str:
        """The cell type of a subtype, else the entry's own key."""
        return SUBTYPES[self.key].type if self.key in SUBTYPES else self.key


@dataclass(frozen=True, slots=True)
class Group:
    """Entries that are shown together."""

    title: str
    about: str
    keys: tuple[str, ...]


MATURATION = ("blast", "promyelocyte", "myelocyte", "metamyelocyte", "band", "segmented")
"""The granulocytes from the youngest to the mature cell."""

GROUPS: tuple[Group, ...] = (
    Group(
        "Granulocytes",
        "Cells with granules of their own kind, and the stages before them.",
        (
            "neutrophil",
            "segmented",
            "band",
            "immature_granulocyte",
            "metamyelocyte",
            "myelocyte",
            "promyelocyte",
            "eosinophil",
            "basophil",
        ),
    ),
    Group(
        "Monocytes and lymphocytes",
        "Cells without granules of their own kind.",
        (
            "monocyte",
            "promonocyte",
            "lymphocyte",
            "variant_lymphocyte",
            "plasma_cell",
        ),
    ),
    Group(
        "Blasts and ALL classes",
        "The youngest cells. A smear does not tell the ALL classes apart; flow cytometry does.",
        ("blast", "Benign", "Early", "Pre", "Pro"),
    ),
    Group(
        "Erythroblasts, platelets and remnants",
        "Counted beside the differential.",
        ("erythroblast", "platelet", "giant_platelet", "platelet_clump", "smudge_cell"),
    ),
    Group(
        "Red cell shapes",
        "What the red cells of a field may show. The program counts red cells and does not judge "
        "their shape.",
        (
            "discocyte",
            "microcyte",
            "macrocyte",
            "polychromatic_cell",
            "spherocyte",
            "target_cell",
            "stomatocyte",
            "elliptocyte",
            "teardrop_cell",
            "sickle_cell",
            "schistocyte",
            "echinocyte",
            "acanthocyte",
            "rouleaux",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Atlas:
    """All entries in the order of the groups, and the works that they name."""

    entries: Mapping[str, Entry]
    sources: Mapping[str, str]

    def neighbours(self, key: str) -> tuple[Entry, Entry]:
        """Return the entries before and after one; the first follows the last."""
        keys = list(self.entries)
        place = keys.index(key)
        return self.entries[keys[place - 1]], self.entries[keys[(place + 1) % len(keys)]]

    def citations(self, entry: Entry) -> list[str]:
        """Return the works that an entry rests on."""
        return [self.sources[key] for key in entry.sources]


def difference(one: Entry, other: Entry) -> str | None:
    """Return how to tell two entries apart; None where neither names the other as look-alike."""
    for entry, against in ((one, other), (other, one)):
        for similar in entry.look_alikes:
            if similar.key == against.key:
                return similar.difference
    return None


def differences(atlas: Atlas, one: Entry, other: Entry) -> list[str]:
    """Return how to tell two entries apart, else their subtypes, each named.

    Empty where the atlas calls none of them look-alikes.
    """
    if text := difference(one, other):
        return [text]
    families = [
        [entry for entry in atlas.entries.values() if entry.type == wanted.type]
        for wanted in (one, other)
    ]
    return [
        f"**{a.name} or {b.phrase}?** {text}"
        for a in families[0]
        for b in families[1]
        if (text := difference(a, b))
    ]


def read_entry(path: Path) -> Entry:
    """Read one file. Raises AtlasError, naming the file, for what is missing or unsound in it."""
    try:
        _before, front, text = path.read_text(encoding="utf-8").split(_FENCE, 2)
        return Entry.model_validate({**tomllib.loads(front), "key": path.stem, "text": text})
    except ValueError as error:  # of TOML and pydantic too
        raise AtlasError(f"The text {path.name} of the atlas is damaged: {error}") from error


def read_atlas(folder: Path = FOLDER) -> Atlas:
    """Read all entries and check that they fit together. Raises AtlasError."""
    try:
        sources = tomllib.loads((folder / "sources.toml").read_text(encoding="utf-8"))
        found = {path.stem: read_entry(path) for path in sorted(folder.glob("*.md"))}
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise AtlasError("The texts of the atlas are missing. Restore assets/atlas.") from error
    order = [key for group in GROUPS for key in group.keys]
    if set(order) != found.keys():
        raise AtlasError(f"Entries without a text or a group: {set(order) ^ found.keys()}")
    for entry in found.values():
        unknown = {other.key for other in entry.look_alikes} - found.keys()
        unknown |= set(entry.sources) - sources.keys()
        if unknown:
            raise AtlasError(f"The entry {entry.key} names {', '.join(unknown)}: there is none.")
    return Atlas({key: found[key] for key in order}, sources)


@cache
def get_atlas() -> Atlas:
    """Return the shipped atlas, read once. Raises AtlasError."""
    return read_atlas()
