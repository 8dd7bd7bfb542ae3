"""The cells of one source as arrays: cut at one physical scale, kept on disk."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from core.domain import taxonomy
from core.domain.results import Pixels
from core.domain.taxonomy import ATTRIBUTES, CELL_TYPES
from core.imaging.crop import crop_square
from core.inference.cell_classifier import CellRegion

TYPES: tuple[str, ...] = tuple(CELL_TYPES)
"""Outputs of the type head, in order."""
NO_SUBTYPE = "none"
SUBTYPES: tuple[str, ...] = (*taxonomy.SUBTYPES, NO_SUBTYPE)
"""Outputs of the subtype head, in order; the last is for ordinary cells of types with variants."""
DETAILS: dict[str, tuple[str, ...]] = ATTRIBUTES | {"subtype": SUBTYPES}
"""What is learnt beside the type, where a set names it: the values in order."""
HEADS = {name: len(values) for name, values in DETAILS.items()} | {"white": 2}
"""Outputs of the network beside the type, with their number of values."""
NO_TYPE = -1
"""Type index of what is no white cell."""
CONTEXT = 1.35
"""Side of the cached crop in sides of the classifier's crop: room to zoom and to move."""
CONTEXT_SIZE = 216
"""Side of the cached crops in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class CellCrop:
    """One cell cut out of its image."""

    pixels: Pixels
    """CONTEXT_SIZE x CONTEXT_SIZE x 3."""
    unscaled: float
    """As `TrainingCells.unscaled`."""


def cut_out(pixels: Pixels, region: CellRegion) -> CellCrop:
    """Cut a cell out with its surroundings."""
    side = region.crop_side * CONTEXT
    without_scale = CellRegion(region.box).crop_side
    crop = crop_square(pixels, region.box, side, CONTEXT_SIZE)
    return CellCrop(crop, min(without_scale / side, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class TrainingCells:
    """Cells of one source: one source, so that stain and camera are shared."""

    crops: NDArray[np.uint8]
    """n x CONTEXT_SIZE x CONTEXT_SIZE x 3 RGB: `CONTEXT` times the classifier's crop."""
    types: NDArray[np.int64]
    """Index into `TYPES`, or NO_TYPE."""
    details: NDArray[np.int64]
    """n x len(DETAILS): index of the value, -1 where unknown."""
    weights: NDArray[np.float32]
    """How much the type of a cell is trusted, 0..1."""
    unscaled: NDArray[np.float32]
    """Side of the crop that the classifier gets when no red cell gives the scale, as a fraction of
    the cached crop's side."""
    members: NDArray[np.str_]
    """Identity of the image inside its set."""
    groups: NDArray[np.str_]
    """Patient or source image: cells of one group must stay on one side of a split."""

    def __len__(self) -> int:
        return len(self.types)

    @classmethod
    def of_crops(cls, crops: Sequence[CellCrop], types: Sequence[int]) -> "TrainingCells":
        """Return cells of which nothing but the type is known."""
        count = len(crops)
        return cls(
            crops=np.stack([crop.pixels for crop in crops]),
            types=np.array(types),
            details=np.full((count, len(DETAILS)), -1),
            weights=np.ones(count, np.float32),
            unscaled=np.array([crop.unscaled for crop in crops], np.float32),
            members=np.full(count, ""),
            groups=np.full(count, ""),
        )

    def chosen(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "TrainingCells":
        """Return the cells of some rows: indices, or a truth value for each."""
        return TrainingCells(*(getattr(self, f.name)[rows] for f in fields(self)))

    def of_types(self, types: Sequence[str]) -> "TrainingCells":
        """Keep the cells of some types."""
        return self.chosen(np.isin(self.types, [TYPES.index(name) for name in types]))

    def save(self, folder: Path) -> None:
        """Write one array a file, so that crops are read from disk when they are needed."""
        folder.mkdir(parents=True, exist_ok=True)
        for f in fields(self):
            np.save(folder / f"{f.name}.npy", getattr(self, f.name))

    @classmethod
    def load(cls, folder: Path) -> "TrainingCells":
        """Return what `save` wrote; the crops stay on disk."""
        return cls(
            *(
                np.load(folder / f"{f.name}.npy", mmap_mode="r" if f.name == "crops" else None)
                for f in fields(cls)
            )
        )


def joined(parts: Sequence[TrainingCells]) -> TrainingCells:
    """Return the cells of several sources in one."""
    return TrainingCells(
        *(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(TrainingCells))
    )


def central_crops(cells: TrainingCells, size: int) -> NDArray[np.uint8]:
    """Return the crops as the classifier gets them in use, n x size x size x 3."""
    side = round(CONTEXT_SIZE / CONTEXT)
    start = (CONTEXT_SIZE - side) // 2
    inner = slice(start, start + side)
    method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    views = np.empty((len(cells), size, size, 3), np.uint8)
    for row, crop in enumerate(cells.crops):
        views[row] = cv2.resize(crop[inner, inner], (size, size), interpolation=method)
    return views
