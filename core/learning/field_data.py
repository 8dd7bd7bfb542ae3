"""ALL fields as training pictures: corner painted, changed in look and scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from core.inference.stage import stage_input, without_corner
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

    def subset(self, rows: NDArray[np.bool_]) -> "Fields":
        """Return the chosen fields."""
        chosen = tuple(e for e, keep in zip(self.examples, rows, strict=True) if keep)
        return Fields(chosen, self.pixels[rows], self.stages[rows])

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


class TrainingFieldsOfStages(keras.utils.PyDataset):
    """Every field once an epoch in a new look, rare classes as often as frequent ones."""

    def __init__(self, fields: Fields, size: int, *, batch: int, seed: int) -> None:
        super().__init__(workers=2, max_queue_size=8)
        self.fields, self.size, self.batch, self.seed = fields, size, batch, seed
        counts = np.bincount(fields.stages, minlength=len(_LABELS))
        self.chances = 1 / np.maximum(counts[fields.stages], 1)
        self.chances /= self.chances.sum()
        self.epoch = 0

    def __len__(self) -> int:
        return math.ceil(len(self.fields) / self.batch)

    def on_epoch_end(self) -> None:
        """Let the next epoch draw other views."""
        self.epoch += 1

    def view(self, pixels: Pixels, rng: Generator) -> Pixels:
        """Return a field turned, scaled and a little changed in look.

        Stain tone is part of what tells the classes of this set apart: stronger changes cost
        more at home than they win.
        """
        turned = augment.random_zoom(pixels, self.size, rng, (0.8, 1.1), shift=0.1)
        return augment.look(turned, rng, augment.MILD)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        rng = np.random.default_rng((self.seed, self.epoch, index))
        rows = rng.choice(len(self.fields), self.batch, p=self.chances)
        pixels = np.stack([self.view(self.fields.pixels[row], rng) for row in rows])
        return pixels.astype(np.float32), self.fields.stages[rows]


def unchanged(fields: Fields, size: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return fields as the network gets them in use, and their class indices."""
    pixels = np.stack([stage_input(p, size) for p in fields.pixels])
    return pixels.astype(np.float32), fields.stages


def stain_jittered(pixels: Sequence[Pixels], seed: int = 7) -> list[Pixels]:
    """Return fields with another stain and camera each, the same ones in every run."""
    changed = []
    for number, field in enumerate(pixels):
        rng = np.random.default_rng((seed, number))
        changed.append(augment.camera(augment.stain(field, rng, 0.7), rng, 0.7))
    return changed
