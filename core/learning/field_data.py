"""ALL fields for training and measuring: decoded, corner painted, stain changed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.inference.stage import without_corner
from core.learning import augment
from core.learning.datasets import Example, open_set
from core.results import Pixels
from core.settings import Settings
from core.taxonomy import STAGES

FOLDS = ("0", "1", "2", "3", "4")
_LABELS = tuple(STAGES)


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """Decoded ALL fields with painted corner."""

    examples: tuple[Example, ...]
    pixels: NDArray[np.uint8]
    """n x 224 x 224 x 3."""
    stages: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.stages)


def all_fields(settings: Settings) -> Fields:
    """Return the Taleqani fields."""
    data = open_set("taleqani", settings)
    return Fields(
        data.examples,
        np.stack([without_corner(data.read(e)) for e in data.examples]),
        np.array([_LABELS.index(str(e.label)) for e in data.examples]),
    )


def of_folds(fields: Fields, *folds: str) -> NDArray[np.bool_]:
    """Say which fields belong to the named folds."""
    return np.array([e.split in folds for e in fields.examples])


def stain_jittered(pixels: Sequence[Pixels], seed: int = 7) -> list[Pixels]:
    """Return fields with another stain and camera each, the same ones in every run."""
    changed = []
    for number, field in enumerate(pixels):
        rng = np.random.default_rng((seed, number))
        changed.append(augment.camera(augment.stain(field, rng, 0.7), rng, 0.7))
    return changed
