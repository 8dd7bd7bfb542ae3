"""Training of the ALL classifier: five heads for held-out figures, one final head.

The trunk stays ImageNet's; the head is a logistic regression on its pooled features over the
eight positions of every field and over augmentations of stain, camera, colour, magnification and
sharpness. With 2,926 fields of one source that did better on held-out folds than training the
trunk further.
"""

import csv
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from core.datasets.readers import open_set
from core.domain.results import Pixels
from core.domain.taxonomy import STAGES
from core.evaluation.calibration import fit_temperature, softmax, uncertainty_threshold
from core.inference.field_classifier import CORNER, stage_input, tta_views
from core.inference.quality_control import SMEAR_SIZE
from core.settings import Settings
from core.training.data.all_fields import (
    FOLD_HEADS,
    FOLDS,
    Fields,
    all_fields,
    of_fold,
)
from core.training.data.field_augmentations import AUGMENTATIONS
from core.training.data.quality_control import THRESHOLD, Gate, fit_field_gate, fit_smear_gate
from core.training.export import classifier_for_export, write_card, write_litert
from core.training.loop import HISTORY_FIRST, HISTORY_LAST
from core.training.networks.mobilenet import all_stage_network, load_imagenet

SIZE = 336
"""Fields have 224 pixels a side; larger, the trunk sees their small cells better."""
BATCH = 32
INVERSE_PENALTY = 0.3
"""scikit-learn's C, on standardised features."""
ROUNDS = 12
"""Rows of the history at most."""
ITERATIONS = 15
"""Steps of the optimiser between two rows of the history."""
_LOG = logging.getLogger(__name__)

Features = NDArray[np.float32]
"""n x views x 1280."""


@dataclass(frozen=True, slots=True, eq=False)
class FieldFeatures:
    """The trunk's features of all fields."""

    positions: Features
    """In their eight positions."""
    augmented: Features
    """Augmented, each in a random position."""


def _features_of(network: Any, fields: Fields, run: Path) -> FieldFeatures:
    """Return the features of all views, kept beside the run."""
    import keras

    trunk = keras.Model(network.input, network.get_layer("pooled").output)

    def features(name: str, views: Callable[[int], Sequence[Pixels]]) -> Features:
        cache = run / f"{name}.npy"
        if not cache.exists():
            rows = []
            for number in tqdm(range(len(fields)), desc=name):
                pixels = np.stack(views(number)).astype(np.float32)
                rows.append(trunk.predict_on_batch(pixels).astype(np.float16))
            cache.parent.mkdir(parents=True, exist_ok=True)
            np.save(cache, np.stack(rows))
        return np.load(cache).astype(np.float32)

    def augmented(name: str, number: int) -> list[Pixels]:
        rng = np.random.default_rng((AUGMENTATIONS[name].seed, number))
        return [
            tta_views(stage_input(pixels, SIZE))[int(rng.integers(8))]
            for pixels in AUGMENTATIONS[name].of(fields, number, rng)
        ]

    return FieldFeatures(
        features("positions", lambda number: tta_views(stage_input(fields.pixels[number], SIZE))),
        np.concatenate(
            [features(name, partial(augmented, name)) for name in AUGMENTATIONS], axis=1
        ),
    )


def _fit_head(  # noqa: PLR0913, PLR0917 - what one of six equal fits differs in
    network: Any,
    features: FieldFeatures,
    fields: Fields,
    held_out: NDArray[np.bool_],
    run: Path,
    most: int,
) -> None:
    """Set the network's head from the fields not held out; write `history.csv` on both parts.

    With nothing held out both parts are all fields. Stops after `most` rounds, or when a round no
    longer lowers the training loss by a thousandth.
    """
    kept = ~held_out
    validation = held_out if held_out.any() else kept
    scaler = StandardScaler().fit(features.positions[kept, 0])
    shown = np.concatenate([features.positions[kept], features.augmented[kept]], axis=1)
    truth = np.repeat(fields.stages[kept], shown.shape[1])
    shown = scaler.transform(shown.reshape(-1, shown.shape[2]))
    # The mean logits over positions are those of the mean features: the head is linear.
    other = scaler.transform(features.positions[validation].mean(1))
    regression = LogisticRegression(C=INVERSE_PENALTY, max_iter=ITERATIONS, warm_start=True)
    run.mkdir(parents=True, exist_ok=True)
    before = np.inf
    with (run / "history.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow((*HISTORY_FIRST, "accuracy", "val_accuracy", *HISTORY_LAST))
        for number in range(1, most + 1):
            regression.fit(shown, truth)
            held = softmax(regression.decision_function(other), 1.0)
            loss = log_loss(truth, regression.predict_proba(shown))
            row = (
                loss,
                log_loss(fields.stages[validation], held, labels=list(range(len(STAGES)))),
                regression.score(shown, truth),
                float((held.argmax(1) == fields.stages[validation]).mean()),
            )
            writer.writerow((number, "head", *(f"{value:.6g}" for value in row), "", ""))
            if before - loss < 1e-3:
                break
            before = loss
    kernel = regression.coef_.T / scaler.scale_[:, None]
    bias = regression.intercept_ - scaler.mean_ @ kernel
    network.get_layer("stage").set_weights([kernel, bias])
    _LOG.info("%s: %.4f right of %d validation", run.name, row[-1], validation.sum())


def train(
    settings: Settings, run: Path, *, epochs: float = 1.0, seed: int = 1
) -> tuple[Any, NDArray[np.float32]]:
    """Train the five fold heads and the final one.

    Returns the final network, and for every field the logits of the head that did not see its
    fold (n x classes). The fold heads are kept in `models/all_stage/folds.npz`, so that
    evaluation can repeat the held-out figures; the trunk is the same for all. Nothing here is
    random: `seed` changes nothing.
    """
    del seed
    fields = all_fields(settings)
    network = all_stage_network(len(STAGES))
    load_imagenet(network, settings)
    features = _features_of(network, fields, run)
    most = max(round(ROUNDS * epochs), 1)
    held_out = np.zeros((len(fields), len(STAGES)), np.float32)
    heads: dict[str, Any] = {}
    for fold in FOLDS:
        rows = of_fold(fields, fold)
        _fit_head(network, features, fields, rows, run / f"fold_{fold}", most)
        kernel, bias = network.get_layer("stage").get_weights()
        held_out[rows] = features.positions[rows].mean(1) @ kernel + bias
        heads |= {f"{fold}/kernel": kernel, f"{fold}/bias": bias}
    folder = settings.models / "all_stage"
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / FOLD_HEADS, **heads)
    _fit_head(network, features, fields, np.zeros(len(fields), bool), run / "final", most)
    return network, held_out


def publish(trained: tuple[Any, NDArray[np.float32]], settings: Settings, version: str) -> None:
    """Export the final model; calibrate on what the fold heads say of their held-out fields."""
    network, logits = trained
    fields = all_fields(settings)
    folder = settings.models / "all_stage"
    gates = fit_gates(network, settings)
    examples = [stage_input(p, SIZE) for p in fields.pixels[:: len(fields) // 3][:3]]
    write_litert(classifier_for_export(network, "stage", SIZE, gates), folder, examples)
    calibration = calibrated(logits, fields.stages)
    write_card(
        folder,
        name="all_stage",
        version=version,
        task=(
            "Grades a field of suspected acute lymphoblastic leukaemia; its trunk also "
            "separates smears from other images and ALL fields from other smears (quality control)"
        ),
        architecture="MobileNetV2 (alpha 1, folded batch norm) as of ImageNet, linear head",
        labels=list(STAGES),
        input_width=SIZE,
        input_height=SIZE,
        preprocessing=(
            f"Bottom right corner ({CORNER:.0%} of each side) painted in the glass colour, "
            "whole field scaled to the input, RGB 0..255 as float32; mean logits of the "
            "field's eight positions"
        ),
        temperature=calibration["temperature"],
        thresholds=calibration["thresholds"] | dict.fromkeys(gates, THRESHOLD),
        training_data=[
            "Taleqani ALL, all folds and for the gates (no licence named, research use)",
            "for the gates: training parts of PBC (CC BY 4.0), Kaggle, TXL-PBC, BCCD (MIT)",
            "for the gates: textures, photographs of scikit-learn (BSD) and matplotlib (PSF)",
        ],
        data_fingerprint=f"taleqani {open_set('taleqani', settings).fingerprint()[:16]}",
        intended_use="Research and teaching: suggestions that a trained person verifies.",
        limits=[
            "One source, one stain, one camera; patients are not identified in the set.",
            "Trained on fields of suspected ALL only: other fields have no right answer.",
            "Colour differs by class in the training set, and the model relies on it.",
            "The classes were taken at scales of their own; other magnifications are imitated.",
            "A smear image alone does not establish the subtype; flow cytometry does.",
        ],
    )


def fit_gates(network: Any, settings: Settings) -> dict[str, Gate]:
    """Return the input gates on a network's trunk by their outputs' names."""
    return {
        "smear": fit_smear_gate(network, settings, SMEAR_SIZE),
        "all_field": fit_field_gate(network, settings, SIZE),
    }


def calibrated(logits: NDArray[np.float32], stages: NDArray[np.int64]) -> dict[str, Any]:
    """Return `temperature` and `thresholds`, chosen on the logits of held-out fields."""
    temperature = fit_temperature(logits, stages)
    threshold = uncertainty_threshold(softmax(logits, temperature), stages)
    return {"temperature": temperature, "thresholds": {"uncertain": threshold}}
