"""Small trainings of cell classifiers on one protocol: which network, which recipe.

`python -m research network NAME` trains a network on PBC cells of all types, `recipe NAME`
MobileNetV2 on the mature types of PBC and Kaggle by a recipe that is changed in one thing. All are
measured on the same test cells. None of these networks is shipped: the protocols are too short for
that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from core.bench.timing import median_ms
from core.datasets.readers import Example, open_set
from core.domain.taxonomy import CELL_TYPES, KAGGLE_FOUR, MATURE_FIVE
from core.evaluation.calibration import softmax
from core.evaluation.comparisons import Architecture, ArchitectureRow, ScoredCells, SourcesRow
from core.evaluation.metrics import classification_metrics
from core.evaluation.tables import NOTHING
from core.inference.runtime import LiteRTEngine
from core.settings import Settings
from core.training.data.cell_batches import LABEL_SMOOTHING, Augmentation, CellBatches
from core.training.data.cell_sources import cells_of, shipped_detector
from core.training.data.cells import TYPES, TrainingCells, central_crops, joined
from core.training.export import litert_file
from core.training.loop import Plan, Stage, fit, seconds_of
from research.architectures import compared_network, start_from_imagenet, with_mixed_styles
from research.comparisons import write_row

SOURCES = ("pbc", "kaggle", "lisc", "cellavision")
"""What the recipe is measured on."""
TRAINED_ON = SOURCES[:2]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A training of MobileNetV2; the defaults are those of the shipped one."""

    augmentation: Augmentation = field(default_factory=Augmentation)
    imagenet: bool = True
    averaged: bool = True
    """With the average of the last weights."""
    smoothing: float = LABEL_SMOOTHING
    """Share of each label that all types get."""
    mixes_styles: bool = False
    teachers: tuple[str, ...] = ()
    """Recipes whose networks name each view, on average and together with the truth."""
    side: int | None = None
    """Of the crops in pixels, where it is not the protocol's."""


RECIPES = {
    NOTHING: Recipe(),
    "appearance": Recipe(Augmentation(appearance=False)),
    "stain_transfer": Recipe(Augmentation(stain_transfer=0)),
    "edge_truncation": Recipe(Augmentation(truncated=0)),
    "imagenet": Recipe(imagenet=False),
    "averaging": Recipe(averaged=False),
    "label_smoothing": Recipe(smoothing=0.0),
    "style_mixing": Recipe(mixes_styles=True),
    "taught": Recipe(teachers=(NOTHING, "label_smoothing", "style_mixing")),
    "side_160": Recipe(side=160),
    "side_192": Recipe(side=192),
}
"""By what is left out or added."""
RECIPE = "ten-type recipe"
_BATCH = 32
SEED = 17


@dataclass(frozen=True, slots=True)
class Protocol:
    """What every network of a comparison gets."""

    epochs: int
    steps: int
    """Batches of 32 crops an epoch."""
    size: int = 128
    learning_rate: float = 3e-4
    cells_a_type: int = 250
    """Training cells of each type and source, drawn at random."""
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
            f"{self.epochs * self.steps * _BATCH:,} augmented crops of {self.size} px from "
            f"{self.cells_a_type} cells a type and source, AdamW with a peak rate of "
            f"{self.learning_rate:g}, all layers trained, {start} start, seed {SEED}"
        )


ARCHITECTURE_PROTOCOL = Protocol(epochs=4, steps=34)
"""So that VGG19 takes about twelve minutes on two cores."""
RECIPE_PROTOCOL = Protocol(epochs=8, steps=60)


class _TypesAlone(CellBatches):
    """Augmented crops with the probabilities of their types alone."""

    types: int
    teachers: Sequence[Any] = ()

    def __getitem__(self, index: int) -> tuple[Any, Any]:  # type: ignore[override]
        pixels, wanted, _ = super().__getitem__(index)
        truth = np.eye(self.types, dtype=np.float32)[wanted["type"].argmax(1)]
        if not self.teachers:
            return pixels, truth
        said = [softmax(np.asarray(own(pixels, training=False)), 1.0) for own in self.teachers]
        return pixels, (truth + np.mean(said, 0)) / 2


def _train(  # noqa: PLR0913, PLR0917 - what trainings differ in
    network: Any,
    sources: Sequence[TrainingCells],
    protocol: Protocol,
    run: Path,
    recipe: Recipe = Recipe(),
    teachers: Sequence[Any] = (),
) -> float:
    """Train a network, equal shares for all sources, and return the seconds of its epochs."""
    types = network.output_shape[-1]

    def batches(stage: Stage) -> _TypesAlone:
        made = _TypesAlone(
            [(cells, 1.0) for cells in sources],
            size=stage.size,
            batch=_BATCH,
            steps=protocol.steps,
            seed=SEED,
            augmentation=recipe.augmentation,
        )
        made.types, made.teachers = types, teachers
        return made

    everything = joined(sources)
    rows = np.random.default_rng(SEED).permutation(len(everything))[:200]
    logged = everything.chosen(rows)
    crops = central_crops(logged, protocol.size).astype(np.float32)
    stage = Stage("all layers", protocol.epochs, protocol.learning_rate, "", protocol.size)
    fit(
        network,
        Plan(
            stages=(stage,),
            batches=batches,
            # Only for the log: nothing is chosen by it.
            validation=lambda _: (crops, np.eye(types, dtype=np.float32)[logged.types]),
            compile_arguments={
                "loss": keras.losses.CategoricalCrossentropy(
                    from_logits=True, label_smoothing=recipe.smoothing
                ),
                "metrics": [keras.metrics.CategoricalAccuracy(name="accuracy")],
            },
            patience=protocol.epochs,
            averaged=recipe.averaged,
        ),
        run,
    )
    return seconds_of(run)


def _logits(network: Any, cells: TrainingCells, size: int) -> NDArray[np.float32]:
    crops = central_crops(cells, size).astype(np.float32)
    return np.asarray(network.predict(crops, batch_size=64, verbose=0), np.float32)


def _measured(
    network: Any, cells: TrainingCells, labels: Sequence[str], all_labels: Sequence[str], size: int
) -> ScoredCells:
    probabilities = softmax(_logits(network, cells, size), 1.0)
    return scored([TYPES[k] for k in cells.types], probabilities, labels, all_labels)


def scored(
    truth: Sequence[str],
    probabilities: NDArray[np.float64],
    labels: Sequence[str],
    all_labels: Sequence[str] | None = None,
) -> ScoredCells:
    """Return the figures that rows keep; the arguments are those of `classification_metrics`."""
    figures = classification_metrics(truth, probabilities, labels, all_labels=all_labels)
    return ScoredCells.model_validate(
        {field: getattr(figures, field) for field in ScoredCells.model_fields}
    )


def shipped_form(network: Any, example: NDArray[np.uint8]) -> tuple[int, float]:
    """Return the bytes of a network's LiteRT file and its median milliseconds an image."""
    size = example.shape[0]
    inputs = keras.Input((size, size, 3), batch_size=1, name="pixels")
    export = keras.Model(inputs, {"type": network(inputs)}, name=f"{network.name}_export")
    content = litert_file(export, [example])
    engine = LiteRTEngine(content, interpreters=1)
    return len(content), median_ms(lambda: engine.run(example[None]))


def compare_architecture(
    name: Architecture,
    settings: Settings,
    run: Path,
    protocol: Protocol = ARCHITECTURE_PROTOCOL,
) -> ArchitectureRow:
    """Train one network on PBC cells, measure it on PBC and CellaVision, and keep its row."""
    keras.utils.set_random_seed(SEED)
    training = source_cells(settings, run, "pbc", "train", protocol.cells_a_type)
    types, size = list(CELL_TYPES), protocol.size
    network = compared_network(name, len(types), size)
    start = "ImageNet" if start_from_imagenet(network, settings) else "random"
    own_run = run / f"{name}_{protocol.length}"
    seconds = _train(network, [training], protocol, own_run)
    tests: Mapping[str, Sequence[str]] = {"pbc": types, "cellavision": MATURE_FIVE}
    cells = {key: source_cells(settings, run, key, "test", protocol.tested_a_type) for key in tests}
    file_bytes, milliseconds = shipped_form(network, central_crops(cells["pbc"], size)[0])
    row = ArchitectureRow(
        protocol=protocol.sentence(start),
        recipe=RECIPE,
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


def compare_recipe(
    name: str, settings: Settings, run: Path, protocol: Protocol = RECIPE_PROTOCOL
) -> SourcesRow:
    """Train MobileNetV2 on mature types by a changed recipe and keep its row."""
    protocol = replace(protocol, size=RECIPES[name].side or protocol.size)

    def cells(source: str, split: str, each: int) -> TrainingCells:
        return source_cells(settings, run, source, split, each).of_types(MATURE_FIVE)

    training = [cells(source, "train", protocol.cells_a_type) for source in TRAINED_ON]
    network, seconds = _by_recipe(name, settings, run, protocol, training)
    row = SourcesRow(
        protocol=protocol.sentence("ImageNet" if RECIPES[name].imagenet else "random"),
        recipe=RECIPE,
        trained_on=list(TRAINED_ON),
        training_seconds=seconds,
        sets={
            key: _measured(
                network,
                cells(key, "test", protocol.tested_a_type),
                KAGGLE_FOUR if key == "kaggle" else MATURE_FIVE,
                MATURE_FIVE,
                protocol.size,
            )
            for key in SOURCES
        },
    )
    write_row(settings.models / "wbc", "recipe", name, row)
    return row


def _by_recipe(
    name: str,
    settings: Settings,
    run: Path,
    protocol: Protocol,
    training: Sequence[TrainingCells],
) -> tuple[Any, float]:
    """Train a network by a recipe, its teachers first; return it with the seconds of its epochs."""
    recipe = RECIPES[name]
    teachers = [
        _by_recipe(teacher, settings, run, protocol, training)[0] for teacher in recipe.teachers
    ]
    keras.utils.set_random_seed(SEED)
    network = compared_network("mobilenetv2", len(MATURE_FIVE), protocol.size)
    if recipe.imagenet:
        start_from_imagenet(network, settings)
    if recipe.mixes_styles:
        network = with_mixed_styles(network)
    folder = run / f"recipe_{name}_{protocol.length}"
    return network, _train(network, training, protocol, folder, recipe, teachers)


def sampled(examples: Sequence[Example], each: int) -> list[Example]:
    """Return up to `each` examples of every label, drawn at random and always the same."""
    by_label: dict[str, list[Example]] = {}
    for example in examples:
        by_label.setdefault(str(example.label), []).append(example)
    rng = np.random.default_rng(SEED)
    return [own[k] for _, own in sorted(by_label.items()) for k in rng.permutation(len(own))[:each]]


def source_cells(settings: Settings, run: Path, name: str, split: str, each: int) -> TrainingCells:
    """Return cells of one source as the shipped detector finds them, kept in a run folder."""
    folder = run / f"{name}_{split}_{each}"
    if not (folder / "groups.npy").exists():
        data = open_set(name, settings)
        examples = sampled(data.of_split(split), each)
        cells_of(data, examples, shipped_detector(settings)).save(folder)
    return TrainingCells.load(folder)
