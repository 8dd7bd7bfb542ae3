"""Training of the ALL field model: five fold models for honest figures, one final model.

The trunk stays ImageNet's; the head is a logistic regression on its pooled features over turned
views of every field. With 2,926 fields of one laboratory that did better on held-out folds than
training the trunk further, with strong or mild changes of the stain.
"""

import csv
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from core.inference.classifier import softmax
from core.inference.engine import LiteRTEngine
from core.inference.stage import CORNER, stage_input, stage_logits, turned
from core.learning.architectures import all_stage_network, load_imagenet
from core.learning.calibrate import fit_temperature, uncertainty_threshold
from core.learning.datasets import open_set
from core.learning.export import (
    classifier_for_export,
    save_weights,
    write_card,
    write_litert,
)
from core.learning.field_data import FOLDS, Fields, all_fields, of_folds
from core.settings import Settings
from core.taxonomy import STAGES

SIZE = 224
BATCH = 32
INVERSE_PENALTY = 3.0
ROUNDS = 12
ITERATIONS = 15
"""Steps of the optimiser between two rows of the history."""
_LOG = logging.getLogger(__name__)

Features = NDArray[np.float32]
"""Views x n x 1280."""


def _features(network: Any, fields: Fields, cache: Path) -> Features:
    """Return what the trunk sees in every turned view, kept beside the run."""
    import keras

    if cache.exists():
        return np.asarray(np.load(cache))
    trunk = keras.Model(network.input, network.get_layer("pooled").output)
    inputs = [turned(stage_input(pixels, SIZE)) for pixels in fields.pixels]
    views = []
    for number in range(len(inputs[0])):
        pixels = np.stack([view[number] for view in inputs]).astype(np.float32)
        views.append(trunk.predict(pixels, batch_size=BATCH, verbose="auto"))
    features = np.stack(views)
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.save(cache, features)
    return features


def _fit_head(  # noqa: PLR0913, PLR0917 - what one of six equal fits differs in
    network: Any,
    features: Features,
    fields: Fields,
    held_out: NDArray[np.bool_],
    run: Path,
    most: int,
) -> None:
    """Set the network's head from the fields not held out; write `history.csv` on both parts.

    Stops early when a round no longer lowers the training loss by a thousandth.
    """
    kept = ~held_out if held_out.any() and not held_out.all() else np.ones(len(fields), bool)
    watched = held_out if held_out.any() else kept
    scaler = StandardScaler().fit(features[0][kept])
    seen = np.concatenate([scaler.transform(view[kept]) for view in features])
    truth = np.tile(fields.stages[kept], len(features))
    other = [scaler.transform(view[watched]) for view in features]
    regression = LogisticRegression(C=INVERSE_PENALTY, max_iter=ITERATIONS, warm_start=True)
    run.mkdir(parents=True, exist_ok=True)
    before = np.inf
    with (run / "history.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(
            (
                "epoch",
                "phase",
                "loss",
                "val_loss",
                "accuracy",
                "val_accuracy",
                "learning_rate",
                "seconds",
            )
        )
        for number in range(1, most + 1):
            regression.fit(seen, truth)
            held = softmax(np.mean([regression.decision_function(o) for o in other], axis=0), 1.0)
            loss = log_loss(truth, regression.predict_proba(seen))
            row = (
                loss,
                log_loss(fields.stages[watched], held, labels=list(range(len(STAGES)))),
                regression.score(seen, truth),
                float((held.argmax(1) == fields.stages[watched]).mean()),
            )
            writer.writerow((number, "head", *(f"{value:.6g}" for value in row), "", ""))
            if before - loss < 1e-3:
                break
            before = loss
    kernel = regression.coef_.T / scaler.scale_[:, None]
    bias = regression.intercept_ - scaler.mean_ @ kernel
    network.get_layer("stage").set_weights([kernel, bias])
    _LOG.info("%s: %.4f right of %d watched", run.name, row[-1], watched.sum())


def train(settings: Settings, run: Path, *, epochs: float = 1.0, seed: int = 1) -> Any:
    """Train the five fold models and the final one; return the final network.

    Fold models are exported to `models/all_stage/folds/`, so that evaluation can repeat the
    held-out figures. Nothing here is random: `seed` changes nothing.
    """
    del seed
    fields = all_fields(settings)
    network = all_stage_network(len(STAGES))
    load_imagenet(network, settings)
    features = _features(network, fields, run / "features.npy")
    most = max(round(ROUNDS * epochs), 1)
    for fold in FOLDS:
        _fit_head(network, features, fields, of_folds(fields, fold), run / f"fold_{fold}", most)
        _export(network, fields, settings.models / "all_stage" / "folds" / fold)
    nothing = np.zeros(len(fields), bool)
    _fit_head(network, features, fields, nothing, run / "final", most)
    return network


def _export(network: Any, fields: Fields, folder: Path) -> Path:
    examples = [stage_input(p, SIZE) for p in fields.pixels[:: len(fields) // 3][:3]]
    return write_litert(classifier_for_export(network, "stage", SIZE), folder, examples)


def publish(network: Any, settings: Settings, version: str) -> None:
    """Export the final model; calibrate on what the fold models say of their held-out fields."""
    fields = all_fields(settings)
    folder = settings.models / "all_stage"
    _export(network, fields, folder)
    save_weights(network, folder)
    logits = np.zeros((len(fields), len(STAGES)), np.float32)
    for fold in FOLDS:
        engine = LiteRTEngine((folder / "folds" / fold / "model.tflite").read_bytes())
        for row in np.nonzero(of_folds(fields, fold))[0]:
            logits[row] = stage_logits(engine, fields.pixels[row], SIZE)
    temperature = fit_temperature(logits, fields.stages)
    threshold = uncertainty_threshold(softmax(logits, temperature), fields.stages)
    write_card(
        folder,
        name="all_stage",
        version=version,
        task="Grades a field of suspected acute lymphoblastic leukaemia",
        architecture="MobileNetV2 (alpha 1, folded batch norm) as of ImageNet, linear head",
        labels=list(STAGES),
        input_width=SIZE,
        input_height=SIZE,
        preprocessing=(
            f"Bottom right corner ({CORNER:.0%} of each side) painted in the glass colour, "
            "whole field scaled to the input, RGB 0..255 as float32; mean logits of five turned "
            "views"
        ),
        temperature=temperature,
        thresholds={"uncertain": threshold},
        training_data=["Taleqani ALL (Ghaderzadeh et al. 2021), all five folds"],
        data_fingerprint=f"taleqani {open_set('taleqani', settings).fingerprint()[:16]}",
        intended_use="Research and teaching: suggestions that a trained person verifies.",
        limits=[
            "One laboratory, one stain, one camera; patients are not identified in the set.",
            "Trained on fields of suspected ALL only: other fields have no right answer.",
            "Stain tone differs by class in the training set, and the model leans on it.",
            "A smear image alone does not establish the subtype; flow cytometry does.",
        ],
    )
