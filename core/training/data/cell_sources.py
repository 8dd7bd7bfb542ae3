"""The sources of the ten-type classifier: light-corrected crops with what is known of each cell.

A source is a laboratory: its cells share stain, camera and staff. Every image is corrected first,
as in use: the light of fields, the white point of single cells. Then the detector finds the cell
and the crop is cut at the scale that the red cells give.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache, partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tqdm.contrib.concurrent import thread_map

from core.datasets.readers import DataSet, Example, open_set
from core.domain.results import Pixels
from core.domain.taxonomy import ATTRIBUTES, CELL_TYPES
from core.evaluation.calibration import softmax
from core.imaging.illumination import flatten, set_white_point
from core.inference.cell_classifier import Subject, mirrored_mean
from core.inference.detector import Detector
from core.inference.pipeline import subject_of_crop, subject_of_field
from core.inference.runtime import LiteRTEngine
from core.model_card import load_card, read_checked
from core.settings import Settings
from core.training.data.cells import (
    Cells,
    central_crops,
    cut_out,
    shipped_detector,
)
from core.training.data.detection_fields import Labelled, real_fields
from core.training.data.eight_type_sources import kaggle_examples, no_cells, untyped_cells

TYPES: tuple[str, ...] = (*CELL_TYPES, "blast", "smudge_cell")
"""Outputs of the type head, in order."""
SUBTYPES: tuple[str, ...] = (
    "band",
    "segmented",
    "metamyelocyte",
    "myelocyte",
    "promyelocyte",
    "variant_lymphocyte",
    "promonocyte",
    "plasma_cell",
    "giant_platelet",
)
"""Outputs of the subtype head, in order. The first five are those of the eight-type network."""
DETAILS: dict[str, tuple[str, ...]] = ATTRIBUTES | {"subtype": SUBTYPES}
HEADS = {name: len(values) for name, values in DETAILS.items()} | {"white": 2}
"""Outputs of the network beside the type, with their number of values."""
DEEPAPL_FOLDS = ("0", "1", "2", "3", "4")
_CONFIDENT = 0.95
"""Confidence from which on the shipped classifier's answer counts as the type of a cell."""
_NOISY_TYPES = ("eosinophil", "basophil")
"""Types of DeepAPL of which about half look wrong: not learnt until they are corrected."""
_TYPE_WEIGHTS = {"band": 0.4, "plasma_cell": 0.5, "promonocyte": 0.0}
"""Weight of the type of a DeepAPL cell by subtype. About a third of the bands look wrong; a
promonocyte is a monocyte by lineage and counts as a blast, so its type is left open."""


@dataclass(frozen=True, slots=True, eq=False)
class SourceCells:
    """Cells of one source."""

    crops: NDArray[np.uint8]
    """n x s x s x 3 RGB, light corrected: `cell_data.CONTEXT` times the classifier's crop."""
    types: NDArray[np.int64]
    """Index into `TYPES`, or NO_TYPE for what is no white cell."""
    details: NDArray[np.int64]
    """n x len(DETAILS): index of the value, -1 where unknown."""
    weights: NDArray[np.float32]
    """How much the type of a cell is trusted, 0..1."""
    unscaled: NDArray[np.float32]
    """As `cell_data.Cells.unscaled`."""
    members: NDArray[np.str_]
    """Identity of the image inside its set."""
    groups: NDArray[np.str_]
    """Patient or source image: cells of one group must stay on one side of a split."""

    def __len__(self) -> int:
        return len(self.types)

    def chosen(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "SourceCells":
        """Return the cells of some rows: indices, or a truth value for each."""
        return SourceCells(*(getattr(self, f.name)[rows] for f in fields(self)))

    def save(self, folder: Path) -> None:
        """Write one array a file, so that crops are read from disk when they are needed."""
        folder.mkdir(parents=True, exist_ok=True)
        for f in fields(self):
            np.save(folder / f"{f.name}.npy", getattr(self, f.name))

    @classmethod
    def load(cls, folder: Path) -> "SourceCells":
        """Return what `save` wrote; the crops stay on disk."""
        return cls(
            *(
                np.load(folder / f"{f.name}.npy", mmap_mode="r" if f.name == "crops" else None)
                for f in fields(cls)
            )
        )


def sources(settings: Settings, run: Path, names: Sequence[str]) -> dict[str, SourceCells]:
    """Return the cells of the named sources, cut out once and kept in the run folder.

    Names: `pbc_train`, `pbc_val`, `pbc_test`, `kaggle_train`, `kaggle_val`, `deepapl_0` to
    `deepapl_4` (the folds), `lisc`, `cellavision`, `fields` (white cells of TXL-PBC and BCCD,
    typed by the shipped classifier), `negatives`, `negatives_val` (no white cells).
    Raises DataNotFoundError when a set is not on this machine.
    """

    @cache
    def detector() -> Detector:
        return shipped_detector(settings)

    @cache
    def labelled() -> tuple[list[Labelled], list[Labelled]]:
        training, validation = (
            [Labelled(flatten(field.pixels), field.boxes) for field in part]
            for part in real_fields(settings)
        )
        return training, validation

    def single(name: str, split: str) -> SourceCells:
        data = open_set(name, settings)
        choose = partial(subject_of_crop, detector=detector())
        return cells_of(data, data.of_split(split), choose, set_white_point)

    def kaggle(part: Literal["train", "val"]) -> SourceCells:
        data = open_set("kaggle", settings)
        choose = partial(subject_of_field, detector=detector(), alone=True)
        return cells_of(data, kaggle_examples(data, part), choose, flatten)

    makers: dict[str, Callable[[], SourceCells]] = {
        **{f"pbc_{s}": partial(single, "pbc", s) for s in ("train", "val", "test")},
        **{f"deepapl_{k}": partial(single, "deepapl", k) for k in DEEPAPL_FOLDS},
        "lisc": partial(single, "lisc", "test"),
        "cellavision": partial(single, "cellavision", "test"),
        "kaggle_train": partial(kaggle, "train"),
        "kaggle_val": partial(kaggle, "val"),
        # TXL-PBC's 360-px images are PBC's, the test cells among them.
        "fields": lambda: typed_by_shipped(
            untyped_cells([f for f in labelled()[0] if max(f.pixels.shape) > 400]), settings
        ),
        "negatives": lambda: without_details(no_cells(labelled()[0], 2400)),
        "negatives_val": lambda: without_details(no_cells(labelled()[1], 400)),
    }
    found = {}
    for name in names:
        folder = run / name
        if not (folder / "groups.npy").exists():
            makers[name]().save(folder)
        found[name] = SourceCells.load(folder)
    return found


def cells_of(
    data: DataSet,
    examples: Sequence[Example],
    choose: Callable[[Pixels], Subject | None],
    correct: Callable[[Pixels], Pixels],
) -> SourceCells:
    """Return the cells that `choose` finds in corrected images; images without one are left out."""

    def cut(example: Example) -> tuple[Pixels, float] | None:
        pixels = correct(data.read(example))
        subject = choose(pixels)
        if subject is None:
            return None
        found = cut_out(pixels, subject)
        return found.crop, found.unscaled

    cuts = thread_map(cut, examples, max_workers=2, desc=data.name, mininterval=30)
    found = [(c, e) for c, e in zip(cuts, examples, strict=True) if c is not None]
    known = [e for _, e in found]
    return SourceCells(
        crops=np.stack([c[0] for c, _ in found]),
        types=np.array([TYPES.index(str(e.label)) for e in known]),
        details=np.array([_details_of(e) for e in known]),
        weights=np.array([_weight(data.name, e) for e in known], np.float32),
        unscaled=np.array([c[1] for c, _ in found], np.float32),
        members=np.array([e.member for e in known]),
        groups=np.array([str(e.group) for e in known]),
    )


def _details_of(example: Example) -> list[int]:
    known = {**example.attributes, "subtype": example.subtype}
    return [
        values.index(value) if (value := known.get(name)) in values else -1
        for name, values in DETAILS.items()
    ]


def _weight(source: str, example: Example) -> float:
    if source != "deepapl":
        return 1.0
    if example.label in _NOISY_TYPES:
        return 0.0
    return _TYPE_WEIGHTS.get(str(example.subtype), 1.0)


def without_details(cells: Cells) -> SourceCells:
    """Return cells of labelled fields, of which nothing but the type is known."""
    count = len(cells)
    return SourceCells(
        crops=cells.crops,
        types=cells.types,
        details=np.full((count, len(DETAILS)), -1),
        weights=np.ones(count, np.float32),
        unscaled=cells.unscaled,
        members=np.full(count, ""),
        groups=np.full(count, ""),
    )


def typed_by_shipped(cells: Cells, settings: Settings) -> SourceCells:
    """Return the cells whose type the shipped classifier is confident of, under that type.

    Pseudo-labels: Lee 2013, ICML Workshop on Challenges in Representation Learning.
    """
    card = load_card("wbc", settings)
    engine = LiteRTEngine(read_checked(card, settings))
    crops = central_crops(cells, card.input_width)
    logits = np.stack([mirrored_mean(engine, crop)["type"] for crop in crops])
    probabilities = softmax(logits, card.temperature)
    confident = probabilities.max(1) >= _CONFIDENT
    types = probabilities.argmax(1)[confident]
    return without_details(
        Cells(cells.crops[confident], types, cells.details[confident], cells.unscaled[confident])
    )
