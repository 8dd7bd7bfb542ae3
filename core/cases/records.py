"""The records of the case database: frozen, detached from any session."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Generic, Literal, TypeVar

from core.domain.boxes import Box
from core.domain.results import (
    Cell,
    FieldAnalysis,
    FieldImage,
    StageResult,
    neutral_name,
    without_names,
)
from core.domain.taxonomy import Material, Sex, label_name

CaseState = Literal["draft", "reviewed", "signed"]
Role = Literal["viewer", "reviewer", "admin"]
Origin = Literal["model", "person"]
"""Who found a cell."""
ReviewAction = Literal["label", "add", "move", "split", "undo"]
"""What a reviewer did to a cell; moving a box includes resizing it."""
TextKind = Literal["conclusion", "comment"]
"""What a text becomes once it is signed or added."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class User:
    """A user of the app. The role decides what they may do."""

    name: str
    """Unique: the e-mail address with single sign-on, `local` without."""
    role: Role


@dataclass(frozen=True, slots=True)
class PatientDetails:
    """Entries about a patient: the laboratory's own identifier; the rest is optional."""

    identifier: str
    name: str | None = None
    sex: Sex | None = None
    birth_year: int | None = None


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient by the laboratory's own identifier; the rest only when somebody typed it in."""

    id: int
    identifier: str
    name: str | None = None
    sex: Sex | None = None
    birth_year: int | None = None


@dataclass(frozen=True, slots=True)
class SampleDetails:
    """Entries about a sample."""

    taken: date
    material: Material = "peripheral_blood"
    white_cell_count: float | None = None
    """In 10⁹/L."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One smear of a patient: the unit that is reviewed and signed."""

    id: int
    patient_id: int
    taken: date
    material: Material
    white_cell_count: float | None
    """Entered by a user, in 10⁹/L."""
    state: CaseState
    version: int
    """Grows with every change; a change of an older version is rejected."""


@dataclass(frozen=True, slots=True, eq=False)
class NewField:
    """A field to be stored: the image and the predictions of the models, before any review."""

    image: FieldImage
    analysis: FieldAnalysis
    models: Mapping[str, str]
    """Names and versions of the models that analysed it."""
    stage: StageResult | None = None
    """The ALL class, when the field was graded. Its evidence map is not stored."""


@dataclass(frozen=True, slots=True)
class NewLabel:
    """How a reviewer named a cell of a field that is to be stored."""

    field: int
    """Index in the fields."""
    number: int
    """Of the cell in its field, from 1."""
    label: str
    user: User


@dataclass(frozen=True, slots=True)
class CountOrigin:
    """The count of a slide that a sample is saved from."""

    slide: str
    """Id of the slide."""
    version: str
    """Of its file."""
    known: int | None
    """The last sample with this count that the user knows of; None for none."""


@dataclass(frozen=True, slots=True)
class MissedCell:
    """A white cell that the model missed, as a user marks and labels it."""

    field_id: int
    box: Box
    label: str


@dataclass(frozen=True, slots=True, eq=False)
class SampleField:
    """A stored field. Its analysis carries the reviewers' labels; corrections win everywhere."""

    id: int
    analysis: FieldAnalysis
    cell_ids: tuple[int | None, ...]
    """Database ids of `analysis.cells`, in the same order; None for red cells and platelets."""
    models: Mapping[str, str]
    """Names and versions of the models that analysed it."""
    stage: StageResult | None = None
    """The ALL class, when the field was graded (without its evidence map)."""

    def named(self, file: str, names: Mapping[str, str]) -> "SampleField":
        """Return the field under another name of its file; `names` are those of all files."""
        stage = self.stage
        if stage is not None:
            warnings = without_names(stage.warnings, names)
            stage = replace(stage, file=file, warnings=warnings)
        warnings = without_names(self.analysis.warnings, names)
        analysis = replace(self.analysis, file=file, warnings=warnings)
        return replace(self, analysis=analysis, stage=stage)


@dataclass(frozen=True, slots=True)
class Review:
    """One decision on one cell. Reviews are appended, never changed; the last one counts."""

    id: int
    cell_id: int
    reviewer: str
    at: datetime
    """UTC."""
    label: str | None
    """One of `CELL_TYPES`, `NOT_A_WHITE_CELL`, or None: the model's type stands."""
    comment: str = ""
    action: ReviewAction = "label"
    box_before: Box | None = None
    """None where the box stayed, and for a cell that was added."""
    box: Box | None = None
    """None where the box stayed, and in reviews of earlier versions."""

    @property
    def sentence(self) -> str:
        """What was done, in words."""
        label = label_name(self.label).lower() if self.label else "label withdrawn"
        if self.action == "move":
            return "box moved or resized"
        if self.action == "split":
            return "box split" if self.box_before else "split off another box"
        if self.action == "undo":
            return f"undone, now {label}" if self.label else "undone"
        return label


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed a sample, when (UTC), and the conclusion they signed."""

    reviewer: str
    at: datetime
    conclusion: str = ""


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment on a case."""

    id: int
    author: str
    at: datetime
    """UTC."""
    text: str
    place: Mapping[str, Any] | None = None
    """The view of a slide that it is about, as the page Microscope has it in its address: `slide`,
    `x`, `y`, `zoom` and `turn`, and `plane` in a slide with focal planes; None of a comment on the
    whole case."""


@dataclass(frozen=True, slots=True)
class UnfinishedText:
    """A text that somebody is still writing on a case: it was not signed, nor added."""

    id: int | None
    """None before it was kept."""
    author: str | None
    """None of a user who was removed."""
    text: str
    version: int = 0
    """Grows with every text that is kept; 0 of one that was not."""
    at: datetime | None = None
    """When it was kept (UTC)."""


@dataclass(frozen=True, slots=True)
class PlacedComment:
    """A comment at a place in a slide, and its case."""

    sample_id: int
    comment: Comment


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A sample with everything in it: what pages draw, reports print and exports write."""

    patient: Patient
    sample: Sample
    fields: tuple[SampleField, ...]
    signatures: tuple[Signature, ...] = ()
    """Valid ones; a change voids earlier ones."""
    comments: tuple[Comment, ...] = ()

    @property
    def analyses(self) -> tuple[FieldAnalysis, ...]:
        """The analyses of all fields in the order they were added."""
        return tuple(stored.analysis for stored in self.fields)

    @property
    def conclusion(self) -> str:
        """The signed conclusion; where two people signed different ones, each with its name."""
        texts = {s.conclusion: s.reviewer for s in reversed(self.signatures) if s.conclusion}
        if len(texts) < 2:
            return "".join(texts)
        return "\n".join(f"{name}: {text}" for text, name in reversed(texts.items()))

    def with_neutral_names(self) -> "Case":
        """Return the case with its files named `field 1`, `field 2`, images of one file alike."""
        files = dict.fromkeys(stored.analysis.sha256 for stored in self.fields)
        numbered = {sha256: neutral_name(number) for number, sha256 in enumerate(files, 1)}
        names = {s.analysis.file: numbered[s.analysis.sha256] for s in reversed(self.fields)}
        return replace(
            self, fields=tuple(s.named(numbered[s.analysis.sha256], names) for s in self.fields)
        )


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list, and how long the whole list is."""

    items: tuple[T, ...]
    total: int


@dataclass(frozen=True, slots=True)
class ListedPatient:
    """A line of the list of patients."""

    patient: Patient
    last: Sample | None
    """The sample taken last."""


@dataclass(frozen=True, slots=True)
class PatientWork:
    """What of a patient is still to be done."""

    samples: int
    pending: int
    """Uncertain white cells that need review, in samples that are not signed."""
    possible_blasts: int
    """In all samples, as `CellCounts.possible_blasts`."""
    changed: datetime
    """When the patient or a sample was changed last (UTC)."""


@dataclass(frozen=True, slots=True)
class SampleSummary:
    """A sample with its counts, without its cells."""

    sample: Sample
    fields: int
    type_counts: Mapping[str, int]
    """White cells by type: reviewers' labels first, then what the model classified."""
    uncertain: int
    """White cells excluded from the counts: uncertain and not reviewed."""


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Which white cells the review queue shows."""

    type: str | None = None
    """What the cell counts as: the reviewer's label, else the model's type."""
    lowest: float = 0.0
    """Of the model's confidence."""
    highest: float = 1.0
    patient_id: int | None = None
    sample_id: int | None = None
    reviewer: str | None = None
    """Who labelled the cell last; such cells are not unreviewed, so that is not asked then."""
    unreviewed: bool = True
    """Only cells nobody has reviewed, in cases that are not signed; else all cells."""
    uncertain: bool = False
    """Only cells that the model called uncertain or out of scope."""
    draft_id: int | None = None
    """The draft that was opened: its cells only. Without one no draft's cells are shown."""


@dataclass(frozen=True, slots=True)
class LabelledCell:
    """A stored white cell as it counts now: reviewers' labels first, then the model's."""

    id: int
    """In the database."""
    field_id: int
    name: str
    """For users: `2.14` for field and number in a case, elsewhere `14 of smear.png`."""
    cell: Cell
    micrometres_per_pixel: float | None


@dataclass(frozen=True, slots=True)
class QueuedCell(LabelledCell):
    """A white cell in the review queue."""

    sample: Sample
    patient: Patient


@dataclass(frozen=True, slots=True)
class Link:
    """A link to one case, without its token."""

    id: int
    sample_id: int
    author: str
    expires: datetime
    """UTC."""
    revoked: datetime | None
