"""Crops of single cells for the classifier: found by the detector, cut, balanced, batched."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import cv2
import keras
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from tqdm import tqdm

from core.imaging.crop import crop_cell
from core.inference.analyzer import subject_of_crop, subject_of_field
from core.inference.classifier import CROP_MARGIN
from core.inference.detector import Detector
from core.learning import augment
from core.learning.datasets import Example, open_set
from core.results import Pixels
from core.settings import Settings
from core.taxonomy import ATTRIBUTES, CELL_TYPES, MATURE_FIVE

CONTEXT_SIZE = 176
"""Side in pixels of the cached crops, which hold more of the surroundings than is looked at."""
CONTEXT_MARGIN = 0.55
NOMINAL_SHARE = (1 + 2 * CROP_MARGIN) / (1 + 2 * CONTEXT_MARGIN)
"""Side of the crop the classifier gets in use, as a share of the cached crop's side."""
COPIES_PER_SOURCE = 12
"""Augmented copies of one Kaggle field that are used: more add nothing but time."""
_LABELS = tuple(CELL_TYPES)


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Crops of one domain with type indices and attribute indices (-1 where unknown)."""

    crops: NDArray[np.uint8]
    """n x CONTEXT_SIZE x CONTEXT_SIZE x 3."""
    types: NDArray[np.int64]
    attributes: NDArray[np.int64]
    """n x number of attributes."""

    def __len__(self) -> int:
        return len(self.types)


def _attribute_row(example: Example) -> list[int]:
    return [
        values.index(example.attributes[name]) if name in example.attributes else -1
        for name, values in ATTRIBUTES.items()
    ]


def _context(pixels: Pixels, box: Any) -> Pixels:
    return crop_cell(pixels, box, size=CONTEXT_SIZE, margin=CONTEXT_MARGIN)


def _collect(crops: Sequence[Pixels | None], examples: Sequence[Example]) -> Cells:
    pairs = [(c, e) for c, e in zip(crops, examples, strict=True) if c is not None]
    return Cells(
        np.stack([c for c, _ in pairs]),
        np.array([_LABELS.index(str(e.label)) for _, e in pairs]),
        np.array([_attribute_row(e) for _, e in pairs]),
    )


def pbc_cells(settings: Settings, detector: Detector, *splits: str) -> Cells:
    """Return the PBC cells of the named splits, cut around what the detector found."""
    data = open_set("pbc", settings)
    examples = data.of_split(*splits)

    def cut(example: Example) -> Pixels:
        pixels = data.read(example)
        return _context(pixels, subject_of_crop(pixels, detector))

    with ThreadPoolExecutor(2) as pool:
        crops = list(tqdm(pool.map(cut, examples), total=len(examples), desc="PBC"))
    return _collect(crops, examples)


def kaggle_cells(settings: Settings, detector: Detector) -> tuple[Cells, Cells]:
    """Return training and validation cells of the Kaggle TRAIN fields.

    Fields in which the detector finds no white cell, or several, are left out: their label
    could belong to another cell. Every sixth source field goes to validation, so that no copy
    of a validation field is trained on.
    """
    data = open_set("kaggle", settings)
    by_source: dict[str, list[Example]] = {}
    for example in data.of_split("train"):
        by_source.setdefault(str(example.group), []).append(example)
    examples = [
        replace(example, split="val" if number % 6 == 0 else "train")
        for number, (_, copies) in enumerate(sorted(by_source.items()))
        for example in copies[:COPIES_PER_SOURCE]
    ]

    def cut(example: Example) -> Pixels | None:
        pixels = data.read(example)
        box = subject_of_field(pixels, detector, alone=True)
        return None if box is None else _context(pixels, box)

    with ThreadPoolExecutor(2) as pool:
        crops = list(tqdm(pool.map(cut, examples), total=len(examples), desc="Kaggle"))
    chosen = {
        split: [k for k, e in enumerate(examples) if e.split == split] for split in ("train", "val")
    }
    training, validation = (
        _collect([crops[k] for k in rows], [examples[k] for k in rows]) for rows in chosen.values()
    )
    return training, validation


def made_cells(count: int, first_seed: int = 50_000) -> Cells:
    """Return made cells of the five mature types."""
    from core.imaging.made import make_field

    crops: list[Pixels] = []
    types: list[int] = []
    seed = first_seed
    while len(crops) < count:
        field = make_field(seed, 448, 336, white_cells=MATURE_FIVE[seed % 5 :][:3])
        seed += 1
        for cell in field.cells:
            if cell.kind == "wbc" and cell.type is not None:
                crops.append(_context(field.pixels, cell.box))
                types.append(_LABELS.index(cell.type))
    return Cells(np.stack(crops), np.array(types), np.full((len(types), len(ATTRIBUTES)), -1))


def central_crops(cells: Cells, size: int) -> NDArray[np.uint8]:
    """Return the crops as the classifier gets them in use, n x size x size x 3."""
    side = round(CONTEXT_SIZE * NOMINAL_SHARE)
    start = (CONTEXT_SIZE - side) // 2
    inner = cells.crops[:, start : start + side, start : start + side]
    method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.stack([cv2.resize(crop, (size, size), interpolation=method) for crop in inner])


def _targets(cells: Cells, rows: NDArray[np.int64]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return targets and weights by output; unknown attributes weigh nothing."""
    attributes = cells.attributes[rows]
    known = (attributes >= 0).astype(np.float32)
    targets: dict[str, Any] = {"type": cells.types[rows]}
    weights: dict[str, Any] = {"type": np.ones(len(rows), np.float32)}
    for column, name in enumerate(ATTRIBUTES):
        targets[name] = np.maximum(attributes[:, column], 0)
        weights[name] = known[:, column]
    return targets, weights


class TrainingCells(keras.utils.PyDataset):
    """Endless changed crops, `steps` batches an epoch, types balanced within each domain."""

    def __init__(
        self,
        domains: Sequence[tuple[Cells, float]],
        size: int,
        *,
        batch: int,
        steps: int,
        seed: int,
    ) -> None:
        super().__init__(workers=2, max_queue_size=8)
        self.size, self.batch, self.steps, self.seed = size, batch, steps, seed
        self.cells = Cells(
            np.concatenate([d.crops for d, _ in domains]),
            np.concatenate([d.types for d, _ in domains]),
            np.concatenate([d.attributes for d, _ in domains]),
        )
        chances = []
        for domain, weight in domains:
            # Halfway between the natural shares and equal ones: rare types are seen often
            # enough without being learnt by heart.
            counts = np.bincount(domain.types, minlength=len(_LABELS))
            share = 1 / np.sqrt(np.maximum(counts[domain.types], 1))
            chances.append(weight * share / share.sum())
        self.cumulative = np.cumsum(np.concatenate(chances))
        self.cumulative /= self.cumulative[-1]
        self.epoch = 0

    def __len__(self) -> int:
        return self.steps

    def on_epoch_end(self) -> None:
        """Let the next epoch draw other views."""
        self.epoch += 1

    def _view(self, crop: Pixels, rng: Generator) -> Pixels:
        extent = (NOMINAL_SHARE * 0.8, min(NOMINAL_SHARE * 1.3, 1.0))
        view = augment.random_zoom(crop, self.size, rng, extent)
        strength = augment.STRONG if rng.random() < 0.6 else augment.MILD
        return augment.look(view, rng, strength)

    def __getitem__(self, index: int) -> tuple[Any, Any, Any]:
        rng = np.random.default_rng((self.seed, self.epoch, index))
        rows = np.searchsorted(self.cumulative, rng.random(self.batch))
        pixels = np.stack([self._view(self.cells.crops[row], rng) for row in rows])
        targets, weights = _targets(self.cells, rows)
        return pixels.astype(np.float32), targets, weights


def validation_cells(domains: Sequence[Cells], size: int, batch: int) -> Any:
    """Return unchanged crops of several domains as a Keras data set."""
    joined = Cells(
        np.concatenate([d.crops for d in domains]),
        np.concatenate([d.types for d in domains]),
        np.concatenate([d.attributes for d in domains]),
    )
    pixels = central_crops(joined, size)

    class ValidationCells(keras.utils.PyDataset):
        def __len__(self) -> int:
            return math.ceil(len(joined) / batch)

        def __getitem__(self, index: int) -> tuple[Any, Any, Any]:
            rows = np.arange(len(joined))[index * batch : (index + 1) * batch]
            targets, weights = _targets(joined, rows)
            return pixels[rows].astype(np.float32), targets, weights

    return ValidationCells()
