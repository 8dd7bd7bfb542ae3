"""Batches of changed cell crops for the classifier's training."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from core.domain.results import Pixels
from core.domain.taxonomy import CELL_TYPES
from core.inference.cell_classifier import ASSUMED_CELL_MICROMETRES, CROP_MICROMETRES
from core.training.augmentation import appearance
from core.training.augmentation.cytoplasm import redraw_cytoplasm
from core.training.data.cells import CONTEXT, DETAILS, NO_TYPE, Cells, central_crops, joined

_UNSCALED_SHARE = 0.25
"""Views cut as if nothing told the scale."""
_CELL_SHARE = ASSUMED_CELL_MICROMETRES / CROP_MICROMETRES
"""A cell's longer side as a share of the crop that is cut without a scale."""
_CUT_SHARE = 0.12
"""Views of cells that an edge of the picture cuts."""
REDRAWN = 0.35
"""Share of lymphocytes and monocytes that get drawn cytoplasm where a recipe has it."""
_MONONUCLEAR = [list(CELL_TYPES).index(key) for key in ("lymphocyte", "monocyte")]


def targets(cells: Cells, rows: NDArray[np.int64]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return targets and weights by output; what is unknown weighs nothing."""
    types = cells.types[rows]
    is_cell = types != NO_TYPE
    wanted: dict[str, Any] = {"type": np.maximum(types, 0), "white": is_cell.astype(np.int64)}
    weights: dict[str, Any] = {
        "type": is_cell.astype(np.float32),
        "white": np.ones(len(rows), np.float32),
    }
    for column, name in enumerate(DETAILS):
        values = cells.details[rows, column]
        wanted[name] = np.maximum(values, 0)
        weights[name] = (values >= 0).astype(np.float32)
    return wanted, weights


class TrainingCells(keras.utils.PyDataset):
    """Endless changed crops, `steps` batches an epoch, types balanced within each domain.

    `domains` are cells with the share they get; `tones` (n x 2 x 3) how cells of other
    laboratories are coloured; `strong` and `restained` the shares of views that are strongly
    changed in look and that get one of the tones; `cut` the share that an edge of the picture
    cuts; `redrawn` the share of lymphocytes and monocytes whose cytoplasm is drawn, of which only
    the type is learnt. Without `looks` stain, camera and sharpness stay as they are.
    """

    def __init__(  # noqa: PLR0913 - all of it describes one stream of batches
        self,
        domains: Sequence[tuple[Cells, float]],
        tones: NDArray[np.float32],
        size: int,
        *,
        batch: int,
        steps: int,
        seed: int,
        strong: float = 0.6,
        restained: float = 0.35,
        redrawn: float = 0.0,
        cut: float = _CUT_SHARE,
        looks: bool = True,
    ) -> None:
        super().__init__(workers=2, max_queue_size=8)
        self.strong, self.restained, self.redrawn = strong, restained, redrawn
        self.cut, self.looks = cut, looks
        self.tones, self.size = tones, size
        self.batch, self.steps, self.seed = batch, steps, seed
        self.cells = joined([d for d, _ in domains])
        chances = []
        for domain, weight in domains:
            # Halfway between the natural shares and equal ones: rare types are seen often
            # enough without being learnt by heart.
            counts = np.bincount(domain.types - NO_TYPE, minlength=len(CELL_TYPES) + 1)
            share = 1 / np.sqrt(np.maximum(counts[domain.types - NO_TYPE], 1))
            chances.append(weight * share / share.sum())
        self.cumulative = np.cumsum(np.concatenate(chances))
        self.cumulative /= self.cumulative[-1]
        self.epoch = 0

    def __len__(self) -> int:
        return self.steps

    def on_epoch_end(self) -> None:
        """Let the next epoch draw other views."""
        self.epoch += 1

    def _cell(self, row: int, rng: Generator) -> tuple[Pixels, bool]:
        """Return a cached crop, perhaps changed, and whether its cytoplasm was drawn."""
        crop, kind = self.cells.crops[row], self.cells.types[row]
        cell_share = float(self.cells.unscaled[row]) * _CELL_SHARE
        if kind != NO_TYPE and rng.random() < self.cut:
            return appearance.cut_off(crop, cell_share, rng), False
        if kind in _MONONUCLEAR and rng.random() < self.redrawn:
            drawn = redraw_cytoplasm(crop, cell_share, rng)
            if drawn is not None:
                return drawn, True
        return crop, False

    def _view(self, row: int, rng: Generator) -> tuple[Pixels, bool]:
        scaled = 1 / CONTEXT
        share = float(self.cells.unscaled[row]) if rng.random() < _UNSCALED_SHARE else scaled
        extent = (min(share * 0.82, 0.95), min(share * 1.25, 1.0))
        crop, drawn = self._cell(row, rng)
        view = appearance.random_zoom(crop, self.size, rng, extent)
        if rng.random() < self.restained:
            other = self.tones[int(rng.integers(len(self.tones)))]
            view = appearance.restain(view, other, rng.uniform(0.4, 1.0))
        if not self.looks:
            return view, drawn
        strength = appearance.STRONG if rng.random() < self.strong else appearance.MILD
        return appearance.look(view, rng, strength), drawn

    def __getitem__(self, index: int) -> tuple[Any, Any, Any]:
        rng = np.random.default_rng((self.seed, self.epoch, index))
        rows = np.searchsorted(self.cumulative, rng.random(self.batch))
        views, drawn = zip(*[self._view(int(row), rng) for row in rows], strict=True)
        wanted, weights = targets(self.cells, rows)
        for name in DETAILS:
            weights[name][list(drawn)] = 0
        return np.stack(views).astype(np.float32), wanted, weights


def validation_cells(cells: Cells, size: int, batch: int) -> Any:
    """Return unchanged crops as a Keras data set."""
    pixels = central_crops(cells, size)

    class ValidationCells(keras.utils.PyDataset):
        def __len__(self) -> int:
            return math.ceil(len(cells) / batch)

        def __getitem__(self, index: int) -> tuple[Any, Any, Any]:
            rows = np.arange(len(cells))[index * batch : (index + 1) * batch]
            wanted, weights = targets(cells, rows)
            return pixels[rows].astype(np.float32), wanted, weights

    return ValidationCells()
