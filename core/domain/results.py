"""Results of an analysis: what every drawing, count, table, chart and answer is made from.

Boxes are `(x, y, width, height)` in pixels of the image as uploaded, origin top left,
x to the right, y down. Arrays are row-major: `pixels[y, x, channel]`.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from core.domain.boxes import Box
from core.domain.intervals import Estimate, proportion
from core.domain.taxonomy import (
    CELL_KINDS,
    CELL_TYPES,
    LEUKOCYTES,
    NOT_A_WHITE_CELL,
    CellKind,
    Status,
    label_colour,
    label_name,
)

Pixels = NDArray[np.uint8]


def image_title(file: str, page: int) -> str:
    """Return the name of an image as users see it: the file, and the page after the first."""
    return file if page == 1 else f"{file}, page {page}"


@dataclass(frozen=True, slots=True)
class ImageProperties:
    """Properties of the file, before conversion to 8-bit RGB."""

    format: str
    """Pillow's name of the format, such as `JPEG`; `DICOM`."""
    mode: str
    """Pillow's name of the pixel mode, such as `RGB`, `L`, `CMYK`, `I;16`."""
    bit_depth: int
    """Bits per channel."""
    file_bytes: int
    frames: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class FieldImage:
    """A decoded image of a field or of one cell."""

    name: str
    pixels: Pixels
    """H x W x 3, RGB."""
    sha256: str
    """Of the file as uploaded."""
    properties: ImageProperties
    micrometres_per_pixel: float | None = None
    """From the file's header; None when it has none."""
    page: int = 1
    """Number of the image in a file that holds several, from 1."""
    notes: tuple[str, ...] = ()
    """Warnings from decoding, in sentences, such as doubtful colours."""
    light: NDArray[np.float32] | None = field(default=None, repr=False)
    """Background that the light is corrected by, h x w x 3 in 0..255, covering the whole image;
    None: the image's own. The tiles of a slide share one."""

    def __post_init__(self) -> None:
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if len(shape) != 3 or shape[2] != 3 or dtype != np.uint8:
            raise ValueError(f"pixels must be H x W x 3 uint8, got {shape} {dtype}")

    @property
    def title(self) -> str:
        """File name, with the page where the file holds several images."""
        return image_title(self.name, self.page)

    @property
    def identity(self) -> tuple[str, int]:
        """SHA-256 of the file, and the page."""
        return self.sha256, self.page

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])


@dataclass(frozen=True, slots=True)
class Cell:
    """One found cell. `type` and `probabilities` are set on white cells only."""

    kind: CellKind
    box: Box
    confidence: float
    """White cells: calibrated probability of the model's type; others: the detector's score."""
    status: Status = "classified"
    type: str | None = None
    """What the cell counts as: the reviewer's label when there is one, else the model's."""
    probabilities: Mapping[str, float] | None = None
    """The model's, over all cell types, summing to 1. None on cells that a user added."""
    detection_score: float = 1.0
    suggested: str | None = None
    """The model's type, kept on reviewed cells."""
    suggested_status: Status | None = None
    """The model's status, kept on reviewed cells."""
    reviewer: str | None = None
    """Who labelled the cell last; None when nobody has."""
    attributes: Mapping[str, str] | None = None
    """White cells: the predicted value of every morphological attribute (WBCAtt). None on cells
    that a user added and in old cases."""
    in_distribution: bool | None = None
    """White cells: whether the crop resembles the training images. None on cells that a user added
    and in old cases."""
    subtype: str | None = None
    """Key of `SUBTYPES`, as the model suggests it; None where it is not sure, and on cells that a
    reviewer gave another type."""
    duplicate: bool = False
    """An earlier field shows the same cell, and it is counted there."""
    poor_area: str | None = None
    """White cells of slides: why the part around it is poor, such as `blurred, pale`; None where it
    is not."""
    typed_by: str | None = None
    """Version of the cell classifier that typed it again; None where that of its field did."""

    @property
    def colour(self) -> str:
        """Hex colour of the cell in every drawing."""
        if self.kind == "wbc":
            is_named = self.status != "out_of_scope" or self.counted_as is not None
            return label_colour(self.type if is_named else None)
        return label_colour(self.kind)

    @property
    def counted_as(self) -> str | None:
        """Type that a white cell counts as, duplicates too; None while it is uncertain.

        A smudge cell is out of scope, and counted beside the differential.
        """
        if self.status == "out_of_scope" and self.type == "smudge_cell" and self.reviewer is None:
            return self.type
        return self.type if self.kind == "wbc" and self.status == "classified" else None

    @property
    def likely_subtype(self) -> str | None:
        """The model's subtype where the cell counts as its type; an uncertain cell has none."""
        return self.subtype if self.counted_as is not None else None

    @property
    def type_name(self) -> str:
        """The type in words, with the subtype that is likely."""
        if self.type is None:
            return "Undetermined"
        name, subtype = label_name(self.type), self.likely_subtype
        return f"{name}, likely {label_name(subtype).lower()}" if subtype else name

    @property
    def is_possible_blast(self) -> bool:
        """Whether the likeliest type is a blast, certain or not; or a reviewer named it so."""
        return self.type == "blast" and self.status != "out_of_scope"

    @property
    def is_likely_leukocyte(self) -> bool:
        """Whether the likeliest type is a leukocyte, certain or not.

        A cell that a user added and nobody has named counts as one.
        """
        named = self.type is None or self.type in LEUKOCYTES
        return self.kind == "wbc" and self.status != "out_of_scope" and named

    def reviewed(self, label: str, reviewer: str) -> "Cell":
        """Return the cell as a reviewer named it: one of `CELL_TYPES`, or `NOT_A_WHITE_CELL`.

        Reviewed cells are classified, or out of scope when they are no white cells. A duplicate
        that a reviewer names counts from then on. Raises ValueError for another label, or for a
        cell that is not white.
        """
        if self.kind != "wbc":
            raise ValueError(f"only white cells are reviewed, not a {self.kind}")
        if label != NOT_A_WHITE_CELL and label not in CELL_TYPES:
            raise ValueError(f"{label!r} is no cell type")
        is_first = self.reviewer is None
        suggested = self.type if is_first else self.suggested
        is_white = label != NOT_A_WHITE_CELL
        return replace(
            self,
            status="classified" if is_white else "out_of_scope",
            type=label if is_white else suggested,
            subtype=self.subtype if label == suggested else None,
            suggested=suggested,
            suggested_status=self.status if is_first else self.suggested_status,
            reviewer=reviewer,
            duplicate=False,
        )


@dataclass(frozen=True, slots=True)
class Scale:
    """Micrometres per pixel and where they came from."""

    micrometres_per_pixel: float
    source: str
    """`file` or `red cells`."""


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """What of a field is compared with others (`core.imaging.duplicates`).

    Lengths are in red-cell diameters, origin top left.
    """

    pixels_sha256: str
    """Of the decoded pixels, whatever the file."""
    hash: int
    """Perceptual hash (pHash), 64 bits."""
    small: Pixels
    """h x w, grey, at `PIXELS_A_RED_CELL` pixels per red cell."""
    centres: NDArray[np.float64]
    """n x 2 (x, y), of all cells in scope."""
    diameters: NDArray[np.float64]
    kinds: tuple[str, ...]
    numbers: tuple[int, ...]
    """Their indices in the cells of the analysis."""
    rings: NDArray[np.complex64]
    """3 x white cells x rings x frequencies: Fourier series over the angle of the image around each
    white cell, of its square, and of where it lies inside the field."""

    @property
    def white(self) -> list[int]:
        """Indices of the white cells in `centres`."""
        return [i for i, kind in enumerate(self.kinds) if kind == "wbc"]


@dataclass(frozen=True, slots=True)
class PossibleBlasts:
    """Possible blasts among the leukocytes of one or several fields."""

    count: int
    """Blasts, and uncertain cells that are likeliest to be blasts."""
    uncertain: int
    """Those of them that are uncertain."""
    white_cells: int
    """Leukocytes, and uncertain cells that are likeliest to be leukocytes."""

    def __add__(self, other: "PossibleBlasts") -> "PossibleBlasts":
        """Return the blasts of two groups of fields."""
        return PossibleBlasts(
            self.count + other.count,
            self.uncertain + other.uncertain,
            self.white_cells + other.white_cells,
        )

    @property
    def percent(self) -> Estimate:
        """Their percentage of the leukocytes, with its exact 95 % interval."""
        return proportion(self.count, self.white_cells, per=100)


@dataclass(slots=True)
class CellCounts:
    """Cells of one or several fields, each counted once.

    Only this class decides which cells count: a duplicate counts in the field that shows it first,
    and what is out of scope counts nowhere, but for smudge cells.
    """

    kinds: dict[CellKind, int] = field(default_factory=lambda: dict.fromkeys(CELL_KINDS, 0))
    types: Counter[str] = field(default_factory=Counter)
    """White cells by the type that they count as."""
    subtypes: Counter[str] = field(default_factory=Counter)
    """Of these, those whose subtype is known."""
    uncertain: int = 0
    """White cells without a type."""
    possible_blasts: int = 0
    """Blasts, and uncertain cells that are likeliest to be blasts."""
    likely_leukocytes: int = 0
    """Leukocytes, and uncertain cells that are likeliest to be leukocytes."""
    duplicates: Counter[CellKind] = field(default_factory=Counter)
    """Cells that an earlier field shows."""
    out_of_distribution: int = 0
    """White cells unlike the training images, whatever their status."""

    @property
    def blasts(self) -> PossibleBlasts:
        """The possible blasts, of the leukocytes."""
        uncertain = self.possible_blasts - self.types["blast"]
        return PossibleBlasts(self.possible_blasts, uncertain, self.likely_leukocytes)

    def add(self, cells: Iterable[Cell]) -> Self:
        """Count the cells of another field too."""
        for cell in cells:
            self.out_of_distribution += cell.kind == "wbc" and cell.in_distribution is False
            if cell.duplicate:
                self.duplicates[cell.kind] += 1
                continue
            if cell.status != "out_of_scope":
                self.kinds[cell.kind] += 1
            self.uncertain += cell.kind == "wbc" and cell.status == "uncertain"
            self.possible_blasts += cell.is_possible_blast
            self.likely_leukocytes += cell.is_likely_leukocyte
            if cell.counted_as is not None:
                self.types[cell.counted_as] += 1
                if cell.subtype is not None:
                    self.subtypes[cell.subtype] += 1
        return self


@dataclass(frozen=True, slots=True)
class FieldAnalysis:
    """Everything found in one image. Cells are numbered from 1 in their order here."""

    file: str
    sha256: str
    width: int
    height: int
    properties: ImageProperties
    cells: tuple[Cell, ...]
    scale: Scale | None = None
    reject_reason: str | None = None
    """Why quality control rejected the image, in one sentence; None when it was analysed."""
    qc_override: str | None = None
    """The reject reason that a user overrode, when the image was analysed with `force`."""
    profile: str | None = None
    """Name and version of the site profile that the white cells were typed with."""
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    """Sentences to show beside the result, such as a doubtful scale."""
    page: int = 1
    """Number of the image in its file, from 1."""
    fingerprint: Fingerprint | None = field(default=None, repr=False, compare=False)
    """For finding duplicates; None on rejected and on stored fields."""

    @property
    def title(self) -> str:
        """File name, with the page where the file holds several images."""
        return image_title(self.file, self.page)

    @property
    def identity(self) -> tuple[str, int]:
        """SHA-256 of the file, and the page."""
        return self.sha256, self.page

    @property
    def alone(self) -> "FieldAnalysis":
        """The field without duplicates, as if it were the only one."""
        cells = tuple(replace(c, duplicate=False) if c.duplicate else c for c in self.cells)
        return replace(self, cells=cells)

    @property
    def counts(self) -> "CellCounts":
        """Its cells, counted."""
        return CellCounts().add(self.cells)

    def white_cells(self) -> tuple[tuple[int, Cell], ...]:
        """White cells with their number in the image (from 1)."""
        return tuple((i, c) for i, c in enumerate(self.cells, 1) if c.kind == "wbc")


def override_sentence(reason: str) -> str:
    """Return how exports mark an image that a user had analysed against quality control."""
    return f"Analysed against quality control: {reason}"


@dataclass(frozen=True, slots=True)
class CropResult:
    """The result for a file that is one cell crop."""

    file: str
    type: str | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    confidence: float = 0.0
    status: Status = "out_of_scope"
    reject_reason: str | None = None
    subtype: str | None = None
    """As `Cell.subtype`."""
    in_distribution: bool | None = None
    """As `Cell.in_distribution`; None on a rejected image."""
    warnings: tuple[str, ...] = ()
    """As `FieldAnalysis.warnings`."""
    page: int = 1

    @property
    def title(self) -> str:
        """File name, with the page where the file holds several images."""
        return image_title(self.file, self.page)


@dataclass(frozen=True, slots=True, eq=False)
class StageResult:
    """The result of the ALL model for one field, or pooled over several."""

    file: str
    stage: str | None = None
    """None where no class can be named: the field was rejected, or is unlike those of the training
    set."""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    confidence: float = 0.0
    status: Status = "out_of_scope"
    reject_reason: str | None = None
    qc_override: str | None = None
    """As `FieldAnalysis.qc_override`."""
    cam: NDArray[np.float32] | None = field(default=None, repr=False)
    """Class activation map of the stage, h x w in 0..1, covering the whole image."""
    warnings: tuple[str, ...] = ()
    """As `FieldAnalysis.warnings`."""
    page: int = 1
    pixels_sha256: str | None = None
    """Of the decoded pixels, the same whatever file they came in; None on rejected, pooled and
    stored answers."""
    blasts: PossibleBlasts | None = None
    """Counted where no class is suggested; None on classified, rejected and stored answers."""
    analysis: FieldAnalysis | None = field(default=None, repr=False)
    """The cells behind `blasts`, for drawing."""

    @property
    def title(self) -> str:
        """File name, with the page where the file holds several images."""
        return image_title(self.file, self.page)


def neutral_name(number: int) -> str:
    """Return a neutral file name: file names often hold identifiers of patients."""
    return f"field {number}"


def quoted(title: str) -> str:
    """Return the title of an image in quotes, where `without_names` finds it."""
    return f"“{title.replace('”', '')}”"


def without_names(sentences: Iterable[str], names: Mapping[str, str]) -> tuple[str, ...]:
    """Replace the quoted titles in sentences, by file name.

    A title of a file that is not in `names` becomes `another field`.
    """

    def renamed(found: re.Match[str]) -> str:
        for file in sorted(names, key=len, reverse=True):
            if found[1].startswith(file):
                return names[file] + found[1].removeprefix(file)
        return "another field"

    return tuple(re.sub("“([^”]*)”", renamed, sentence) for sentence in sentences)


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A file that could not be analysed, and why, in one sentence."""

    file: str
    error: str
