"""Reference ranges by laboratory, sex and age, and the rule that compares a value with them.

The table is CSV with the columns of `ReferenceRange`. A table that administrators edited on the
page Settings is in the case database (`core.cases.range_tables`) and replaces it. Ages are in
years, `age_from` included and `age_to` not; an empty `age_to` is no upper limit. Ranges differ
between laboratories, methods and populations: healthy people of the Duffy-null type have fewer
neutrophils. The shipped table covers adults; analytes and ages without a line are not judged.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, count
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from core.domain.differential import MINIMUM_FOR_PERCENTAGES
from core.domain.intervals import Estimate
from core.domain.taxonomy import LEUKOCYTES, Sex
from core.errors import RangesError
from core.settings import Settings

Unit = Literal["%", "10^9/L", "ratio"]
WHITE_CELLS = "white_cells"
NLR = "nlr"
ANALYTES: tuple[str, ...] = (*LEUKOCYTES, "erythroblast", WHITE_CELLS, NLR)
"""What can have a range. Erythroblasts are per 100 white cells, written with the unit `%`."""

Verdict = Literal["low", "below", "normal", "above", "high"]
"""`low` and `high`: the whole 95 % interval lies outside the range. `below` and `above`: the value
lies outside, but its interval spans the limit. `normal`: the value lies within."""

ADULT_AGE = 18
"""Age in years that is taken when none is known: the shipped ranges are for adults."""


class ReferenceRange(BaseModel):
    """One line of the table: where the values of most healthy people lie."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    laboratory: str = Field(min_length=1)
    analyte: str
    unit: Unit
    sex: Sex | Literal["any"]
    age_from: float = Field(ge=0, allow_inf_nan=False)
    age_to: float | None = Field(gt=0, allow_inf_nan=False)
    low: float = Field(ge=0, allow_inf_nan=False)
    high: float = Field(ge=0, allow_inf_nan=False)
    source: str = Field(min_length=1)

    @field_validator("age_to", mode="before")
    @classmethod
    def _empty_is_open(cls, value: str) -> str | None:
        return value or None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.analyte not in ANALYTES:
            raise ValueError(f"the analyte {self.analyte!r} is none of {', '.join(ANALYTES)}")
        if self.low > self.high:
            raise ValueError("low is above high")
        if self.age_to is not None and self.age_to <= self.age_from:
            raise ValueError("age_to is not above age_from")
        return self

    @property
    def text(self) -> str:
        """The range as text, such as `40-60`; `absent` where healthy blood has none."""
        return f"{self.low:g}-{self.high:g}" if self.high else "absent"

    def holds(self, age: float) -> bool:
        """Return whether the line applies at an age in years."""
        return self.age_from <= age and (self.age_to is None or age < self.age_to)

    def collides(self, other: Self) -> bool:
        """Return whether two lines apply to the same people, so that the choice is ambiguous."""
        same = all(
            getattr(self, part) == getattr(other, part)
            for part in ("laboratory", "analyte", "unit", "sex")
        )
        return same and (self.holds(other.age_from) or other.holds(self.age_from))


def judge(value: Estimate, limits: ReferenceRange, counted: int | None) -> Verdict | None:
    """Return where a value lies in its range; None where there are too few cells to judge it.

    `counted` is the number of leukocytes that the value was computed from; below
    `MINIMUM_FOR_PERCENTAGES` there is no verdict. It is None for a value from elsewhere, such as an
    analyser's white cell count. Every flag, report and export uses this verdict.
    """
    if counted is not None and counted < MINIMUM_FOR_PERCENTAGES:
        return None
    if value.low > limits.high:
        return "high"
    if value.high < limits.low:
        return "low"
    if value.value > limits.high:
        return "above"
    if value.value < limits.low:
        return "below"
    return "normal"


class ReferenceRanges:
    """The ranges of one laboratory."""

    def __init__(self, laboratory: str, lines: Sequence[ReferenceRange], version: int = 0) -> None:
        self.laboratory = laboratory
        self.version = version
        """Of the table that was edited here; 0 is the file."""
        self._lines = [line for line in lines if line.laboratory == laboratory]

    @property
    def title(self) -> str:
        """Laboratory and, of a table that was edited here, its version: for reports to name."""
        return f"{self.laboratory}, table {self.version}" if self.version else self.laboratory

    def of(
        self, unit: Unit, *, sex: Sex | None = None, age: float | None = None
    ) -> dict[str, ReferenceRange]:
        """Return the ranges in a unit by analyte, for a sex and an age in years.

        A line for the sex takes precedence over one for any sex. Without a sex only lines for any
        sex apply; without an age the ranges of adults do.
        """
        years = ADULT_AGE if age is None else age
        fitting = [line for line in self._lines if line.unit == unit and line.holds(years)]
        general = {line.analyte: line for line in fitting if line.sex == "any"}
        own = {line.analyte: line for line in fitting if line.sex == sex}
        return general | own


def choose_laboratory(
    lines: Sequence[ReferenceRange], settings: Settings, version: int = 0
) -> ReferenceRanges:
    """Return the ranges of the laboratory that the settings name, else of the first of the table.

    Raises RangesError when the table lacks it.
    """
    laboratories = list(dict.fromkeys(line.laboratory for line in lines))
    wanted = settings.laboratory or laboratories[0]
    if wanted not in laboratories:
        raise RangesError(
            f"There are no reference ranges of the laboratory {wanted!r}. "
            f"Choose one of: {'; '.join(laboratories)}."
        )
    return ReferenceRanges(wanted, lines, version)


def read_table(path: Path) -> list[ReferenceRange]:
    """Read and check every line of a table. Raises RangesError, naming the line."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, strict=True))
    except OSError as error:
        raise RangesError(
            f"The table of reference ranges {path.name} is missing. "
            "Restore it, or set another one with LEUKOSCOPE_RANGES."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise RangesError(
            f"The table of reference ranges {path.name} is not a CSV file in UTF-8. Save it as one."
        ) from error
    return check_lines(rows, count(2))  # the first line is the header


def check_lines(
    rows: Iterable[Mapping[str, object]], numbers: Iterable[int] | None = None
) -> list[ReferenceRange]:
    """Check every line of a table; `numbers` name the lines, from 1 without them.

    Raises RangesError, naming the line.
    """
    numbered = zip(count(1) if numbers is None else numbers, rows, strict=False)
    lines = {number: _line(row, number) for number, row in numbered}
    if not lines:
        raise RangesError("The table of reference ranges is empty. Add a line.")
    _reject_collisions(lines)
    return list(lines.values())


def _line(row: Mapping[str, object], number: int) -> ReferenceRange:
    try:
        return ReferenceRange.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        column = ", ".join(str(part) for part in first["loc"])
        is_empty = first["input"] in (None, "")
        reason = "is empty" if is_empty else first["msg"].removeprefix("Value error, ")
        raise RangesError(
            f"Line {number} of the reference ranges cannot be used: "
            f"{f'{column}: ' if column else ''}{reason}. Correct the line."
        ) from error


def _reject_collisions(lines: Mapping[int, ReferenceRange]) -> None:
    for (upper, one), (lower, other) in combinations(lines.items(), 2):
        if one.collides(other):
            raise RangesError(
                f"Lines {upper} and {lower} of the reference ranges are both for "
                f"{one.analyte} in {one.unit} at the same age. Remove one."
            )
