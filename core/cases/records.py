"""What the case database gives back: plain frozen records, detached from any session."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from core.results import FieldAnalysis, StageResult

Sex = Literal["female", "male"]
Material = Literal["peripheral_blood", "bone_marrow", "other"]
CaseState = Literal["draft", "reviewed", "signed"]
Role = Literal["viewer", "reviewer", "admin"]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who uses the app. What they may do follows from their role."""

    name: str
    """Unique: the e-mail address with single sign-on, `local` without."""
    role: Role


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient by the laboratory's own identifier; the rest only when somebody typed it in."""

    id: int
    identifier: str
    name: str | None = None
    sex: Sex | None = None
    birth_year: int | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One smear of a patient: the unit that is reviewed and signed."""

    id: int
    patient_id: int
    taken: date
    material: Material
    white_cell_count: float | None
    """Entered by a person, in 10⁹/L."""
    state: CaseState
    version: int
    """Grows with every change; a change made on an older version is refused."""


@dataclass(frozen=True, slots=True, eq=False)
class SampleField:
    """A stored field. Its analysis carries the reviewers' labels; corrections win everywhere."""

    id: int
    analysis: FieldAnalysis
    cell_ids: tuple[int, ...]
    """Database ids of `analysis.cells`, in the same order."""
    models: Mapping[str, str]
    """Names and versions of the models that looked at it."""
    stage: StageResult | None = None
    """The ALL class, when the field was graded (without its evidence map)."""


@dataclass(frozen=True, slots=True)
class Review:
    """One labelling of one cell. Reviews are appended, never changed; the last one counts."""

    id: int
    cell_id: int
    reviewer: str
    at: datetime
    """UTC."""
    label: str
    """One of `REVIEW_TYPES` or `NOT_A_WHITE_CELL`."""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed a sample and when (UTC)."""

    reviewer: str
    at: datetime


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A sample with everything in it: what pages draw, reports print and exports write."""

    patient: Patient
    sample: Sample
    fields: tuple[SampleField, ...]
    signatures: tuple[Signature, ...] = ()

    @property
    def analyses(self) -> tuple[FieldAnalysis, ...]:
        """The analyses of all fields in the order they were added."""
        return tuple(stored.analysis for stored in self.fields)
