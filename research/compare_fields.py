"""Small trainings of the detector that leave a part of the fields out: BCCD, and two of TXL-PBC.

`python -m research fields PART` trains from ImageNet at 256 px and measures on the TXL-PBC test
fields (labels corrected) of every part. None of these networks is shipped.
"""

from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np

from core.adaptation.own_set import measure_detector
from core.datasets.readers import open_set
from core.domain.results import Pixels
from core.domain.taxonomy import CELL_KINDS
from core.evaluation.comparisons import FieldsRow, ScoredFields
from core.evaluation.tables import FIELDS
from core.inference.detector import Detector
from core.inference.runtime import LiteRTEngine
from core.model_card import load_card
from core.settings import Settings
from core.training.data.detection_batches import TrainingFields, whole_fields
from core.training.data.detection_fields import Labelled, real_fields
from core.training.evaluate.detector import corrected
from core.training.export import detector_for_export, litert_file
from core.training.loop import Plan, Stage, fit, seconds_of
from core.training.networks.detection_loss import DetectionLoss
from core.training.networks.mobilenet import detector_network, load_imagenet
from research.comparisons import write_row

SIZE, STEPS, EPOCHS = 256, 60, 6
LOOK = 384
"""Longest side of a tested field for these networks."""
THRESHOLD = 0.3
"""Score from which on a box counts: none is tuned."""
_BATCH, _SEED, _PEAK_RATE = 16, 17, 8e-4


def part_of(pixels: Pixels) -> str:
    """Return the part that an image of TXL-PBC or BCCD belongs to, by its longer side."""
    longest = max(pixels.shape[:2])
    if longest < 400:
        return "txl_360"
    return "txl_575" if longest == 575 else "bccd"


def _trained(settings: Settings, run: Path, without: str, epochs: int) -> tuple[Detector, float]:
    """Return the trained detector and the seconds of its epochs."""
    training, validation = (
        [field for field in fields if part_of(field.pixels) != without]
        for fields in real_fields(settings)
    )
    own_run = run / f"without_{without}_{epochs}x{STEPS}"
    keras.utils.set_random_seed(_SEED)
    network = detector_network(len(CELL_KINDS))
    load_imagenet(network, settings)
    fit(
        network,
        Plan(
            stages=(Stage("small", epochs, _PEAK_RATE, "block_3_expand", SIZE),),
            batches=lambda stage: TrainingFields(
                [(training, 1.0)],
                stage.size,
                batch=_BATCH,
                steps=STEPS,
                seed=_SEED,
                strong=0.5,
                mosaics=0.15,
            ),
            validation=lambda stage: whole_fields(validation, stage.size, _BATCH),
            compile_arguments={"loss": DetectionLoss(len(CELL_KINDS))},
            patience=epochs,
        ),
        own_run,
    )
    return _as_shipped(network, validation[0], settings), seconds_of(own_run)


def _as_shipped(network: Any, field: Labelled, settings: Settings) -> Detector:
    """Return the network behind LiteRT, with one score threshold for all kinds."""
    example = np.asarray(cv2.resize(field.pixels, (SIZE, SIZE)), np.uint8)
    content = litert_file(detector_for_export(network, len(CELL_KINDS), SIZE), [example])
    card = load_card("detector", settings).changed(
        thresholds=dict.fromkeys(CELL_KINDS, THRESHOLD), input_width=LOOK
    )
    return Detector(LiteRTEngine(content), card)


def compare_parts(
    without: str, settings: Settings, run: Path, *, epochs: int = EPOCHS
) -> FieldsRow:
    """Train without one part (or `nothing`), measure on every part, and keep the row."""
    detector, seconds = _trained(settings, run, without, epochs)
    data = open_set("txl", settings)
    tested = [(e, data.read(e)) for e in data.of_split("test")]
    sets = {}
    for part in FIELDS:
        fields = [(e.member, p, corrected(e)) for e, p in tested if part_of(p) == part]
        figures, _ = measure_detector(part, fields, detector)
        white = figures.per_kind["wbc"]
        sets[part] = ScoredFields(
            images=figures.images,
            map50=figures.map50,
            wbc_recall=white.recall,
            wbc_precision=white.precision,
            rbc_count_error=figures.rbc_count_error,
        )
    row = FieldsRow(
        protocol=(
            f"{epochs * STEPS * _BATCH:,} changed views of {SIZE} px, ImageNet start, AdamW with "
            f"a peak rate of {_PEAK_RATE:g}, score threshold {THRESHOLD}, seed {_SEED}"
        ),
        training_seconds=seconds,
        sets=sets,
    )
    write_row(settings.models / "detector", "fields", without, row)
    return row
