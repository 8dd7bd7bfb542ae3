"""Small trainings of cell classifiers on one protocol: which network, which sources, which recipe.

`python -m research network NAME` trains a network on PBC cells of all eight types, `source NAME`
MobileNetV2 on the mature types of PBC and Kaggle but for the source left out (CellaVision is only
ever left out), `recipe NAME` on both sources without one component of the recipe. All are measured
on the same test cells. None of these networks is shipped: the protocols are too short for that.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from core.domain.taxonomy import CELL_TYPES, KAGGLE_FOUR, MATURE_FIVE
from core.evaluation.calibration import fit_temperature, softmax
from core.evaluation.comparisons import Architecture, ArchitectureRow, ScoredCells, SourcesRow
from core.evaluation.metrics import classification_metrics
from core.inference.runtime import LiteRTEngine
from core.settings import Settings
from core.training.augmentation import appearance
from core.training.data.cell_batches import REDRAWN, TrainingCells
from core.training.data.cells import (
    Cells,
    central_crops,
    joined,
)
from core.training.export import litert_file
from core.training.loop import Phase, Plan, fit, seconds_of
from research.architectures import (
    compared_network,
    start_from_imagenet,
)
from research.cells import SEED, laboratory_cells, mature
from research.comparisons import write_row

SOURCES = ("pbc", "kaggle", "cellavision")
"""What can be left out; the last one is never trained on."""
RECIPE_PARTS: dict[str, dict[str, Any]] = {
    "appearance": {"looks": False},
    "stain_transfer": {"restained": 0.0},
    "edge_truncation": {"cut": 0.0},
    "cytoplasm": {"redrawn": 0.0},
    "imagenet": {},
    "nothing": {},
}
"""What can be left out of the training's recipe, and how the crops are then changed."""
_BATCH = 32
_TIMED_RUNS = 20


@dataclass(frozen=True, slots=True)
class Protocol:
    """What every network of a comparison gets."""

    epochs: int
    steps: int
    """Batches of 32 crops an epoch."""
    size: int = 128
    learning_rate: float = 3e-4
    cells_a_type: int = 250
    """Training cells of each type and laboratory, drawn at random."""
    tested_a_type: int = 100
    """The same for test cells; fewer where a set has fewer."""

    @property
    def length(self) -> str:
        """Name the length, so that a run of another one is not taken for this one's."""
        return f"{self.epochs}x{self.steps}"

    def scaled(self, factor: float) -> "Protocol":
        """Return the protocol with its length times a factor, at least one epoch."""
        return replace(self, epochs=max(round(self.epochs * factor), 1))

    def sentence(self, start: str) -> str:
        """Describe the protocol for the file and the page."""
        return (
            f"{self.epochs * self.steps * _BATCH:,} changed crops of {self.size} px from "
            f"{self.cells_a_type} cells a type and laboratory, AdamW with a peak rate of "
            f"{self.learning_rate:g}, all layers trained, {start} start, seed {SEED}"
        )


ARCHITECTURE_PROTOCOL = Protocol(epochs=4, steps=34)
"""So that VGG19 takes about twelve minutes on two cores."""
SOURCE_PROTOCOL = Protocol(epochs=8, steps=60)


class _TypedCells(TrainingCells):
    """Changed crops with their types alone."""

    def __getitem__(self, index: int) -> tuple[Any, Any]:  # type: ignore[override]
        pixels, wanted, _ = super().__getitem__(index)
        return pixels, wanted["type"]


def _train(
    network: Any,
    domains: Sequence[Cells],
    protocol: Protocol,
    run: Path,
    ways: Mapping[str, Any] | None = None,
) -> float:
    """Train a network, equal shares for all domains, and return the seconds of its epochs.

    `ways` are how the crops are changed, in words of `TrainingCells`.
    """
    tones = np.stack([appearance.tone(crop) for crop in joined(domains).crops[::3]])
    phase = Phase("small", protocol.epochs, protocol.learning_rate, "", protocol.size)
    watched = joined(domains)
    rows = np.random.default_rng(SEED).permutation(len(watched))[:200]
    crops = central_crops(watched, protocol.size)[rows].astype(np.float32)
    fit(
        network,
        Plan(
            phases=(phase,),
            batches=lambda _: _TypedCells(
                [(cells, 1.0) for cells in domains],
                tones,
                protocol.size,
                batch=_BATCH,
                steps=protocol.steps,
                seed=SEED,
                **(ways or {}),
            ),
            # Only for the log: nothing is chosen by it.
            validation=lambda _: (crops, watched.types[rows]),
            compile_arguments={
                "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                "metrics": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
            },
            patience=protocol.epochs,
        ),
        run,
    )
    return seconds_of(run)


def _logits(network: Any, cells: Cells, size: int) -> NDArray[np.float32]:
    crops = central_crops(cells, size).astype(np.float32)
    return np.asarray(network.predict(crops, batch_size=64, verbose=0), np.float32)


def _measured(
    network: Any, cells: Cells, labels: Sequence[str], all_labels: Sequence[str], size: int
) -> ScoredCells:
    figures = classification_metrics(
        [list(CELL_TYPES)[k] for k in cells.types],
        softmax(_logits(network, cells, size), 1.0),
        list(labels),
        all_labels=list(all_labels),
    )
    return ScoredCells(
        n=figures.n, accuracy=figures.accuracy, macro_f1=figures.macro_f1, ece=figures.ece
    )


def _shipped_form(network: Any, example: NDArray[np.uint8]) -> tuple[int, float]:
    """Return the bytes of a network's LiteRT file and its median milliseconds an image."""
    size = example.shape[0]
    inputs = keras.Input((size, size, 3), batch_size=1, name="pixels")
    export = keras.Model(inputs, {"type": network(inputs)}, name=f"{network.name}_export")
    content = litert_file(export, [example])
    engine, seconds = LiteRTEngine(content, interpreters=1), []
    for _ in range(_TIMED_RUNS):
        started = time.perf_counter()
        engine.run(example[None])
        seconds.append(time.perf_counter() - started)
    return len(content), 1000 * float(np.median(seconds))


def compare_architecture(
    name: Architecture,
    settings: Settings,
    run: Path,
    protocol: Protocol = ARCHITECTURE_PROTOCOL,
) -> ArchitectureRow:
    """Train one network on PBC cells, measure it on PBC and CellaVision, and keep its row."""
    keras.utils.set_random_seed(SEED)
    training = laboratory_cells(settings, run, "pbc", "train", protocol.cells_a_type)
    types, size = list(CELL_TYPES), protocol.size
    network = compared_network(name, len(types), size)
    start = "ImageNet" if start_from_imagenet(network, settings) else "random"
    seconds = _train(network, [training], protocol, run / f"{name}_{protocol.length}")
    tests: Mapping[str, Sequence[str]] = {"pbc": types, "cellavision": MATURE_FIVE}
    cells = {
        key: laboratory_cells(settings, run, key, "test", protocol.tested_a_type) for key in tests
    }
    file_bytes, milliseconds = _shipped_form(network, central_crops(cells["pbc"], size)[0])
    row = ArchitectureRow(
        protocol=protocol.sentence(start),
        start=start,
        parameters=int(network.count_params()),
        file_bytes=file_bytes,
        milliseconds=milliseconds,
        training_seconds=seconds,
        sets={
            key: _measured(network, cells[key], labels, types, size)
            for key, labels in tests.items()
        },
    )
    write_row(settings.models / "wbc", "architectures", name, row)
    return row


def compare_sources(
    without: str, settings: Settings, run: Path, protocol: Protocol = SOURCE_PROTOCOL
) -> SourcesRow:
    """Train MobileNetV2 without one laboratory, measure it on all of them, and keep its row.

    The row of a laboratory that the shipped model learns from also has the temperature that suits
    its training cells when the network has not seen them.
    """
    trained_on = [name for name in SOURCES[:-1] if name != without]
    row = _trained_on(trained_on, settings, run, protocol, f"without_{without}")
    write_row(settings.models / "wbc", "sources", without, row)
    return row


def compare_recipes(
    without: str, settings: Settings, run: Path, protocol: Protocol = SOURCE_PROTOCOL
) -> SourcesRow:
    """Train MobileNetV2 without one part of the recipe (or `nothing`), and keep its row."""
    ways = {"redrawn": REDRAWN} | RECIPE_PARTS.get(without, {})
    start = without != "imagenet"
    row = _trained_on(
        SOURCES[:-1], settings, run, protocol, f"recipe_{without}", ways, imagenet=start
    )
    write_row(settings.models / "wbc", "recipe", without, row)
    return row


def _trained_on(  # noqa: PLR0913, PLR0917 - all of it describes one training
    laboratories: Sequence[str],
    settings: Settings,
    run: Path,
    protocol: Protocol,
    name: str,
    ways: Mapping[str, Any] | None = None,
    *,
    imagenet: bool = True,
) -> SourcesRow:
    """Train MobileNetV2 on the mature types of some laboratories; return its row for all."""
    keras.utils.set_random_seed(SEED)
    domains = [
        mature(laboratory_cells(settings, run, key, "train", protocol.cells_a_type))
        for key in laboratories
    ]
    network = compared_network("mobilenetv2", len(MATURE_FIVE), protocol.size)
    if imagenet:
        start_from_imagenet(network, settings)
    seconds = _train(network, domains, protocol, run / f"{name}_{protocol.length}", ways)
    temperature = None
    for key in set(SOURCES[:-1]) - set(laboratories):
        cells = mature(laboratory_cells(settings, run, key, "train", protocol.cells_a_type))
        logits = _logits(network, cells, protocol.size)
        temperature = fit_temperature(logits, cells.types)
    return SourcesRow(
        protocol=protocol.sentence("ImageNet" if imagenet else "random"),
        trained_on=list(laboratories),
        training_seconds=seconds,
        temperature=temperature,
        sets={
            key: _measured(
                network,
                mature(laboratory_cells(settings, run, key, "test", protocol.tested_a_type)),
                KAGGLE_FOUR if key == "kaggle" else MATURE_FIVE,
                MATURE_FIVE,
                protocol.size,
            )
            for key in SOURCES
        },
    )
