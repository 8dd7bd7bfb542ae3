"""Training of the ALL field model: five fold models for honest figures, one final model."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from core.inference.classifier import softmax
from core.inference.engine import LiteRTEngine
from core.inference.stage import CORNER, stage_input
from core.learning.architectures import all_stage_network, load_imagenet
from core.learning.calibrate import fit_temperature, uncertainty_threshold
from core.learning.datasets import open_set
from core.learning.export import classifier_for_export, save_weights, write_card, write_litert
from core.learning.field_data import (
    FOLDS,
    Fields,
    TrainingFieldsOfStages,
    all_fields,
    of_folds,
    unchanged,
)
from core.learning.fitting import Phase, Plan, fit, scaled
from core.settings import Settings
from core.taxonomy import STAGES

SIZE = 224
BATCH = 32
PHASES = (Phase("top", 4, 2e-4, "block_11_expand", SIZE),)
_HEAD_VIEWS = 2
"""Changed views of every field, beside the unchanged one, that the head is fitted to."""
_LOG = logging.getLogger(__name__)


def _imagenet_features(fields: Fields, settings: Settings) -> NDArray[np.float32]:
    """Return what ImageNet's trunk sees in every field, views x n x 1280."""
    import keras

    network = all_stage_network(len(STAGES))
    load_imagenet(network, settings)
    trunk = keras.Model(network.input, network.get_layer("pooled").output)
    views = [unchanged(fields, SIZE)[0]]
    changed = TrainingFieldsOfStages(fields, SIZE, batch=1, seed=0)
    for view in range(_HEAD_VIEWS):
        rng = np.random.default_rng(view)
        views.append(np.stack([changed.view(p, rng) for p in fields.pixels]).astype(np.float32))
    return np.stack([trunk.predict(v, batch_size=BATCH, verbose=0) for v in views])


def _fit_head(network: Any, features: NDArray[np.float32], stages: NDArray[np.int64]) -> None:
    """Set the head to the logistic regression on features, views x n x 1280.

    From there the trunk is trained with small steps; from a random head it would first unlearn.
    """
    regression = LogisticRegression(C=1.0, max_iter=1000)
    regression.fit(features.reshape(-1, features.shape[-1]), np.tile(stages, len(features)))
    network.get_layer("stage").set_weights([regression.coef_.T, regression.intercept_])


def _train_on(  # noqa: PLR0913 - what one of six equal runs differs in
    fields: Fields,
    features: NDArray[np.float32],
    validation: Fields,
    settings: Settings,
    run: Path,
    *,
    epochs: float,
    seed: int,
) -> Any:
    import keras

    network = all_stage_network(len(STAGES))
    load_imagenet(network, settings)
    _fit_head(network, features, fields.stages)
    pixels, stages = unchanged(validation, SIZE)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    fit(
        network,
        Plan(
            phases=scaled(PHASES, epochs),
            batches=lambda phase: TrainingFieldsOfStages(
                fields, phase.size, batch=BATCH, seed=seed
            ),
            validation=lambda _phase: (pixels, stages),
            compile_arguments={"loss": loss, "metrics": metrics},
            # The held-out fold only watches: stopping on it would tune on it.
            patience=10_000,
        ),
        run,
    )
    return network


def train(settings: Settings, run: Path, *, epochs: float = 1.0, seed: int = 1) -> Any:
    """Train the five fold models and the final one; return the final network.

    Fold models are exported to `models/all_stage/folds/`, so that evaluation can repeat the
    held-out figures.
    """
    fields = all_fields(settings)
    features = _imagenet_features(fields, settings)
    for fold in FOLDS:
        folder = settings.models / "all_stage" / "folds" / fold
        if (run / f"fold_{fold}" / "exported").exists():
            continue
        held_out = of_folds(fields, fold)
        _LOG.info("fold %s: %d to train, %d held out", fold, (~held_out).sum(), held_out.sum())
        network = _train_on(
            fields.subset(~held_out),
            features[:, ~held_out],
            fields.subset(held_out),
            settings,
            run / f"fold_{fold}",
            epochs=epochs,
            seed=seed,
        )
        _export(network, fields, folder)
        (run / f"fold_{fold}" / "exported").touch()
    _LOG.info("final model: %d to train", len(fields))
    return _train_on(fields, features, fields, settings, run / "final", epochs=epochs, seed=seed)


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
            logits[row] = engine.run(stage_input(fields.pixels[row], SIZE)[None])["stage"][0]
    temperature = fit_temperature(logits, fields.stages)
    threshold = uncertainty_threshold(softmax(logits, temperature), fields.stages)
    write_card(
        folder,
        name="all_stage",
        version=version,
        task="Grades a field of suspected acute lymphoblastic leukaemia",
        architecture="MobileNetV2 (alpha 1, folded batch norm), linear head",
        labels=list(STAGES),
        input_width=SIZE,
        input_height=SIZE,
        preprocessing=(
            f"Bottom right corner ({CORNER:.0%} of each side) painted in the glass colour, "
            "whole field scaled to the input, RGB 0..255 as float32"
        ),
        temperature=temperature,
        thresholds={"uncertain": threshold},
        training_data=["Taleqani ALL (Ghaderzadeh et al. 2021), all five folds"],
        data_fingerprint=f"taleqani {open_set('taleqani', settings).fingerprint()[:16]}",
        intended_use="Research and teaching: suggestions that a trained person verifies.",
        limits=[
            "One laboratory, one stain, one camera; patients are not identified in the set.",
            "Trained on fields of suspected ALL only: other fields have no right answer.",
            "A smear image alone does not establish the subtype; flow cytometry does.",
        ],
    )
