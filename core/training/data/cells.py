"""Cells for the classifier's training: cut at one physical scale, collected, kept in files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm.contrib.concurrent import thread_map

from core.datasets.readers import DataSet, Example
from core.domain.results import Pixels
from core.domain.taxonomy import ATTRIBUTES, CELL_TYPES, MATURATION
from core.imaging.crop import crop_square
from core.inference.cell_classifier import Subject
from core.inference.detector import Detector
from core.inference.runtime import LiteRTEngine
from core.model_card import load_card, read_checked
from core.settings import Settings

CONTEXT = 1.35
"""Side of the cached crop in sides of the classifier's crop: room to zoom and to move."""
CONTEXT_SIZE = 216
"""Side of the cached crops in pixels."""
NO_TYPE = -1
"""Type index of what is no cell."""
DETAILS: dict[str, tuple[str, ...]] = ATTRIBUTES | {"maturation": MATURATION}
"""What is learnt beside the type, where a set names it: the values in order."""
HEADS = {name: len(values) for name, values in DETAILS.items()} | {"white": 2}
"""Outputs of the network beside the type, with their number of values."""
LABELS = tuple(CELL_TYPES)


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Crops of one domain with what is known of them."""

    crops: NDArray[np.uint8]
    """n x CONTEXT_SIZE x CONTEXT_SIZE x 3."""
    types: NDArray[np.int64]
    """Index into `CELL_TYPES`, or NO_TYPE."""
    details: NDArray[np.int64]
    """n x len(DETAILS): index of the value, -1 where unknown."""
    unscaled: NDArray[np.float32]
    """Side of the crop that the classifier gets when no red cell tells the scale, as a share of
    the cached crop's side."""

    def __len__(self) -> int:
        return len(self.types)

    def chosen(self, rows: NDArray[Any]) -> "Cells":
        """Return the cells of some rows: indices, or a truth value for each."""
        return Cells(self.crops[rows], self.types[rows], self.details[rows], self.unscaled[rows])


def joined(domains: Sequence[Cells]) -> Cells:
    """Return the cells of several domains in one."""
    return Cells(
        np.concatenate([d.crops for d in domains]),
        np.concatenate([d.types for d in domains]),
        np.concatenate([d.details for d in domains]),
        np.concatenate([d.unscaled for d in domains]),
    )


def save_cells(path: Path, cells: Cells) -> None:
    """Keep cut-out cells beside the checkpoints: a resumed run does not search them again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        crops=cells.crops,
        types=cells.types,
        details=cells.details,
        unscaled=cells.unscaled,
    )


def load_cells(path: Path) -> Cells:
    """Return what `save_cells` kept."""
    with np.load(path) as arrays:
        return Cells(arrays["crops"], arrays["types"], arrays["details"], arrays["unscaled"])


def shipped_detector(settings: Settings) -> Detector:
    """Return the detector that finds the cells. Raises ModelError."""
    card = load_card("detector", settings)
    return Detector(LiteRTEngine(read_checked(card, settings)), card)


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """One cell cut out of its picture."""

    crop: Pixels
    """CONTEXT_SIZE x CONTEXT_SIZE x 3."""
    unscaled: float
    """As `Cells.unscaled`."""


def cut_out(pixels: Pixels, subject: Subject) -> Cut:
    """Cut a cell out with its surroundings."""
    side = subject.crop_side * CONTEXT
    without_scale = Subject(subject.box).crop_side
    crop = crop_square(pixels, subject.box, side, CONTEXT_SIZE)
    return Cut(crop, min(without_scale / side, 1.0))


def collected(
    cuts: Sequence[Cut], types: Sequence[int], details: Sequence[Sequence[int]] | None = None
) -> Cells:
    """Return cuts as cells. Without `details` nothing but the types is known."""
    unknown = np.full((len(types), len(DETAILS)), -1)
    return Cells(
        np.stack([cut.crop for cut in cuts]),
        np.array(types),
        unknown if details is None else np.array(details),
        np.array([cut.unscaled for cut in cuts], np.float32),
    )


def _details_of(example: Example) -> list[int]:
    known = {**example.attributes, "maturation": example.subtype}
    return [
        values.index(value) if (value := known.get(name)) in values else -1
        for name, values in DETAILS.items()
    ]


def cells_of(
    data: DataSet, examples: Sequence[Example], choose: Callable[[Pixels], Subject | None]
) -> Cells:
    """Return the cells that `choose` finds in pictures; pictures without one are left out."""

    def cut(example: Example) -> Cut | None:
        pixels = data.read(example)
        subject = choose(pixels)
        return None if subject is None else cut_out(pixels, subject)

    cuts = thread_map(cut, examples, max_workers=2, desc=data.name)
    found = [(c, e) for c, e in zip(cuts, examples, strict=True) if c is not None]
    return collected(
        [c for c, _ in found],
        [LABELS.index(str(e.label)) for _, e in found],
        [_details_of(e) for _, e in found],
    )


def central_crops(cells: Cells, size: int) -> NDArray[np.uint8]:
    """Return the crops as the classifier gets them in use, n x size x size x 3."""
    side = round(CONTEXT_SIZE / CONTEXT)
    start = (CONTEXT_SIZE - side) // 2
    inner = cells.crops[:, start : start + side, start : start + side]
    method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.stack([cv2.resize(crop, (size, size), interpolation=method) for crop in inner])
