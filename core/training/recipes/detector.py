"""Training of the detector: white cells, red cells and platelets in fields."""

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from core.datasets.readers import open_set
from core.domain.taxonomy import CELL_KINDS, KIND_NAMES
from core.errors import ModelError
from core.inference.detector import (
    MULTIPLE,
    RED_CELL_SIDE,
    WANTED_RED_CELL,
    WANTED_WHITE_CELL,
    Detector,
)
from core.inference.runtime import Engine, LiteRTEngine
from core.model_card import MODEL_FILE, DetectorCard, load_card
from core.settings import Settings
from core.training.augmentation import appearance
from core.training.data.clumps import crowded_fields, crowded_holdout, flattened
from core.training.data.detection_batches import TrainingFields, whole_fields
from core.training.data.detection_fields import (
    Labelled,
    hits_of,
    real_fields,
    small_cell_fields,
    synthetic_fields,
)
from core.training.export import detector_for_export, write_card, write_litert
from core.training.loop import Plan, Stage, fit, scaled
from core.training.networks.detection_loss import DetectionLoss
from core.training.networks.mobilenet import detector_network, load_imagenet

_LOG = logging.getLogger(__name__)
BATCH = 16
SIZE = 384
"""Longest side of a field in use: at 480 no more is found on validation fields, and slower."""


class Mix(NamedTuple):
    """How the views of a stage are drawn."""

    strong: float = 0.5
    """Proportion with a strongly changed appearance."""
    mosaics: float = 0.15
    """Proportion that joins four or nine images."""
    crowded: float = 0.0
    """Proportion of fields with composed clumps."""
    small: float = 0.0
    """Proportion of fields at low magnification."""


STAGES: dict[Stage, Mix] = {
    Stage("heads at 256 px", 1, 1e-3, None, 256): Mix(),
    Stage("trunk at 256 px", 16, 8e-4, "block_3_expand", 256): Mix(),
    Stage("trunk at 320 px", 9, 5e-4, "block_3_expand", 320): Mix(),
    # Small cells need the pixels, exact boxes few mosaics and mild changes.
    Stage("boxes at 384 px", 7, 2.5e-4, "block_3_expand", 384): Mix(0.2, 0.05),
    # A warm restart (Loshchilov and Hutter 2017, ICLR) finds better boxes than a longer tail.
    Stage("restart at 320 px", 8, 4e-4, "block_3_expand", 320): Mix(0.5, 0.1),
    Stage("restart at 384 px", 14, 3e-4, "block_3_expand", 384): Mix(0.25, 0.05),
    Stage("mild views at 384 px", 16, 3e-4, "block_3_expand", 384): Mix(0.12, 0.03),
    # Small platelets need more pixels still.
    Stage("platelets at 480 px", 12, 3e-4, "block_3_expand", 480): Mix(0.12, 0.03),
    Stage("small and crowded cells", 99, 3e-4, "block_4_expand", 320, minutes=20): Mix(
        0.25, 0.2, crowded=0.3, small=0.25
    ),
}
_SMALL_THRESHOLD_EVERY = 4
"""Of the validation fields at low magnification that thresholds are chosen on."""
_LAST_SHARE = 0.6
"""Share of the last stage in the averaged weights, chosen on validation fields."""
_SETS = ("txl", "bccd", "pig_fields", "deepapl")
_SYNTHETIC_SHARE = 0.12
"""Of the fields that are neither crowded nor at low magnification."""
_FIRST_THRESHOLDS = dict.fromkeys(CELL_KINDS, 0.3)
"""From which the search starts: red cells above it set the scale of the second pass."""
_LOWEST = 0.05
"""Candidates below this score are left out."""


def train(
    settings: Settings, run: Path, *, epochs: float = 1.0, seed: int = 1
) -> tuple[Any, list[Labelled]]:
    """Train into a run folder and return the network with its validation fields."""
    real, validation = real_fields(settings)
    synthetic = synthetic_fields(250)
    small = small_cell_fields(settings, "train")
    crowded = crowded_fields(settings, real, small)
    steps = max(len(real) * 5 // 4 // BATCH, 1)
    _LOG.info(
        "%d real and %d synthetic training fields, %d for validation",
        len(real),
        len(synthetic),
        len(validation),
    )
    mixes = {stage.name: mix for stage, mix in STAGES.items()}

    def groups(stage: Stage) -> list[tuple[list[Labelled], float]]:
        mix = mixes[stage.name]
        usual = 1 - mix.crowded - mix.small
        return [
            (real, usual * (1 - _SYNTHETIC_SHARE)),
            (synthetic, usual * _SYNTHETIC_SHARE),
            (crowded, mix.crowded),
            (small, mix.small),
        ]

    network = detector_network(len(CELL_KINDS))
    load_imagenet(network, settings)
    _fit_and_average(
        network,
        Plan(
            stages=scaled(tuple(STAGES), epochs),
            batches=lambda stage: TrainingFields(
                groups(stage),
                stage.size,
                batch=BATCH,
                steps=steps,
                seed=seed,
                strong=mixes[stage.name].strong,
                mosaics=mixes[stage.name].mosaics,
            ),
            validation=lambda stage: whole_fields(validation, stage.size, BATCH),
            compile_arguments={"loss": DetectionLoss(len(CELL_KINDS))},
            patience=12,
        ),
        run,
    )
    return network, validation


def _fit_and_average(network: Any, plan: Plan, run: Path) -> None:
    """Train, then average the weights after and before the last stage.

    The average keeps what the last stage forgets, small platelets above all, and most of what it
    learns (Wortsman et al. 2022, CVPR: WiSE-FT).
    """
    earlier = run / "earlier.weights.h5"
    if not earlier.exists():
        run.mkdir(parents=True, exist_ok=True)
        if plan.stages[:-1]:
            fit(network, replace(plan, stages=plan.stages[:-1]), run)
        network.save_weights(earlier)
    fit(network, plan, run)
    after = network.get_weights()
    network.load_weights(earlier)
    before = network.get_weights()
    pairs = zip(before, after, strict=True)
    network.set_weights([(1 - _LAST_SHARE) * b + _LAST_SHARE * a for b, a in pairs])


def publish(trained: tuple[Any, list[Labelled]], settings: Settings, version: str) -> None:
    """Export, choose the score thresholds on validation fields and write the card."""
    network, validation = trained
    folder = settings.models / "detector"
    size = SIZE
    examples = [
        np.asarray(cv2.resize(v.pixels, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
        for v in validation[:3]
    ]
    write_litert(detector_for_export(network, len(CELL_KINDS), size), folder, examples)
    card = {
        "name": "detector",
        "version": version,
        "task": "Finds white cells, red cells and platelets in fields of any size",
        "architecture": (
            "MobileNetV2 (alpha 1, folded batch norm), feature pyramid to stride 8, one-stage "
            "anchor-free head with distance distributions, task-aligned assignment"
        ),
        "labels": list(CELL_KINDS),
        "input_width": size,
        "input_height": size,
        "preprocessing": (
            f"RGB 0..255 as float32, scaled so that the longest side has {size} pixels, again "
            f"so that red cells have about {WANTED_RED_CELL:.0f} when they come out smaller than "
            f"{RED_CELL_SIDE[0]:.0f}, or white cells about {WANTED_WHITE_CELL:.0f} where red ones "
            f"are missing; sides padded with black to multiples of {MULTIPLE}; the mirrored image "
            "too"
        ),
        "training_data": [
            "TXL-PBC train and two thirds of val (MIT)",
            "BCCD train and val that TXL-PBC does not hold (MIT)",
            "WBC-detection-dataset, training part: pig blood at low magnification (CC0)",
            "clumps of white cells out of these",
            "clumps of cells out of DeepAPL folds 0-3 (no explicit grant: research use only)",
            "synthetic fields",
        ],
        "data_fingerprint": ", ".join(
            f"{name} {open_set(name, settings).fingerprint()[:16]}" for name in _SETS
        ),
        "intended_use": "Research and teaching: counts that a trained person verifies.",
        "limits": [
            "Cells cut by the image's border are found less often.",
            "In thick areas overlapping red cells are counted too low.",
            "On another source's slides expect white cells to be missed; look at the boxes.",
        ],
    }
    engine = LiteRTEngine((folder / MODEL_FILE).read_bytes())
    # The detector that chooses the thresholds needs a card to start from.
    write_card(folder, thresholds=_FIRST_THRESHOLDS, **card)
    first = load_card("detector", settings)
    fields = threshold_fields(settings, validation)
    write_card(folder, **calibrated(engine, first, fields), **card)


def threshold_fields(settings: Settings, validation: Sequence[Labelled]) -> list[Labelled]:
    """Return the validation fields that thresholds are chosen on: usual, crowded, small cells."""
    small = small_cell_fields(settings, "val")[::_SMALL_THRESHOLD_EVERY]
    return [*validation, *crowded_holdout(settings, validation), *small]


def calibrated(
    engine: Engine, card: DetectorCard, validation: Sequence[Labelled]
) -> dict[str, Any]:
    """Return `thresholds` of a file, chosen on validation fields.

    Each is used with corrected light, as it is and twice with another appearance: on known sources
    nearly any score means a white cell.
    """
    started = card.changed(thresholds=_FIRST_THRESHOLDS)
    rng = np.random.default_rng(9)
    changed = [
        replace(field, pixels=appearance.augment_appearance(field.pixels, rng))
        for field in validation
        for _ in range(2)
    ]
    fields = flattened([*validation, *changed])
    return {"thresholds": best_thresholds(Detector(engine, started), fields)}


def best_thresholds(detector: Detector, fields: Sequence[Labelled]) -> dict[str, float]:
    """Return per kind the score threshold with the best F1 at IoU .5 on labelled fields.

    It lies halfway between the last score that belongs in and the first that does not. Fields
    whose white cells alone have boxes choose the threshold of white cells alone. Raises
    ModelError when nothing of a kind is found.
    """
    frames = [
        sorted(detector.detect(field.pixels, lowest=_LOWEST), key=lambda d: -d.score)
        for field in fields
    ]
    thresholds: dict[str, float] = {}
    for kind in CELL_KINDS:
        truths = 0
        scored: list[tuple[float, bool]] = []
        for field, frame in zip(fields, frames, strict=True):
            if kind == "wbc" or not field.only_white:
                truth, found = field.of_kind(kind), [d for d in frame if d.kind == kind]
                truths += len(truth)
                scored += zip((d.score for d in found), hits_of(found, truth, 0.5), strict=True)
        scored.sort(reverse=True)
        if not scored:
            missed = KIND_NAMES[kind].lower()
            raise ModelError(f"The detector finds no {missed} at all. Train it longer.")
        hits = np.cumsum([hit for _, hit in scored])
        f1 = 2 * hits / (np.arange(1, len(scored) + 1) + truths)
        scores = [score for score, _ in scored] + [_LOWEST]
        last_in = int(f1.argmax())
        thresholds[kind] = math.floor(500 * (scores[last_in] + scores[last_in + 1])) / 1000
    return thresholds
