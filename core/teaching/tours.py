"""Tours: what a lecture shows, step by step. Saved as JSON, which holds no images and no names.

A step of a stored case names the sample by its number in the database and the first digits of the
image's SHA-256, one of a slide its id and the version of its file, so that a tour does not show
another case or slide on another installation.
"""

import json
import secrets
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from core.cases.records import Case
from core.errors import TourError
from core.settings import PROJECT_ROOT
from core.teaching.atlas import Atlas

FOLDER = PROJECT_ROOT / "assets" / "tours"
MOST_STEPS, LONGEST_TEXT, LONGEST_TITLE = 200, 1000, 100
LARGEST_FILE = 1_000_000
"""Bytes of a tour."""
MOST_WHITE_CELLS = 12
"""Of a synthetic field: more would hardly find a place."""
_DIGITS = 16
"""Of the SHA-256 of an image that a step names."""

_Key = Annotated[str, StringConstraints(max_length=60)]


class _Step(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    text: Annotated[str, StringConstraints(max_length=LONGEST_TEXT)] = ""
    """What the lecturer adds; plain text."""


class EntryStep(_Step):
    """An entry of the atlas."""

    kind: Literal["entry"] = "entry"
    cell: _Key


class ComparisonStep(_Step):
    """Two entries of the atlas side by side."""

    kind: Literal["comparison"] = "comparison"
    cell: _Key
    other: _Key


class SyntheticStep(_Step):
    """A synthetic field."""

    kind: Literal["synthetic"] = "synthetic"
    seed: int = Field(ge=0, lt=2**32)
    white_cells: int = Field(4, ge=1, le=MOST_WHITE_CELLS)


class CaseStep(_Step):
    """A field of a stored sample, or one cell of it."""

    kind: Literal["case"] = "case"
    sample: int = Field(ge=1, lt=2**63)
    field: int = Field(ge=1)
    """Number of the field in the sample, from 1."""
    image: Annotated[str, StringConstraints(pattern=rf"^[0-9a-f]{{{_DIGITS}}}$")]
    cell: int | None = Field(None, ge=1)
    """Number of the cell in the field, from 1; None for the whole field."""


class SlideStep(_Step):
    """A view of a slide in the server's folders, as the address of the page Microscope names it."""

    kind: Literal["slide"] = "slide"
    slide: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    version: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,20}-[0-9a-f]{1,20}$")]
    """Of the slide's file: time of the last change and size."""
    x: int = Field(ge=0, lt=2**31)
    y: int = Field(ge=0, lt=2**31)
    """Middle of the view in pixels of level 0."""
    zoom: float = Field(ge=1e-5, le=100, allow_inf_nan=False)
    """Pixels of the screen per pixel of level 0."""
    turn: Literal[0, 90, 180, 270] = 0
    """Degrees clockwise."""
    plane: int | None = Field(None, ge=1, le=1000)
    """Focal plane; None for the middle one."""


Step = Annotated[
    EntryStep | ComparisonStep | SyntheticStep | CaseStep | SlideStep, Field(discriminator="kind")
]


class Tour(BaseModel):
    """A lecture: its title and steps in order."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["leukoscope tour"] = "leukoscope tour"
    version: Literal[1] = 1
    title: Annotated[
        str, StringConstraints(min_length=1, max_length=LONGEST_TITLE, strip_whitespace=True)
    ]
    steps: Annotated[tuple[Step, ...], Field(strict=False)] = Field(max_length=MOST_STEPS)

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        for step in self.steps:
            if isinstance(step, ComparisonStep) and step.cell == step.other:
                raise ValueError("a comparison needs two cells")
        return self

    def to_json(self) -> bytes:
        """Return the tour as a file."""
        return self.model_dump_json(indent=1).encode() + b"\n"

    def with_step(self, step: Step) -> "Tour":
        """Return the tour with one more step at its end. Raises TourError when it is full."""
        if len(self.steps) >= MOST_STEPS:
            raise TourError(f"A tour has at most {MOST_STEPS} steps. Remove one first.")
        return self.model_copy(update={"steps": (*self.steps, step)})

    def moved(self, index: int, by: int) -> "Tour":
        """Return the tour with a step moved; at an end it stays."""
        steps = list(self.steps)
        steps.insert(min(max(index + by, 0), len(steps) - 1), steps.pop(index))
        return self.model_copy(update={"steps": tuple(steps)})

    def without(self, index: int) -> "Tour":
        """Return the tour without a step."""
        return self.model_copy(update={"steps": (*self.steps[:index], *self.steps[index + 1 :])})

    def with_text(self, index: int, text: str) -> "Tour":
        """Return the tour with another text at a step."""
        step = self.steps[index].model_copy(update={"text": text[:LONGEST_TEXT]})
        return self.model_copy(
            update={"steps": (*self.steps[:index], step, *self.steps[index + 1 :])}
        )


def read_tour(data: bytes, atlas: Atlas) -> Tour:
    """Read a tour and check that its entries exist. Raises TourError.

    The sentence names the first step that is unsound, never what is written in it.
    """
    if len(data) > LARGEST_FILE:
        raise TourError(
            f"The file is larger than {LARGEST_FILE / 1e6:g} MB: no tour is. Choose the JSON file "
            "that was exported here."
        )
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise TourError(
            "The file is no tour: it is not JSON. Choose the file that was exported here."
        ) from error
    version = content.get("version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > 1:
        raise TourError(
            "The tour was made by a newer version of Leukoscope. Update this one, then open it."
        )
    try:
        tour = Tour.model_validate(content)
    except ValidationError as error:
        raise TourError(_unsound(error)) from error
    for number, step in enumerate(tour.steps, 1):
        named = {EntryStep: ("cell",), ComparisonStep: ("cell", "other")}.get(type(step), ())
        if any(getattr(step, name) not in atlas.entries for name in named):
            raise TourError(
                f"Step {number} of the tour shows a cell that this atlas does not have. Remove the "
                "step from the file, or update Leukoscope."
            )
    return tour


def _unsound(error: ValidationError) -> str:
    place = error.errors(include_input=False, include_url=False)[0]["loc"]
    if place[:1] == ("steps",) and len(place) > 1 and isinstance(place[1], int):
        return (
            f"Step {place[1] + 1} of the tour is unsound. Correct it in the file, or export the "
            "tour again."
        )
    return "The file is no tour of Leukoscope. Choose a JSON file that was exported here."


@cache
def shipped_tours(folder: Path = FOLDER) -> dict[str, Tour]:
    """Return the tours that come with the app, by name of the file. Raises TourError."""
    try:
        return {
            path.stem: Tour.model_validate_json(path.read_bytes())
            for path in sorted(folder.glob("*.json"))
        }
    except (OSError, ValidationError) as error:
        raise TourError(
            "A tour that comes with the app is damaged. Restore assets/tours."
        ) from error


def atlas_tour(atlas: Atlas) -> Tour:
    """Return the whole atlas as a tour."""
    return Tour(title="Atlas", steps=tuple(EntryStep(cell=key) for key in atlas.entries))


def case_tour(case: Case) -> Tour:
    """Return the fields of a case as a tour, without any name."""
    return Tour(
        title="Case",
        steps=tuple(
            CaseStep(
                sample=case.sample.id,
                field=number,
                image=stored.analysis.sha256[:_DIGITS],
            )
            for number, stored in enumerate(case.fields[:MOST_STEPS], 1)
        ),
    )


def check_slide(step: SlideStep, version: str, width: int, height: int) -> None:
    """Raise TourError unless a slide of this version and size in pixels has the view of a step."""
    if step.version != version or step.x > width or step.y > height:
        raise TourError(
            "This step shows a slide that is not here: it was replaced, or the tour is of another "
            "installation."
        )


def check_case(step: CaseStep, case: Case) -> None:
    """Raise TourError unless a case has the field, and the cell, that a step shows."""
    fields = case.fields
    known = step.field <= len(fields) and secrets.compare_digest(
        fields[step.field - 1].analysis.sha256[:_DIGITS], step.image
    )
    if not known:
        raise TourError(
            "This step shows a stored field that is not here: it was deleted, or the tour is of "
            "another installation."
        )
    cells = fields[step.field - 1].analysis.cells
    if step.cell is not None and (step.cell > len(cells) or cells[step.cell - 1].kind != "wbc"):
        raise TourError("This step shows a cell that the stored field does not have any more.")
