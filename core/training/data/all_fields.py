"""ALL fields for training and measuring: decoded, corner painted, stain changed."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from core.datasets.readers import Example, open_set
from core.domain.results import Pixels
from core.domain.taxonomy import STAGES
from core.inference.field_classifier import stage_input, tta_views, without_corner
from core.inference.runtime import Engine, mean_outputs
from core.settings import Settings
from core.training.augmentation import appearance

FOLDS = ("0", "1", "2", "3", "4")
"""Of Taleqani by likely patient, of DeepAPL by patient."""
FOLD_HEADS = "folds.npz"
"""Beside the model: kernel and bias of the head that was fitted without each fold."""
_LABELS = tuple(STAGES)


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """Decoded ALL fields with painted corner."""

    examples: tuple[Example, ...]
    pixels: NDArray[np.uint8]
    """n x 224 x 224 x 3."""
    stages: NDArray[np.int64]
    """n indices into `STAGES`."""

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


def of_fold(fields: Fields, fold: str) -> NDArray[np.bool_]:
    """Say which fields belong to a fold."""
    return np.array([e.split == fold for e in fields.examples])


def held_out_logits(
    engine: Engine, size: int, settings: Settings, *, views: int = 8
) -> Callable[[Pixels, str], NDArray[np.float32]]:
    """Return what gives the logits of a field of a fold, by the head that did not see the fold.

    The trunk behind the heads is the engine's, for size x size pixels; `views` of the eight views
    are averaged.
    """
    with np.load(settings.models / "all_stage" / FOLD_HEADS) as arrays:
        heads = {fold: (arrays[f"{fold}/kernel"], arrays[f"{fold}/bias"]) for fold in FOLDS}

    def logits(pixels: Pixels, fold: str) -> NDArray[np.float32]:
        kernel, bias = heads[fold]
        shown = tta_views(stage_input(pixels, size))[:views]
        return mean_outputs(engine, shown)["features"] @ kernel + bias

    return logits


def another_stain(pixels: Pixels, rng: Generator, strength: float) -> Pixels:
    """Return a field as another stain and camera may show it."""
    return appearance.camera(appearance.stain(pixels, rng, strength), rng, strength)


def seen_at(pixels: Pixels, share: float) -> Pixels:
    """Return a field as another magnification shows it: `share` times as much to a side.

    Below 1 its middle; above 1 what would be seen around it is its own mirror image.
    """
    side = pixels.shape[0]
    if share < 1:
        kept = round(side * share)
        edge = (side - kept) // 2
        return np.ascontiguousarray(pixels[edge : edge + kept, edge : edge + kept])
    around = round(side * (share - 1) / 2)
    border = (around, around, around, around)
    return np.asarray(cv2.copyMakeBorder(pixels, *border, cv2.BORDER_REFLECT_101), np.uint8)


def other_statistics(fields: Fields, number: int, rng: Generator) -> list[NDArray[np.float32]]:
    """Return the colour statistics of a random field of each class that a field does not have.

    The fields are of the same fold, so that no fold is trained on another one.
    """
    own = fields.examples[number]
    statistics = []
    for stage in range(len(_LABELS)):
        if stage != fields.stages[number]:
            rows = np.nonzero(of_fold(fields, own.split) & (fields.stages == stage))[0]
            statistics.append(appearance.colour_statistics(fields.pixels[int(rng.choice(rows))]))
    return statistics


def stain_jittered(fields: Fields, rows: NDArray[np.int64]) -> list[Pixels]:
    """Return some fields with another stain and camera each, the same ones in every run."""
    return [
        another_stain(fields.pixels[row], np.random.default_rng((7, int(row))), 0.7) for row in rows
    ]


def stain_swapped(fields: Fields, rows: NDArray[np.int64]) -> list[Pixels]:
    """Return some fields with the mean colour statistics of another class, the classes in turn."""
    statistics = np.stack([appearance.colour_statistics(pixels) for pixels in fields.pixels])
    count = len(_LABELS)
    means = [statistics[fields.stages == stage].mean(0) for stage in range(count)]
    other = (fields.stages + 1 + np.arange(len(fields)) % (count - 1)) % count
    return [appearance.transfer_stain(fields.pixels[row], means[other[row]]) for row in rows]
