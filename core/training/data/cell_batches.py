"""Batches of augmented cell crops for the classifier's training."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from core.domain.results import Pixels
from core.inference.cell_classifier import ASSUMED_CELL_MICROMETRES, CROP_MICROMETRES
from core.training.augmentation import appearance
from core.training.data.cells import (
    CONTEXT,
    DETAILS,
    NO_TYPE,
    TYPES,
    TrainingCells,
    central_crops,
)

LABEL_SMOOTHING = 0.05
_CELL_SHARE = ASSUMED_CELL_MICROMETRES / CROP_MICROMETRES
"""A cell's longer side as a fraction of the crop that is cut without a scale."""
_STATISTICS_A_SOURCE = 200
"""Cells of each source whose colour statistics are transferred to others."""
_COLOURLESS = appearance.Strength(stain=0.0)


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The proportions of views that are changed in each way."""

    unscaled: float = 0.25
    """Cut as if the scale were unknown."""
    truncated: float = 0.10
    """Of the cells, those that an edge of the image cuts."""
    stain_transfer: float = 0.4
    """With the colour statistics of a cell of any source."""
    grey: float = 0.2
    """Without colour."""
    mixed_channels: float = 0.33
    """With mixed colour channels."""
    strong: float = 0.7
    """Of the views in colour, those with a strongly changed appearance."""
    cheap_camera: float = 0.3
    """As a cheap camera takes them."""
    low_resolution: float = 0.15
    """With few pixels a cell, as a field of low magnification shows it."""
    appearance: bool = True
    """False: colour, light and sharpness stay as they are."""

    def change(self, pixels: Pixels, rng: Generator) -> Pixels:
        """Return a view with another appearance: colour, light, camera, sharpness."""
        if not self.appearance:
            return pixels
        drawn = rng.random()
        if drawn < self.grey:
            grey = appearance.grey(pixels, rng)
            pixels = appearance.augment_appearance(grey, rng, _COLOURLESS)
        elif drawn < self.grey + self.mixed_channels:
            mixed = appearance.mix_channels(pixels, rng)
            pixels = appearance.augment_appearance(mixed, rng, _COLOURLESS)
        else:
            strong = rng.random() < self.strong
            strength = appearance.STRONG if strong else appearance.MILD
            pixels = appearance.augment_appearance(pixels, rng, strength)
        if rng.random() < self.cheap_camera:
            pixels = appearance.cheap_camera(pixels, rng)
        if rng.random() < self.low_resolution:
            pixels = appearance.reduce_resolution(pixels, rng.uniform(0.3, 0.6))
        return pixels


def targets(cells: TrainingCells, rows: NDArray[np.int64]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return targets and weights by output; what is unknown weighs nothing.

    `type` is n x len(TYPES), smoothed; the others are indices.
    """
    types, details = cells.types[rows], cells.details[rows]
    is_cell = types != NO_TYPE
    one_hot = np.eye(len(TYPES), dtype=np.float32)[np.maximum(types, 0)]
    wanted: dict[str, Any] = {
        "type": one_hot * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / len(TYPES),
        "white": is_cell.astype(np.int64),
    }
    weights: dict[str, Any] = {
        "type": cells.weights[rows] * is_cell,
        "white": np.ones(len(rows), np.float32),
    }
    for column, name in enumerate(DETAILS):
        wanted[name] = np.maximum(details[:, column], 0)
        weights[name] = (details[:, column] >= 0).astype(np.float32)
    return wanted, weights


class CellBatches(keras.utils.PyDataset):
    """Endless augmented views, `steps` batches an epoch, of sources with their shares.

    Within a source types are balanced by square root: halfway between the natural shares and
    equal ones. Each view can get the colour statistics of a cell of any of the sources.
    """

    def __init__(  # noqa: PLR0913 - all of it describes one stream of batches
        self,
        sources: Sequence[tuple[TrainingCells, float]],
        *,
        size: int,
        batch: int,
        steps: int,
        seed: int,
        augmentation: Augmentation = Augmentation(),
    ) -> None:
        super().__init__(workers=2, max_queue_size=8)
        self.sources, self.size = [cells for cells, _ in sources], size
        self.batch, self.steps, self.seed, self.epoch = batch, steps, seed, 0
        self.augmentation = augmentation
        self.shares = np.array([share for _, share in sources])
        self.shares /= self.shares.sum()
        self.chances = [_balanced(cells) for cells in self.sources]
        rng = np.random.default_rng(seed)
        self.statistics = [
            np.stack(
                [
                    appearance.colour_statistics(cells.crops[k])
                    for k in rng.choice(len(cells), _STATISTICS_A_SOURCE)
                ]
            )
            for cells in self.sources
        ]

    def __len__(self) -> int:
        return self.steps

    def on_epoch_end(self) -> None:
        """Draw other views in the next epoch."""
        self.epoch += 1

    def _view(self, cells: TrainingCells, row: int, rng: Generator) -> Pixels:
        crop, unscaled = np.asarray(cells.crops[row]), float(cells.unscaled[row])
        way = self.augmentation
        if cells.types[row] != NO_TYPE and rng.random() < way.truncated:
            crop = appearance.truncate_edge(crop, unscaled * _CELL_SHARE, rng)
        share = unscaled if rng.random() < way.unscaled else 1 / CONTEXT
        extent = (min(share * 0.80, 0.95), min(share * 1.25, 1.0))
        view = appearance.random_zoom(crop, self.size, rng, extent)
        if rng.random() < way.stain_transfer:
            statistics = self.statistics[int(rng.integers(len(self.statistics)))]
            other = statistics[int(rng.integers(len(statistics)))]
            view = appearance.transfer_stain(view, other, rng.uniform(0.4, 1.0))
        return way.change(view, rng)

    def __getitem__(self, index: int) -> tuple[Any, Any, Any]:
        rng = np.random.default_rng((self.seed, self.epoch, index))
        drawn = rng.choice(len(self.sources), self.batch, p=self.shares)
        views, parts = [], []
        for source in np.unique(drawn):
            cells = self.sources[source]
            count = int((drawn == source).sum())
            rows = np.searchsorted(self.chances[source], rng.random(count))
            views += [self._view(cells, int(row), rng) for row in rows]
            parts.append(targets(cells, rows))
        wanted, weights = _concatenated(parts)
        return np.stack(views).astype(np.float32), wanted, weights


def _balanced(cells: TrainingCells) -> NDArray[np.float64]:
    """Return cumulative chances of the cells of one source."""
    counts = np.bincount(cells.types - NO_TYPE, minlength=len(TYPES) + 1)
    chances = 1 / np.sqrt(counts[cells.types - NO_TYPE])
    # A cell whose type is not learnt serves its subtype alone.
    chances *= np.where(cells.weights > 0, 1.0, 0.3 * (cells.details[:, -1] >= 0))
    cumulative = np.cumsum(chances)
    return np.asarray(cumulative / cumulative[-1])


def _concatenated(
    parts: Sequence[tuple[dict[str, Any], dict[str, Any]]],
) -> tuple[dict[str, Any], dict[str, Any]]:
    wanted, weights = (
        {name: np.concatenate([part[k][name] for part in parts]) for name in parts[0][k]}
        for k in (0, 1)
    )
    return wanted, weights


class ValidationBatches(keras.utils.PyDataset):
    """Cells as they are, cut as in use."""

    def __init__(self, sources: Sequence[TrainingCells], size: int, batch: int) -> None:
        super().__init__()
        self.views = np.concatenate([central_crops(cells, size) for cells in sources])
        self.wanted, self.weights = _concatenated(
            [targets(cells, np.arange(len(cells))) for cells in sources]
        )
        self.batch = batch

    def __len__(self) -> int:
        return math.ceil(len(self.views) / self.batch)

    def __getitem__(self, index: int) -> tuple[Any, Any, Any]:
        rows = slice(index * self.batch, (index + 1) * self.batch)
        wanted, weights = (
            {name: values[rows] for name, values in part.items()}
            for part in (self.wanted, self.weights)
        )
        return self.views[rows].astype(np.float32), wanted, weights
