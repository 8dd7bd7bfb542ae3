"""Training of the single-cell classifier: eight types and eleven attributes."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from core.inference.card import load_card, read_checked
from core.inference.classifier import mirrored_mean, softmax
from core.inference.detector import Detector
from core.inference.engine import LiteRTEngine
from core.learning.architectures import load_imagenet, wbc_network
from core.learning.calibrate import fit_temperature, uncertainty_threshold
from core.learning.cell_data import (
    Cells,
    TrainingCells,
    central_crops,
    kaggle_cells,
    made_cells,
    pbc_cells,
    validation_cells,
)
from core.learning.datasets import open_set
from core.learning.export import classifier_for_export, save_weights, write_card, write_litert
from core.learning.fitting import Phase, Plan, fit, scaled
from core.settings import Settings
from core.taxonomy import ATTRIBUTES, CELL_TYPES

SIZE = 160
_LOG = logging.getLogger(__name__)
BATCH = 32
STEPS = 380
PHASES = (
    Phase("head", 1, 2e-3, None, 128),
    Phase("coarse", 9, 5e-4, "block_3_expand", 128),
    Phase("fine", 5, 2e-4, "block_3_expand", SIZE),
)
_ATTRIBUTE_WEIGHT = 0.04


def _compile_arguments() -> dict[str, Any]:
    import keras

    def loss() -> Any:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    return {
        "loss": {"type": loss()} | {name: loss() for name in ATTRIBUTES},
        "loss_weights": {"type": 1.0} | dict.fromkeys(ATTRIBUTES, _ATTRIBUTE_WEIGHT),
        "weighted_metrics": {"type": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]},
    }


def _cached(path: Path, make: Any) -> Cells:
    """Keep cut-out cells beside the checkpoints: a resumed run does not search them again."""
    if path.exists():
        with np.load(path) as arrays:
            return Cells(arrays["crops"], arrays["types"], arrays["attributes"])
    cells: Cells = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, crops=cells.crops, types=cells.types, attributes=cells.attributes)
    return cells


def train(
    settings: Settings, run: Path, *, epochs: float = 1.0, seed: int = 1
) -> tuple[Any, tuple[Cells, ...]]:
    """Train into a run folder and return the network with its validation cells."""
    card = load_card("detector", settings)
    detector = Detector(LiteRTEngine(read_checked(card, settings)), card)
    pbc = _cached(run / "pbc_train.npz", lambda: pbc_cells(settings, detector, "train"))
    pbc_val = _cached(run / "pbc_val.npz", lambda: pbc_cells(settings, detector, "val"))
    if not (run / "kaggle_val.npz").exists():
        training, validation = kaggle_cells(settings, detector)
        _cached(run / "kaggle_train.npz", lambda: training)
        _cached(run / "kaggle_val.npz", lambda: validation)
    kaggle, kaggle_val = (
        _cached(run / f"kaggle_{split}.npz", lambda: None) for split in ("train", "val")
    )
    made = _cached(run / "made.npz", lambda: made_cells(1500))
    _LOG.info(
        "training cells: PBC %d, Kaggle %d, made %d; validation %d + %d",
        len(pbc),
        len(kaggle),
        len(made),
        len(pbc_val),
        len(kaggle_val),
    )
    domains = [(pbc, 0.68), (kaggle, 0.22), (made, 0.10)]
    network = wbc_network(len(CELL_TYPES), {k: len(v) for k, v in ATTRIBUTES.items()})
    load_imagenet(network, settings)
    fit(
        network,
        Plan(
            phases=scaled(PHASES, epochs),
            batches=lambda phase: TrainingCells(
                domains, phase.size, batch=BATCH, steps=STEPS, seed=seed
            ),
            validation=lambda phase: validation_cells([pbc_val, kaggle_val], phase.size, 64),
            compile_arguments=_compile_arguments(),
        ),
        run,
    )
    return network, (pbc_val, kaggle_val)


def publish(trained: tuple[Any, tuple[Cells, ...]], settings: Settings, version: str) -> None:
    """Calibrate on validation cells, export, write the card and copy the history."""
    network, validation = trained
    crops = np.concatenate([central_crops(cells, SIZE) for cells in validation])
    truth = np.concatenate([cells.types for cells in validation])
    folder = settings.models / "wbc"
    export = classifier_for_export(network, "type", SIZE)
    save_weights(network, folder)
    write_litert(export, folder, list(crops[:: max(len(crops) // 4, 1)][:4]))
    engine = LiteRTEngine((folder / "model.tflite").read_bytes())
    logits = np.stack([mirrored_mean(engine, crop)["type"] for crop in crops])
    temperature = fit_temperature(logits, truth)
    threshold = uncertainty_threshold(softmax(logits, temperature), truth)
    pbc, kaggle = open_set("pbc", settings), open_set("kaggle", settings)
    write_card(
        folder,
        name="wbc",
        version=version,
        task="Names the type of one white cell, and eleven morphological attributes",
        architecture="MobileNetV2 (alpha 1, folded batch norm), shared trunk, linear heads",
        labels=list(CELL_TYPES),
        attributes={k: list(v) for k, v in ATTRIBUTES.items()},
        input_width=SIZE,
        input_height=SIZE,
        preprocessing="Square crop, 1.4 times the cell's longer side, RGB 0..255 as float32; "
        "mean logits of the crop and its two mirror images",
        temperature=temperature,
        thresholds={"uncertain": threshold},
        training_data=[
            "PBC train split (CC BY 4.0)",
            "Kaggle blood cells TRAIN, cells found by the detector (MIT)",
            "made cells of five types",
        ],
        data_fingerprint=f"pbc {pbc.fingerprint()[:16]}, kaggle {kaggle.fingerprint()[:16]}",
        intended_use="Research and teaching: suggestions that a trained person verifies.",
        limits=[
            "PBC holds cells of healthy donors: no blasts, no dysplasia, no parasites.",
            "Erythroblasts, immature granulocytes and platelets were seen from one laboratory.",
            "Under another stain, camera or preparation expect lower accuracy and check a sample.",
        ],
    )
