"""Training of the ten-type classifier: types, subtypes, attributes, and what is no white cell.

It goes on from the shipped eight-type network. `python -m core.training.recipes.ten_types --help`
shows how a run is started; `evaluate_ten_types` measures its checkpoints.
"""

import argparse
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from core.domain.results import Pixels
from core.domain.taxonomy import CELL_TYPES, MATURATION
from core.inference.cell_classifier import ASSUMED_CELL_MICROMETRES, CROP_MICROMETRES
from core.settings import Settings, get_settings
from core.training.augmentation import appearance
from core.training.data.cell_sources import (
    DEEPAPL_FOLDS,
    DETAILS,
    HEADS,
    SUBTYPES,
    TYPES,
    SourceCells,
    sources,
)
from core.training.data.cells import CONTEXT, CONTEXT_SIZE, NO_TYPE
from core.training.export import load_weights, save_weights, shipped_network
from core.training.loop import Phase, Plan, fit
from core.training.networks.mobilenet import wbc_network

SIZE = 128
BATCH = 32
STEPS = 250
LEARNING_RATE = 5e-4
FIRST_TRAINED = "block_3_expand"
SHARES = {
    "pbc": 0.36,
    "deepapl": 0.34,
    "kaggle": 0.13,
    "lisc": 0.06,
    "fields": 0.08,
    "negatives": 0.09,
}
"""Share of the views that each source gets; those of absent sources go to the others."""
HELD_OUT_FOLD = "4"
"""Fold of DeepAPL that no run of this recipe learns from."""
_LABEL_SMOOTHING = 0.05
_LOSS_WEIGHTS = dict.fromkeys(DETAILS, 0.06) | {"type": 1.0, "subtype": 0.15, "white": 0.2}
_UNSCALED_SHARE = 0.25
"""Views cut as if nothing told the scale."""
_CELL_SHARE = ASSUMED_CELL_MICROMETRES / CROP_MICROMETRES
_CUT_SHARE = 0.10
"""Views of cells that an edge of the image cuts."""
_TRANSFER_SHARE = 0.4
"""Views that get the colour statistics of a cell of another source."""
_GREY_SHARE, _MIXED_SHARE = 0.2, 0.33
"""Views without colour, and views with mixed colour channels."""
_STRONG_SHARE = 0.7
"""Of the views in colour, those that are changed strongly."""
_CHEAP_SHARE = 0.3
"""Views as a cheap camera takes them."""
_VALIDATION_EVERY = 4
"""Of the validation cells every fourth is looked at after each epoch."""
_COLOURLESS = appearance.Strength(stain=0.0)
_LOG = logging.getLogger(__name__)


def change(pixels: Pixels, rng: Generator) -> Pixels:
    """Return a view with another appearance: colour, light, camera, sharpness."""
    drawn = rng.random()
    if drawn < _GREY_SHARE:
        pixels = appearance.look(appearance.grey(pixels, rng), rng, _COLOURLESS)
    elif drawn < _GREY_SHARE + _MIXED_SHARE:
        pixels = appearance.look(appearance.mix_channels(pixels, rng), rng, _COLOURLESS)
    else:
        strong = rng.random() < _STRONG_SHARE
        pixels = appearance.look(pixels, rng, appearance.STRONG if strong else appearance.MILD)
    return appearance.cheap_camera(pixels, rng) if rng.random() < _CHEAP_SHARE else pixels


def targets(cells: SourceCells, rows: NDArray[np.int64]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return targets and weights by output; what is unknown weighs nothing.

    `type` is n x len(TYPES), smoothed; the others are indices.
    """
    types, details = cells.types[rows], cells.details[rows]
    is_cell = types != NO_TYPE
    one_hot = np.eye(len(TYPES), dtype=np.float32)[np.maximum(types, 0)]
    wanted: dict[str, Any] = {
        "type": one_hot * (1 - _LABEL_SMOOTHING) + _LABEL_SMOOTHING / len(TYPES),
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


def central_views(cells: SourceCells, size: int) -> NDArray[np.uint8]:
    """Return the crops as the classifier gets them in use, n x size x size x 3."""
    side = round(CONTEXT_SIZE / CONTEXT)
    start = (CONTEXT_SIZE - side) // 2
    inner = slice(start, start + side)
    method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    views = np.empty((len(cells), size, size, 3), np.uint8)
    for row, crop in enumerate(cells.crops):
        views[row] = cv2.resize(crop[inner, inner], (size, size), interpolation=method)
    return views


class SourceBatches(keras.utils.PyDataset):
    """Endless changed views, `steps` batches an epoch, of sources with their shares.

    Within a source types are balanced by square root: halfway between the natural shares and
    equal ones. Each view can get the colour statistics of a cell of any of the sources.
    """

    def __init__(
        self,
        found: Sequence[tuple[SourceCells, float]],
        *,
        size: int,
        batch: int,
        steps: int,
        seed: int,
    ) -> None:
        super().__init__(workers=2, max_queue_size=8)
        self.found, self.size = [cells for cells, _ in found], size
        self.batch, self.steps, self.seed, self.epoch = batch, steps, seed, 0
        self.shares = np.array([share for _, share in found])
        self.shares /= self.shares.sum()
        self.chances = [_balanced(cells) for cells in self.found]
        rng = np.random.default_rng(seed)
        self.tones = [
            np.stack([appearance.tone(cells.crops[k]) for k in rng.choice(len(cells), 200)])
            for cells in self.found
        ]

    def __len__(self) -> int:
        return self.steps

    def on_epoch_end(self) -> None:
        """Draw other views in the next epoch."""
        self.epoch += 1

    def _view(self, cells: SourceCells, row: int, rng: Generator) -> Pixels:
        crop, unscaled = np.asarray(cells.crops[row]), float(cells.unscaled[row])
        if cells.types[row] != NO_TYPE and rng.random() < _CUT_SHARE:
            crop = appearance.cut_off(crop, unscaled * _CELL_SHARE, rng)
        share = unscaled if rng.random() < _UNSCALED_SHARE else 1 / CONTEXT
        extent = (min(share * 0.80, 0.95), min(share * 1.25, 1.0))
        view = appearance.random_zoom(crop, self.size, rng, extent)
        if rng.random() < _TRANSFER_SHARE:
            tones = self.tones[int(rng.integers(len(self.tones)))]
            other = tones[int(rng.integers(len(tones)))]
            view = appearance.restain(view, other, rng.uniform(0.4, 1.0))
        return change(view, rng)

    def __getitem__(self, index: int) -> tuple[Any, Any, Any]:
        rng = np.random.default_rng((self.seed, self.epoch, index))
        drawn = rng.choice(len(self.found), self.batch, p=self.shares)
        views, parts = [], []
        for place in np.unique(drawn):
            cells = self.found[place]
            count = int((drawn == place).sum())
            rows = np.searchsorted(self.chances[place], rng.random(count))
            views += [self._view(cells, int(row), rng) for row in rows]
            parts.append(targets(cells, rows))
        wanted, weights = (
            {name: np.concatenate([part[k][name] for part in parts]) for name in parts[0][k]}
            for k in (0, 1)
        )
        return np.stack(views).astype(np.float32), wanted, weights


def _balanced(cells: SourceCells) -> NDArray[np.float64]:
    """Return cumulative chances of the cells of one source."""
    counts = np.bincount(cells.types - NO_TYPE, minlength=len(TYPES) + 1)
    chances = 1 / np.sqrt(counts[cells.types - NO_TYPE])
    # A cell whose type is not learnt serves its subtype alone.
    chances *= np.where(cells.weights > 0, 1.0, 0.3 * (cells.details[:, -1] >= 0))
    cumulative = np.cumsum(chances)
    return np.asarray(cumulative / cumulative[-1])


class _ValidationViews(keras.utils.PyDataset):
    """Unchanged views of some cells."""

    def __init__(self, cells: Sequence[SourceCells], size: int, batch: int) -> None:
        super().__init__()
        self.views = np.concatenate([central_views(c, size) for c in cells])
        parts = [targets(c, np.arange(len(c))) for c in cells]
        self.wanted, self.weights = (
            {name: np.concatenate([part[k][name] for part in parts]) for name in parts[0][k]}
            for k in (0, 1)
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


def ten_type_network(settings: Settings | None = None) -> Any:
    """Return the network; with settings, its trunk and known outputs as the shipped one has them.

    Raises ModelError when the shipped weights are missing.
    """
    network = wbc_network(len(TYPES), HEADS)
    if settings is None:
        return network
    shipped = shipped_network("wbc", settings)
    for layer in shipped.layers:
        if not layer.get_weights() or layer.name in ("type", "maturation"):
            continue
        network.get_layer(layer.name).set_weights(layer.get_weights())
    for own, old, names in (("type", "type", CELL_TYPES), ("subtype", "maturation", MATURATION)):
        kernel, bias = network.get_layer(own).get_weights()
        known, known_bias = shipped.get_layer(old).get_weights()
        order = TYPES if own == "type" else SUBTYPES
        for column, name in enumerate(names):
            kernel[:, order.index(name)] = known[:, column]
            bias[order.index(name)] = known_bias[column]
        network.get_layer(own).set_weights([kernel, bias])
    return network


def compile_arguments() -> Mapping[str, Any]:
    """Return losses, their weights and metrics of the network."""
    losses = {
        name: keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        for name in (*DETAILS, "white")
    }
    return {
        "loss": losses | {"type": keras.losses.CategoricalCrossentropy(from_logits=True)},
        "loss_weights": _LOSS_WEIGHTS,
        "weighted_metrics": {"type": [keras.metrics.CategoricalAccuracy(name="accuracy")]},
    }


def training_sources(
    settings: Settings, cells: Path, *, folds: Sequence[str], without: Sequence[str]
) -> list[tuple[SourceCells, float]]:
    """Return the sources of a run with their shares.

    `folds` are those of DeepAPL, `without` sources to leave out whole.
    """
    shares = {name: share for name, share in SHARES.items() if name not in without}
    names = {"pbc": ["pbc_train"], "kaggle": ["kaggle_train"]}
    names["deepapl"] = [f"deepapl_{fold}" for fold in folds]
    found = []
    for source, share in shares.items():
        parts = sources(settings, cells, names.get(source, [source]))
        lengths = {name: len(part) ** 0.5 for name, part in parts.items()}
        for name, part in parts.items():
            found.append((part, share * lengths[name] / sum(lengths.values())))
            _LOG.info("%s: %d cells, share %.3f", name, len(part), found[-1][1])
    return found


def train(  # noqa: PLR0913 - all of it describes one run
    settings: Settings,
    run: Path,
    cells: Path,
    *,
    folds: Sequence[str],
    without: Sequence[str] = (),
    start: Path | None = None,
    epochs: int = 40,
    minutes: float | None = None,
    steps: int = STEPS,
    size: int = SIZE,
    seed: int = 1,
) -> Any:
    """Train into a run folder and return the network.

    `cells` is the folder where cut-out cells are kept, `start` a folder with `weights.npz` of
    this network to go on from instead of the shipped one. Every epoch leaves its averaged weights
    in `run/epoch_<n>/`.
    """
    found = training_sources(settings, cells, folds=folds, without=without)
    names = ("pbc_val", "kaggle_val", "negatives_val")
    held_out = [
        part.chosen(np.arange(0, len(part), _VALIDATION_EVERY))
        for part in sources(settings, cells, names).values()
    ]
    network = ten_type_network(settings if start is None else None)
    if start is not None:
        load_weights(network, start)
    phase = Phase("common", epochs, LEARNING_RATE, FIRST_TRAINED, size, minutes)
    fit(
        network,
        Plan(
            phases=(phase,),
            batches=lambda phase: SourceBatches(
                found, size=phase.size, batch=BATCH, steps=steps, seed=seed
            ),
            validation=lambda phase: _ValidationViews(held_out, phase.size, 64),
            compile_arguments=compile_arguments(),
            patience=epochs,
            each_epoch=lambda network, epoch: save_weights(network, run / f"epoch_{epoch:02d}"),
        ),
        run,
    )
    save_weights(network, run)
    return network


def main(arguments: Sequence[str] | None = None) -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    settings = get_settings()
    parser.add_argument("--run", type=Path, default=settings.runs / "wbc_ten")
    parser.add_argument(
        "--cells", type=Path, default=settings.runs / "wbc_cells", help="cut-out cells, kept"
    )
    folds = [fold for fold in DEEPAPL_FOLDS if fold != HELD_OUT_FOLD]
    parser.add_argument("--folds", nargs="*", default=folds, choices=DEEPAPL_FOLDS)
    parser.add_argument("--without", nargs="*", default=[], choices=tuple(SHARES))
    parser.add_argument("--start", type=Path, help="folder with weights.npz to go on from")
    parser.add_argument("--epochs", type=int, default=40, help=f"of {STEPS * BATCH} views")
    parser.add_argument("--minutes", type=float, help="length by the clock instead")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--seed", type=int, default=1)
    chosen = vars(parser.parse_args(arguments))
    logging.basicConfig(level=logging.INFO)
    train(settings, chosen.pop("run"), chosen.pop("cells"), **chosen)


if __name__ == "__main__":
    main()
