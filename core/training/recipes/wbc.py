"""Training of the single-cell classifier: eight types, eleven attributes, and what is no cell."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.datasets.readers import open_set
from core.domain.results import Pixels
from core.domain.taxonomy import ATTRIBUTES, CELL_TYPES
from core.evaluation.calibration import (
    cellness_threshold,
    fit_temperature,
    softmax,
    uncertainty_threshold,
)
from core.inference.cell_classifier import CROP_MICROMETRES, mirrored_mean
from core.inference.ood import Looks
from core.inference.runtime import Engine, LiteRTEngine
from core.model_card import MODEL_FILE
from core.settings import Settings
from core.training.augmentation import appearance
from core.training.data.cell_batches import REDRAWN, TrainingCells, validation_cells
from core.training.data.cells import DETAILS, HEADS, NO_TYPE, Cells, central_crops, joined
from core.training.data.eight_type_sources import VALIDATION, cells_of_domains
from core.training.export import classifier_for_export, save_weights, write_card, write_litert
from core.training.loop import Phase, Plan, fit, scaled
from core.training.networks.mobilenet import load_imagenet, wbc_network
from core.training.ood import away_temperature, fitted_looks, write_looks

SIZE = 160
_LOG = logging.getLogger(__name__)
BATCH = 32
STEPS = 380
PHASES = (
    Phase("head", 1, 2e-3, None, 128),
    Phase("coarse", 13, 5e-4, "block_3_expand", 128),
    Phase("fine", 8, 2.5e-4, "block_3_expand", SIZE),
    # Milder looks, and cells of two more laboratories under the types they were given so far.
    Phase("calm", 9, 2e-4, "block_3_expand", SIZE),
    Phase("again", 11, 2e-4, "block_3_expand", SIZE),
    # Lymphocytes and monocytes with as much cytoplasm as reactive ones have.
    Phase("redrawn", 9, 2e-4, "block_3_expand", SIZE),
)
_DETAIL_WEIGHT, _WHITE_WEIGHT = 0.06, 0.2
_SHARES = {"pbc": 0.60, "kaggle": 0.22, "made": 0.08, "none": 0.10}
_CALM_PHASES = ("calm", "again", "redrawn")
_CALM_SHARES = {"pbc": 0.52, "kaggle": 0.25, "made": 0.04, "none": 0.09}
_UNTYPED_SHARE = 0.10
_SURE = 0.95
"""Confidence from which on the network's own answer counts as a cell's type."""

FAR = appearance.Strength(stain=1.4, camera=1.4, blur=1.4, noise=1.4)
"""Appearance beyond that of training, in the place of sources nobody has cells of."""

Trained = tuple[Any, Cells, tuple[Looks, float]]
"""A network, its validation cells, the looks of its training cells with their threshold."""


def _compile_arguments() -> dict[str, Any]:
    import keras

    def loss() -> Any:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    weights = dict.fromkeys(DETAILS, _DETAIL_WEIGHT) | {"type": 1.0, "white": _WHITE_WEIGHT}
    return {
        "loss": {name: loss() for name in weights},
        "loss_weights": weights,
        "weighted_metrics": {"type": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]},
    }


def _typed_by(network: Any, cells: Cells) -> Cells:
    """Return the cells whose type the network is sure of, under that type.

    Pseudo-labels: Lee 2013, ICML Workshop on Challenges in Representation Learning.
    """
    crops = central_crops(cells, SIZE).astype(np.float32)
    views = (crops, crops[:, ::-1], crops[:, :, ::-1])
    logits = [network.predict(view, batch_size=64, verbose=0)["type"] for view in views]
    probabilities = softmax(np.mean(logits, axis=0), 1.0)
    sure = probabilities.max(1) >= _SURE
    types = probabilities.argmax(1)[sure]
    _LOG.info("typed by the network: %s", np.bincount(types, minlength=len(CELL_TYPES)))
    return Cells(cells.crops[sure], types, cells.details[sure], cells.unscaled[sure])


def train(settings: Settings, run: Path, *, epochs: float = 1.0, seed: int = 1) -> Trained:
    """Train into a run folder and return the network with what its card is made from."""
    domains = cells_of_domains(settings, run, *_SHARES, *VALIDATION, "untyped")
    # Cells are coloured as those of laboratories beside PBC are.
    others = [*domains["untyped"].crops, *domains["kaggle"].crops[::3]]
    tones = np.stack([appearance.tone(crop) for crop in others])
    _LOG.info("cells: %s; %d tones", {k: len(v) for k, v in domains.items()}, len(tones))
    validation = joined([domains[name] for name in VALIDATION])
    network = wbc_network(len(CELL_TYPES), HEADS)
    load_imagenet(network, settings)

    def batches(phase: Phase) -> TrainingCells:
        calm = phase.name in _CALM_PHASES
        shares = _CALM_SHARES if calm else _SHARES
        training = [(domains[name], share) for name, share in shares.items()]
        if calm:
            training.append((_typed_by(network, domains["untyped"]), _UNTYPED_SHARE))
        return TrainingCells(
            training,
            tones,
            phase.size,
            batch=BATCH,
            steps=STEPS,
            seed=seed,
            strong=0.3 if calm else 0.6,
            restained=0.25 if calm else 0.35,
            redrawn=REDRAWN if phase.name == "redrawn" else 0.0,
        )

    fit(
        network,
        Plan(
            phases=scaled(PHASES, epochs),
            batches=batches,
            validation=lambda phase: validation_cells(validation, phase.size, 64),
            compile_arguments=_compile_arguments(),
        ),
        run,
    )
    return network, validation, fitted_looks(domains, SIZE)


def publish(trained: Trained, settings: Settings, version: str) -> None:
    """Export, calibrate on validation cells and write the card."""
    network, validation, (looks, least_familiar) = trained
    folder = settings.models / "wbc"
    export = classifier_for_export(network, "type", SIZE)
    save_weights(network, folder)
    write_litert(export, folder, list(central_crops(validation, SIZE)[:4]))
    engine = LiteRTEngine((folder / MODEL_FILE).read_bytes())
    pbc, kaggle = open_set("pbc", settings), open_set("kaggle", settings)
    calibration = calibrated(engine, validation)
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
        preprocessing=(
            f"Square crop of {CROP_MICROMETRES:.0f} µm around the cell by the red cells' or the "
            "file's scale (1.8 times the cell's longer side without one), RGB 0..255 as float32; "
            "mean logits of the crop and its two mirror images"
        ),
        appearance_sha256=write_looks(looks, folder),
        ood_temperature=away_temperature(settings, calibration["temperature"]),
        temperature=calibration["temperature"],
        thresholds=calibration["thresholds"] | {"appearance_density": least_familiar},
        training_data=[
            "PBC train split (CC BY 4.0)",
            "WBCAtt, attributes of these cells (MIT)",
            "Kaggle blood cells TRAIN, cells found by the detector (MIT)",
            "made cells of five types",
            "white cells of TXL-PBC and BCCD train, typed by the network of an earlier phase (MIT)",
            "red cells, glass and rims of cells from TXL-PBC and BCCD train (MIT), as no cells",
        ],
        data_fingerprint=f"pbc {pbc.fingerprint()[:16]}, kaggle {kaggle.fingerprint()[:16]}",
        intended_use="Research and teaching: suggestions that a trained person verifies.",
        limits=[
            "PBC holds cells of healthy donors: no blasts, no dysplasia, no parasites.",
            "Erythroblasts, immature granulocytes and platelets were seen from one laboratory.",
            "Under another stain, camera or preparation expect lower accuracy and check a sample.",
        ],
    )


def fit_temperature_away(
    answer: Callable[[Pixels], NDArray[np.float32]],
    crops: Sequence[Pixels] | NDArray[np.uint8],
    truth: NDArray[np.int64],
    *,
    seed: int = 0,
) -> float:
    """Return the temperature that suits cells at home and cells that look otherwise alike.

    Fitted on every validation crop twice: as it is, and with an appearance drawn from `FAR`.
    `answer` gives the logits of a crop, `truth` are the n label indices. Fitted at home alone, a
    temperature is too low under a shift (Ovadia et al. 2019, NeurIPS).
    """
    rng = np.random.default_rng(seed)
    logits = [answer(crop) for crop in crops]
    logits += [answer(appearance.look(crop, rng, FAR)) for crop in crops]
    return fit_temperature(np.stack(logits), np.concatenate([truth, truth]))


def calibrated(engine: Engine, validation: Cells, size: int = SIZE) -> dict[str, Any]:
    """Return `temperature` and `thresholds` of a file for size x size crops.

    Chosen on validation cells and on what is no cell among them.
    """
    crops, is_cell = central_crops(validation, size), validation.types != NO_TYPE
    answers = [mirrored_mean(engine, crop) for crop in crops]
    logits = np.stack([answer["type"] for answer in answers])[is_cell]
    white = softmax(np.stack([answer["white"] for answer in answers]), 1.0)[is_cell, 1]
    truth = validation.types[is_cell]
    temperature = fit_temperature_away(
        lambda crop: mirrored_mean(engine, crop)["type"], crops[is_cell], truth
    )
    threshold = uncertainty_threshold(softmax(logits, temperature), truth)
    return {
        "temperature": temperature,
        "thresholds": {"uncertain": threshold, "cellness": cellness_threshold(white)},
    }
