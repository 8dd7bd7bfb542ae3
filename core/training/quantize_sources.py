"""What each shipped file is made again from: its network, and images to calibrate on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm.contrib.concurrent import thread_map

from core.datasets.readers import open_set
from core.domain.results import Pixels
from core.inference.field_classifier import stage_input, tta_views
from core.inference.runtime import Engine, LiteRTEngine
from core.model_card import DetectorCard, ModelCard
from core.settings import Settings
from core.training.data.all_fields import all_fields, held_out_logits
from core.training.data.cell_sources import VALIDATION, sources
from core.training.data.cells import NO_TYPE, central_crops, joined
from core.training.data.detection_fields import real_fields, small_cell_fields
from core.training.data.negatives import negative_image
from core.training.data.quality_control import SMEARS, squeezed
from core.training.export import classifier_for_export, keras_reference, shipped_network

_CALIBRATION_CELLS = {"pbc_train": 150, "deepapl_0": 100, "kaggle_train": 100, "negatives": 50}
"""Cells of each source that give the activations of the classifier their ranges."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What a model's file is made and calibrated from."""

    network: Any
    """Keras network with the outputs of the file."""
    calibration_set: NDArray[np.uint8]
    """Training images as the network gets them, n x side x side x 3."""
    holdout: NDArray[np.uint8]
    """Other images, on which two files are compared."""
    calibrated: Callable[[Engine, int], dict[str, Any]]
    """Gives the card's `thresholds`, and `temperature` where it has one, for a file whose input
    has this side."""

    def calibration(self, content: bytes, card: ModelCard) -> dict[str, Any]:
        """Return what a file changes in its card; thresholds that nothing chooses stay."""
        changes = self.calibrated(LiteRTEngine(content), card.input_width)
        return changes | {"thresholds": card.thresholds.model_dump() | changes["thresholds"]}


def source_of(card: ModelCard, settings: Settings, cells: Path | None = None) -> Source:
    """Return what the file of a card's model is made from.

    `cells` is the folder of cut-out cells, `runs/wbc_cells` unless given.
    """
    if isinstance(card, DetectorCard):
        return _detector(card, settings)
    if card.name == "wbc":
        return _wbc(card, settings, cells or settings.runs / "wbc_cells")
    return _all_stage(card, settings)


def _detector(card: DetectorCard, settings: Settings) -> Source:
    from core.training.recipes.detector import calibrated, threshold_fields

    training, validation = real_fields(settings)
    chosen_on = threshold_fields(settings, validation)
    usual = training[:: max(len(training) // 100, 1)]
    small = small_cell_fields(settings, "train")[::20]
    size = card.input_width
    return Source(
        keras_reference("detector", settings),
        np.stack([framed(f.pixels, size) for f in [*usual, *small]]),
        np.stack([framed(f.pixels, size) for f in validation[::4]]),
        lambda engine, _: calibrated(engine, card, chosen_on),
    )


def framed(pixels: Pixels, size: int) -> Pixels:
    """Return a whole field in a size x size image, as the detector's first pass scales it."""
    factor = size / max(pixels.shape[:2])
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=method)[:size, :size]
    frame = np.zeros((size, size, 3), np.uint8)
    frame[: scaled.shape[0], : scaled.shape[1]] = scaled
    return frame


def _wbc(card: ModelCard, settings: Settings, cells: Path) -> Source:
    from core.training.recipes.wbc import calibrated, left_out_patients

    size = card.input_width
    rng = np.random.default_rng(1)
    ranges = [
        central_crops(part.chosen(np.sort(rng.permutation(len(part))[:count])), size)
        for count, part in zip(
            _CALIBRATION_CELLS.values(),
            sources(settings, cells, list(_CALIBRATION_CELLS)).values(),
            strict=True,
        )
    ]
    validation = joined(list(sources(settings, cells, VALIDATION).values()))
    left_out = left_out_patients(settings, cells)
    return Source(
        keras_reference("wbc", settings),
        np.concatenate(ranges),
        central_crops(validation.chosen(validation.types != NO_TYPE), size)[::6],
        lambda engine, side: calibrated(engine, validation, left_out, side),
    )


def _all_stage(card: ModelCard, settings: Settings) -> Source:
    from core.training.recipes.all_stage import calibrated, fit_gates

    size, fields = card.input_width, all_fields(settings)
    network = shipped_network("all_stage", settings)
    gates = fit_gates(network, settings)
    rng = np.random.default_rng(1)
    rows = rng.permutation(len(fields))
    views = [
        tta_views(stage_input(p, size))[int(rng.integers(8))] for p in fields.pixels[rows[:250]]
    ]

    def calibration(engine: Engine, side: int) -> dict[str, Any]:
        logits = held_out_logits(engine, side, settings)
        folds = [example.split for example in fields.examples]
        answers = thread_map(logits, fields.pixels, folds, max_workers=2, desc="held-out fields")
        return calibrated(np.stack(answers), fields.stages)

    return Source(
        classifier_for_export(network, "stage", size, gates),
        np.stack([*views[:150], *_quality_control_images(size, settings)]),
        np.stack(views[150:]),
        calibration,
    )


def _quality_control_images(size: int, settings: Settings) -> list[Pixels]:
    """Return images that quality control has to separate, smears and others."""
    images = [negative_image(np.random.default_rng((5, seed))) for seed in range(50)]
    for name, splits in SMEARS.items():
        data = open_set(name, settings)
        examples = data.of_split(*splits)
        images += [data.read(example) for example in examples[:: len(examples) // 20][:20]]
    return [squeezed(pixels, size) for pixels in images]
