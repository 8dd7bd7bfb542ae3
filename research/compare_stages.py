"""The networks that were compared on cells, on ALL fields: `python -m research stages NAME`.

Each network is trained on all folds of Taleqani but one, on one short protocol, and grades the
fields of that fold; the answers of all folds are scored together. None of them is shipped.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from core.domain.results import Pixels
from core.domain.taxonomy import STAGES
from core.evaluation.calibration import softmax
from core.evaluation.comparisons import Architecture, ArchitectureRow
from core.inference.field_classifier import tta_views
from core.settings import Settings
from core.training.data.all_fields import FOLDS, Fields, all_fields, another_stain, of_fold
from core.training.loop import Plan, Stage, fit, seconds_of
from research.architectures import compared_network, start_from_imagenet
from research.compare_cells import SEED, scored, shipped_form
from research.comparisons import write_row

_LABELS = tuple(STAGES)
_STAIN_SHARE, _STAIN_STRENGTH = 0.5, 0.7


@dataclass(frozen=True, slots=True)
class Protocol:
    """What every network gets."""

    epochs: int = 3
    size: int = 64
    """Of the fields, in pixels: so that VGG19 takes about a quarter of an hour a fold."""
    batch: int = 32
    learning_rate: float = 3e-4
    folds: tuple[str, ...] = FOLDS
    """Folds that are left out and graded in turn."""

    def sentence(self, start: str) -> str:
        """Describe the protocol for the file and the page."""
        return (
            f"{self.epochs} epochs of all fields but those of one fold at {self.size} px, mirrored "
            f"and turned, half of them with another stain, AdamW with a peak rate of "
            f"{self.learning_rate:g}, all layers trained, {start} start, seed {SEED}; measured on "
            f"fold{'s' if len(self.folds) > 1 else ''} {', '.join(self.folds)}"
        )


class _FieldBatches(keras.utils.PyDataset):
    """Augmented fields with their classes."""

    def __init__(self, fields: Fields, rows: NDArray[np.int64], protocol: Protocol) -> None:
        super().__init__()
        self._fields, self._rows, self._protocol = fields, rows, protocol
        self._rng = np.random.default_rng(SEED)

    def __len__(self) -> int:
        return math.ceil(len(self._rows) / self._protocol.batch)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        own = self._rows[index * self._protocol.batch :][: self._protocol.batch]
        views = [self._view(self._fields.pixels[row]) for row in own]
        return np.stack(views).astype(np.float32), self._fields.stages[own]

    def on_epoch_end(self) -> None:
        """Draw another order."""
        self._rows = self._rng.permutation(self._rows)

    def _view(self, pixels: Pixels) -> Pixels:
        rng: Generator = self._rng
        if rng.random() < _STAIN_SHARE:
            pixels = another_stain(pixels, rng, _STAIN_STRENGTH)
        return tta_views(_resized(pixels, self._protocol.size))[int(rng.integers(8))]


def _resized(pixels: Pixels, size: int) -> Pixels:
    return np.asarray(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def compare_stages(
    name: Architecture, settings: Settings, run: Path, protocol: Protocol
) -> ArchitectureRow:
    """Train one network without each fold, grade the fold, and keep the row."""
    fields = all_fields(settings)
    size, start, seconds = protocol.size, "random", 0.0
    logits: list[NDArray[np.float32]] = []
    truth: list[str] = []
    for fold in protocol.folds:
        keras.utils.set_random_seed(SEED)
        network = compared_network(name, len(_LABELS), size)
        start = "ImageNet" if start_from_imagenet(network, settings) else "random"
        held_out = of_fold(fields, fold)
        folder = run / f"{name}_{fold}_{protocol.epochs}x{size}"
        _train(network, fields, np.nonzero(~held_out)[0], protocol, folder)
        seconds += seconds_of(folder)
        shown = np.stack([_resized(pixels, size) for pixels in fields.pixels[held_out]])
        logits.append(network.predict(shown.astype(np.float32), batch_size=64, verbose=0))
        truth += [_LABELS[k] for k in fields.stages[held_out]]
    file_bytes, milliseconds = shipped_form(network, shown[0])
    row = ArchitectureRow(
        protocol=protocol.sentence(start),
        start=start,
        parameters=int(network.count_params()),
        file_bytes=file_bytes,
        milliseconds=milliseconds,
        training_seconds=seconds,
        sets={"taleqani": scored(truth, softmax(np.concatenate(logits), 1.0), _LABELS)},
    )
    write_row(settings.models / "all_stage", "architectures", name, row)
    return row


def _train(
    network: Any, fields: Fields, rows: NDArray[np.int64], protocol: Protocol, run: Path
) -> None:
    rows = np.random.default_rng(SEED).permutation(rows)
    logged = rows[:64]
    shown = np.stack([_resized(fields.pixels[row], protocol.size) for row in logged])
    fit(
        network,
        Plan(
            stages=(
                Stage("all layers", protocol.epochs, protocol.learning_rate, "", protocol.size),
            ),
            batches=lambda _: _FieldBatches(fields, rows, protocol),
            # Only for the log: nothing is chosen by it.
            validation=lambda _: (shown.astype(np.float32), fields.stages[logged]),
            compile_arguments={
                "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                "metrics": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
            },
            patience=protocol.epochs,
        ),
        run,
    )
