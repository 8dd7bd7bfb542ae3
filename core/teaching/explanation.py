"""What speaks for the suggested type of a cell, and what would make it another one."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log

from core.domain.taxonomy import ATTRIBUTES
from core.teaching.atlas import Entry
from core.teaching.attributes import observed

_CLEAR = log(1.5)
"""Least mean log-likelihood ratio from which on an attribute speaks for one of two types."""
_UNUSUAL = 0.1
"""Share of the values that the atlas does not name as usual, where no cells were counted."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one attribute of a cell says about two types."""

    attribute: str
    value: str
    """The likeliest one."""
    probability: float
    usual: tuple[str, ...]
    """Usual values of the first type."""
    usual_of_other: tuple[str, ...]
    weight: float
    """Mean log-likelihood ratio over the values of the cell: above 0 for the first type."""

    @property
    def speaks_for(self) -> int | None:
        """0: the first type, 1: the other one, None: neither."""
        return None if abs(self.weight) < _CLEAR else int(self.weight < 0)

    @property
    def separates(self) -> bool:
        """Whether the two types usually differ in it."""
        return not set(self.usual) & set(self.usual_of_other)


def value_shares(entry: Entry, attribute: str) -> dict[str, float]:
    """Return how frequent each value is in a type: counted in labelled cells, else by the atlas.

    Counts are smoothed by one cell a value; values sum to 1.
    """
    values = ATTRIBUTES[attribute]
    if counted := observed().get(entry.key, {}).get(attribute):
        total = counted.total() + len(values)
        return {value: (counted[value] + 1) / total for value in values}
    usual = entry.attributes[attribute]
    others = [value for value in values if value not in usual]
    mass = _UNUSUAL if others else 0.0
    return {
        value: (1 - mass) / len(usual) if value in usual else mass / len(others) for value in values
    }


def weigh(read: Mapping[str, Mapping[str, float]], one: Entry, other: Entry) -> list[Evidence]:
    """Return what each attribute of a cell says about two types, the strongest first.

    `read` are the probabilities of the values by attribute. Empty where the atlas does not describe
    one of the types by attributes, as platelets.
    """
    if not one.attributes or not other.attributes:
        return []
    found = []
    for attribute, values in read.items():
        first, second = value_shares(one, attribute), value_shares(other, attribute)
        likeliest = max(values, key=values.__getitem__)
        found.append(
            Evidence(
                attribute,
                likeliest,
                values[likeliest],
                one.attributes[attribute],
                other.attributes[attribute],
                sum(p * log(first[value] / second[value]) for value, p in values.items()),
            )
        )
    return sorted(found, key=lambda evidence: -abs(evidence.weight))
