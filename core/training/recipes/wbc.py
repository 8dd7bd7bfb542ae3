"""Training of the cell classifier: types, subtypes, attributes, and what is no white cell.

`train` trains the network; `publish` takes its weights, or those of any checkpoint, through
calibration, the appearance density, the OOD temperature and the export to the card.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from core.datasets.readers import open_set
from core.domain.decision import DecisionThresholds, decide
from core.domain.taxonomy import ATTRIBUTES, MATURE_FIVE
from core.evaluation.calibration import (
    cellness_threshold,
    fit_temperature,
    rival_limits,
    softmax,
    uncertainty_threshold,
)
from core.inference.cell_classifier import CROP_MICROMETRES, tta_outputs
from core.inference.runtime import Engine, LiteRTEngine
from core.model_card import MODEL_FILE
from core.settings import Settings
from core.training.augmentation import appearance
from core.training.data.all_fields import FOLDS
from core.training.data.cell_batches import CellBatches, ValidationBatches
from core.training.data.cell_sources import (
    SHARES,
    VALIDATION,
    sources,
    training_sources,
)
from core.training.data.cells import (
    DETAILS,
    HEADS,
    NO_TYPE,
    SUBTYPES,
    TYPES,
    TrainingCells,
    central_crops,
    joined,
)
from core.training.export import (
    classifier_for_export,
    load_weights,
    save_weights,
    shipped_network,
    write_card,
    write_litert,
)
from core.training.loop import Plan, Stage, fit, scaled
from core.training.networks.mobilenet import load_imagenet, wbc_network
from core.training.ood import Appearance, fit_appearance_density, write_density

SIZE = 128
BATCH = 32
STEPS = 250
HEADS_STAGE = Stage("heads", 1, 2e-3, None, SIZE)
"""From ImageNet the heads come first: untrained, they would spoil the trunk."""
TRUNK_STAGE = Stage("heads and trunk", 40, 5e-4, "block_3_expand", SIZE)
FINE_TUNE_STAGE = replace(TRUNK_STAGE, name="fine-tuning", learning_rate=1.5e-4)
"""From trained weights: at the rate of `TRUNK_STAGE` the training loss rose for thirty epochs."""
HELD_OUT_FOLD = "4"
"""Fold of DeepAPL and Taleqani that is not trained on unless it is asked for."""
TRAINING_FOLDS = tuple(fold for fold in FOLDS if fold != HELD_OUT_FOLD)
TARGET_ACCURACY = 0.985
"""Of the classified validation cells. Labels of the Kaggle cells are disputed: a higher target
would leave a quarter of the cells of leukaemia patients uncertain."""
TARGET_LEFT_OUT = 0.95
"""Of the classified cells of patients and of each source left out."""
MAX_CONFIDENCE = 0.95
"""Beyond it too few cells are classified to count."""
LEFT_OUT = ("pbc", "kaggle", "lisc")
"""Sources that are left out in turn for the OOD temperature."""


@dataclass(frozen=True, slots=True)
class Rival:
    """A type that must not be mistaken for others with certainty."""

    hosts: tuple[str, ...]
    """The types that it is mistaken for."""
    max_missed: float
    """Proportion of its cells that may be named as one of them with certainty, on patients left
    out. For blasts half of what is wanted: those of other patients look different."""
    largest: float
    """Largest limit of the rival's probability, for hosts that it was not mistaken for here."""


_HEALTHY = (*MATURE_FIVE, "erythroblast", "platelet")
RIVALS = {
    "blast": Rival((*_HEALTHY, "smudge_cell"), 0.01, 0.03),
    "smudge_cell": Rival((*_HEALTHY, "immature_granulocyte", "blast"), 0.04, 0.30),
}
LEFT_OUT_LENGTH = 0.2
"""Length of these trainings, as a fraction of the whole one."""
_LOSS_WEIGHTS = dict.fromkeys(DETAILS, 0.06) | {"type": 1.0, "subtype": 0.15, "white": 0.2}
_VALIDATION_EVERY = 4
"""Of the validation cells every fourth is predicted after each epoch."""
_FAR = appearance.Strength(stain=1.4, camera=1.4, blur=1.4, noise=1.4)
"""Appearance beyond that of training, in the place of sources nobody has cells of."""
_LICENCES = {
    "pbc": "PBC train split (CC BY 4.0), attributes of WBCAtt (MIT)",
    "deepapl": "DeepAPL, folds {folds} (no licence named, research use)",
    "taleqani": "cells of Taleqani ALL fields, folds {folds} (no licence named, research use)",
    "kaggle": "Kaggle blood cells TRAIN, cells found by the detector (MIT)",
    "lisc": "LISC (research use)",
    "fields": "white cells of TXL-PBC and BCCD train, typed by the version before (MIT)",
    "negatives": "red cells, glass and rims of cells from TXL-PBC and BCCD train (MIT)",
}
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """How one network is trained."""

    epochs: float = 1.0
    """Factor on the planned number of epochs."""
    minutes: float | None = None
    """Length by the clock instead."""
    seed: int = 1
    folds: tuple[str, ...] = TRAINING_FOLDS
    """Folds of DeepAPL and Taleqani to train on."""
    without: tuple[str, ...] = ()
    """Sources to leave out."""
    start: str = "shipped"
    """`imagenet`, `shipped`, or a folder with `weights.npz`."""
    cells: Path | None = None
    """Folder of cut-out cells, `runs/wbc_cells` unless given."""
    steps: int = STEPS
    """Batches an epoch."""
    size: int = SIZE
    corrected: bool = True
    """With the doubted labels of DeepAPL corrected."""

    def cells_folder(self, settings: Settings) -> Path:
        """Return the folder of cut-out cells."""
        return self.cells or settings.runs / "wbc_cells"

    def training_cells(self, settings: Settings) -> list[tuple[TrainingCells, float]]:
        """Return the sources to train on with their shares."""
        return training_sources(
            settings,
            self.cells_folder(settings),
            folds=self.folds,
            without=self.without,
            correct=self.corrected,
        )

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The schedule."""
        from_imagenet = self.start == "imagenet"
        stages = (HEADS_STAGE, TRUNK_STAGE) if from_imagenet else (FINE_TUNE_STAGE,)
        stages = (*stages[:-1], replace(stages[-1], minutes=self.minutes))
        return scaled(tuple(replace(s, size=self.size) for s in stages), self.epochs)


@dataclass(frozen=True, slots=True)
class Trained:
    """A network with what is needed to publish it."""

    network: Any
    run: Path
    options: Options


def train(settings: Settings, run: Path, options: Options) -> Trained:
    """Train into a run folder. Every epoch leaves its averaged weights in `run/epoch_<n>/`.

    Raises ModelError when the weights to start from are missing.
    """
    cells = options.cells_folder(settings)
    training = options.training_cells(settings)
    validation = [
        part.chosen(np.arange(0, len(part), _VALIDATION_EVERY))
        for part in sources(settings, cells, VALIDATION).values()
    ]
    network = started_network(options.start, settings)
    fit(
        network,
        Plan(
            stages=options.stages,
            batches=lambda stage: CellBatches(
                training, size=stage.size, batch=BATCH, steps=options.steps, seed=options.seed
            ),
            validation=lambda stage: ValidationBatches(validation, stage.size, 64),
            compile_arguments=compile_arguments(),
            patience=max(stage.epochs for stage in options.stages),
            each_epoch=lambda network, epoch: save_weights(network, run / f"epoch_{epoch:02d}"),
        ),
        run,
    )
    save_weights(network, run)
    return Trained(network, run, options)


def load_checkpoint(folder: Path, options: Options) -> Trained:
    """Return the network of a checkpoint. Raises ModelError when its weights do not fit."""
    network = wbc_network(len(TYPES), HEADS)
    load_weights(network, folder)
    return Trained(network, folder, options)


def started_network(start: str, settings: Settings) -> Any:
    """Return the network with ImageNet's, the shipped or a folder's weights. Raises ModelError."""
    if start == "shipped":
        return shipped_network("wbc", settings)
    network = wbc_network(len(TYPES), HEADS)
    if start == "imagenet":
        load_imagenet(network, settings)
    else:
        load_weights(network, Path(start))
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


def publish(trained: Trained, settings: Settings, version: str) -> None:
    """Export, calibrate, and write the model with its card."""
    options, folder = trained.options, settings.models / "wbc"
    cells = options.cells_folder(settings)
    validation = list(sources(settings, cells, VALIDATION).values())
    training = options.training_cells(settings)

    engine = export(trained.network, validation, folder, options.size)
    appearance = fit_appearance_density(
        [part for part, _ in training if (part.types != NO_TYPE).any()],
        [part for part in validation if (part.types != NO_TYPE).any()],
        options.size,
    )
    calibration = calibrated(
        engine,
        [joined(validation), *left_out_cells(settings, cells, options.folds, options.without)],
        appearance,
        fit_ood_temperature(trained, settings),
        options.size,
    )

    used = [name for name in SHARES if name not in options.without]
    sets = [name for name in ("pbc", "kaggle", "deepapl", "taleqani", "lisc") if name in used]
    write_card(
        folder,
        name="wbc",
        version=version,
        task="Names the type and subtype of one white cell, and eleven morphological attributes",
        architecture="MobileNetV2 (alpha 1, folded batch norm), shared trunk, linear heads",
        labels=list(TYPES),
        attributes={k: list(v) for k, v in ATTRIBUTES.items()},
        subtypes=list(SUBTYPES),
        input_width=options.size,
        input_height=options.size,
        preprocessing=(
            f"Square crop of {CROP_MICROMETRES:.0f} µm around the cell by the red cells' or the "
            "file's scale (1.8 times the cell's longer side without one), light corrected, RGB "
            "0..255 as float32; mean logits of the crop and its two mirror images"
        ),
        appearance_sha256=write_density(appearance.density, folder),
        **calibration,
        training_data=[_LICENCES[name].format(folds=", ".join(options.folds)) for name in used],
        data_fingerprint=", ".join(
            f"{name} {open_set(name, settings).fingerprint()[:16]}" for name in sets
        ),
        intended_use="Research and teaching: suggestions that a trained person verifies.",
        limits=[
            "Blasts and smudge cells come from one hospital's patients with acute leukaemia (AML).",
            "Lymphoblasts come from another's fields, labelled by field and not cell by cell.",
            "Haematogones of benign fields resemble lymphoblasts: many are called possible blasts.",
            "Erythroblasts, immature granulocytes and platelets come from two sources.",
            "Under another stain, camera or preparation expect lower accuracy and check a sample.",
        ],
    )


def export(
    network: Any, validation: Sequence[TrainingCells], folder: Path, size: int
) -> LiteRTEngine:
    """Write `model.tflite` and return its engine.

    Raises ModelError when the file does not answer as the network does.
    """
    examples = list(central_crops(validation[0].chosen(np.arange(4)), size))
    write_litert(classifier_for_export(network, "type", size), folder, examples)
    return LiteRTEngine((folder / MODEL_FILE).read_bytes())


def calibrated(
    engine: Engine,
    parts: Sequence[TrainingCells],
    appearance: Appearance,
    ood_temperature: float,
    size: int = SIZE,
) -> dict[str, Any]:
    """Return `temperature`, `ood_temperature` and `thresholds` of a file for size x size crops.

    The first of `parts` are validation cells, each other those of patients or of a source that
    was left out. The temperature is the largest of those that suit one part: nobody's cells in use
    were trained on. It fits each cell as it is and with an appearance beyond that of training:
    fitted on known sources alone it is too low under a shift (Ovadia et al. 2019, NeurIPS).
    """
    parts = [part.chosen(part.types != NO_TYPE) for part in parts]
    crops = [central_crops(part, size) for part in parts]
    outputs = [_outputs(engine, own) for own in crops]
    truths = [part.types for part in parts]
    temperature = max(
        fit_temperature(
            np.concatenate([own["type"], _outputs(engine, _far(part))["type"]]), np.tile(truth, 2)
        )
        for own, part, truth in zip(outputs, crops, truths, strict=True)
    )
    ood_temperature = max(ood_temperature, temperature)
    probabilities = [
        softmax(
            own["type"], np.where(appearance.knows(part), temperature, ood_temperature)[:, None]
        )
        for own, part in zip(outputs, crops, strict=True)
    ]
    confidence, rivals = fit_decisions(probabilities, truths)
    return {
        "temperature": temperature,
        "ood_temperature": ood_temperature,
        "thresholds": {
            "uncertain": confidence,
            "cellness": cellness_threshold(softmax(outputs[0]["white"], 1.0)[:, 1]),
            "appearance_density": appearance.threshold,
            "rivals": rivals,
        },
    }


def _outputs(engine: Engine, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Return the logits of the heads `type` and `white`, as in use."""
    outputs = [tta_outputs(engine, crop) for crop in crops]
    return {name: np.stack([own[name] for own in outputs]) for name in ("type", "white")}


def left_out_cells(
    settings: Settings,
    cells: Path,
    folds: Sequence[str] = TRAINING_FOLDS,
    without: Sequence[str] = (),
) -> list[TrainingCells]:
    """Return the cells of patients and sources that a training left out, each by itself.

    These are the folds of DeepAPL that are not in `folds`, and LISC where it is in `without`.
    """
    names = [f"deepapl_{fold}" for fold in FOLDS if fold not in folds]
    names = ([] if "deepapl" in without else names) + (["lisc"] if "lisc" in without else [])
    parts = sources(settings, cells, names).values()
    return [part.chosen((part.types != NO_TYPE) & (part.weights > 0)) for part in parts]


def fit_decisions(
    probabilities: Sequence[NDArray[np.float64]], truths: Sequence[NDArray[np.int64]]
) -> tuple[float, dict[str, dict[str, float]]]:
    """Return the confidence and the limits of rivals from which a prediction is certain.

    The first of `probabilities` and `truths` are those of validation cells, each other those of
    patients or a source left out. The confidence is the lowest at which `TARGET_ACCURACY` of the
    classified validation cells and `TARGET_LEFT_OUT` of the classified cells of each other part are
    right, or `MAX_CONFIDENCE`.
    """
    lowest = uncertainty_threshold(probabilities[0], truths[0], TARGET_ACCURACY)
    for confidence in (lowest, *np.arange(np.ceil(lowest * 100) / 100, MAX_CONFIDENCE, 0.01)):
        rivals = fit_rivals(probabilities[1:], truths[1:], confidence)
        thresholds = DecisionThresholds(confidence, rivals=rivals)
        if all(
            _right_among_classified(own, truth, thresholds) >= TARGET_LEFT_OUT
            for own, truth in zip(probabilities[1:], truths[1:], strict=True)
        ):
            return round(float(confidence), 4), rivals
    return MAX_CONFIDENCE, fit_rivals(probabilities[1:], truths[1:], MAX_CONFIDENCE)


def _right_among_classified(
    probabilities: NDArray[np.float64],
    truth: NDArray[np.int64],
    thresholds: DecisionThresholds,
) -> float:
    """Return the proportion, 1 where nothing is classified."""
    classified = [
        decide(dict(zip(TYPES, own, strict=True)), thresholds) == "classified"
        for own in probabilities
    ]
    right = probabilities.argmax(1) == truth
    return float(right[classified].mean()) if any(classified) else 1.0


def fit_ood_temperature(trained: Trained, settings: Settings) -> float:
    """Return the temperature for cells of a source that the classifier was not trained on.

    The largest of the temperatures that suit the sources left out, each cell as it is and with an
    appearance beyond that of training: which of them the next laboratory resembles is not known.
    Each of `LEFT_OUT` that the training did not leave out is predicted by a network that is trained
    without it from ImageNet, shorter than the shipped one.
    """
    options = trained.options
    cells = options.cells_folder(settings)
    temperatures = []
    for source in LEFT_OUT:
        network = trained.network
        if source not in options.without:
            shorter = replace(
                options,
                start="imagenet",
                without=(*options.without, source),
                epochs=options.epochs * LEFT_OUT_LENGTH,
                minutes=options.minutes and options.minutes * LEFT_OUT_LENGTH,
            )
            network = train(settings, trained.run / "left_out" / source, shorter).network
        name = {"pbc": "pbc_val", "kaggle": "kaggle_val"}.get(source, source)
        unseen = sources(settings, cells, [name])[name]
        unseen = unseen.chosen((unseen.types != NO_TYPE) & (unseen.weights > 0))
        crops = central_crops(unseen, options.size)
        views = np.concatenate([crops, _far(crops)]).astype(np.float32)
        logits = network.predict(views, batch_size=64, verbose=0)["type"]
        temperatures.append(fit_temperature(logits, np.tile(unseen.types, 2)))
        _LOG.info("temperature of cells from %s, left out: %.3f", source, temperatures[-1])
    return max(temperatures)


def _far(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return crops with an appearance beyond that of training."""
    rng = np.random.default_rng(0)
    return np.stack([appearance.augment_appearance(crop, rng, _FAR) for crop in crops])


def fit_rivals(
    probabilities: Sequence[NDArray[np.float64]],
    truths: Sequence[NDArray[np.int64]],
    confidence: float,
) -> dict[str, dict[str, float]]:
    """Return by type the probabilities of blast and smudge cell from which it is uncertain.

    They are chosen on patients and sources left out; without any the largest limits hold.
    """
    limits: dict[str, dict[str, float]] = {
        host: {rival: rule.largest for rival, rule in RIVALS.items() if host in rule.hosts}
        for host in TYPES
    }
    if probabilities:
        for rival, rule in RIVALS.items():
            found = rival_limits(
                np.concatenate(probabilities),
                np.concatenate(truths),
                rival=TYPES.index(rival),
                hosts=[TYPES.index(host) for host in rule.hosts],
                confidence=confidence,
                max_missed=rule.max_missed,
                largest=rule.largest,
            )
            for host, limit in found.items():
                limits[TYPES[host]][rival] = limit
    return {host: own for host, own in limits.items() if own}
