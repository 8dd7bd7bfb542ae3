"""`python -m core quantize`: ships a model's file in 8-bit integers, or in floats again.

The file is made from the weights in it, nothing is trained; floats made of 8 bits stay rounded.
With `int8_weights` the weights are kept in 8 bits and computed with as floats: a quarter of the
size, at the speed of floats.
In 8 bits every weight has its channel's scale, every activation the range that training images
give it; the first layers and the heads stay 32-bit floats. Temperature and thresholds are chosen
again on what the new file says of the validation images, as they are after a training.
"""

import argparse
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from tqdm.contrib.concurrent import thread_map

from core.datasets.readers import open_set
from core.domain.results import Pixels
from core.errors import ModelError
from core.inference.field_classifier import stage_input, tta_views
from core.inference.ood import load_appearance
from core.inference.runtime import Engine, LiteRTEngine
from core.model_card import (
    MODEL_FILE,
    MODEL_NAMES,
    CellClassifierCard,
    DetectorCard,
    ModelCard,
    ModelName,
    Precision,
    load_card,
)
from core.settings import Settings, get_settings
from core.training.data.all_fields import all_fields, held_out_logits
from core.training.data.cell_sources import VALIDATION, sources
from core.training.data.cells import NO_TYPE, central_crops, joined
from core.training.data.detection_fields import framed, real_fields, small_cell_fields
from core.training.data.negatives import negative_image
from core.training.data.quality_control import SMEARS, squeezed
from core.training.export import (
    classifier_for_export,
    keras_reference,
    litert_file,
    rewrite_card,
    shipped_network,
)
from core.training.ood import Appearance

_LOG = logging.getLogger(__name__)
_HEADS = r"StatefulPartitionedCall|softmax|expectation|strided_slice|/(maps|kind|sides)(_\d+)?/"
_FLOAT = (r"scale_pixels|/Conv1|/expanded_conv", _HEADS)
"""Names of tensors whose operations stay in floats: the first layers, where 8 bits cost a third of
the exactness for a thirtieth of the time; the heads, which the file's outputs come from."""
_BEST: dict[ModelName, str] = {"detector": "kinds", "wbc": "type", "all_stage": "stage"}
"""The output that names something."""
_SEEN = 0.3
"""Score of the detector from which a position shows a cell."""
SAME_LABEL = 0.97
"""Least share of images (detector: of positions that show a cell) with the same best label."""
DIFFERENCE = 0.2
"""Largest root mean square difference of an output, in standard deviations of the float's."""
_CALIBRATION_CELLS = {"pbc_train": 150, "deepapl_0": 100, "kaggle_train": 100, "negatives": 50}
"""Cells of each source that give the activations of the classifier their ranges."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `python -m core quantize`."""
    parser.add_argument("model", choices=MODEL_NAMES, help="whose file to make again")
    parser.add_argument(
        "--precision",
        choices=get_args(Precision),
        default="int8",
        help="what the file computes with (%(default)s)",
    )
    parser.add_argument(
        "--cells", type=Path, metavar="DIR", help="cut-out cells of the training (runs/wbc_cells)"
    )


def run(args: argparse.Namespace) -> int:
    """Make the file and return the exit status."""
    logging.getLogger("core.training").setLevel(logging.INFO)
    settings = get_settings()
    ship(args.model, args.precision, settings, args.cells)
    return 0


def ship(
    name: ModelName, precision: Precision, settings: Settings, cells: Path | None = None
) -> ModelCard:
    """Write a shipped model's file again in a precision, with its card.

    `cells` is the folder of cut-out cells. Raises ModelError when the file does not answer as the
    Keras network does.
    """
    card = load_card(name, settings)
    source = source_of(card, settings, cells)
    content = litert_file(source.network, list(source.calibration_set[:3]))
    if precision == "int8":
        content = quantized(content, source.calibration_set, list(source.holdout), name)
    elif precision == "int8_weights":
        content = with_small_weights(content, list(source.holdout), name)
    changes = source.calibration(content, card)
    folder = settings.models / name
    (folder / MODEL_FILE).write_bytes(content)
    written = rewrite_card(folder, card, precision=precision, **changes)
    _LOG.info("%s: %d bytes, %s", name, len(content), changes)
    return written


def quantized(
    content: bytes, calibration_set: NDArray[np.uint8], holdout: Sequence[Pixels], name: ModelName
) -> bytes:
    """Return the 8-bit form of a LiteRT file in floats.

    `calibration_set` are the images that give activations their ranges. Raises ModelError when the
    two files differ on the images of `holdout`: fewer equal best labels than `SAME_LABEL`, or an
    output further off than `DIFFERENCE`.
    """
    from ai_edge_quantizer.qtyping import TFLOperationName
    from ai_edge_quantizer.quantizer import Quantizer

    quantizer = Quantizer(content)
    every = TFLOperationName.ALL_SUPPORTED
    quantizer.add_static_config(".*", every, activation_num_bits=8, weight_num_bits=8)
    for pattern, operation in (
        (".*", TFLOperationName.INPUT),
        (".*", TFLOperationName.OUTPUT),
        *((pattern, every) for pattern in _FLOAT),
    ):
        quantizer.update_quantization_recipe(pattern, operation, algorithm_key="no_quantize")
    # Ranges are moving averages: mixed, no group of images counts more for coming last.
    mixed = np.random.default_rng(1).permutation(calibration_set)
    samples = [{"pixels": pixels[None].astype(np.float32)} for pixels in mixed]
    ranges = quantizer.calibrate({"serving_default": samples}, num_threads=2)
    with np.errstate(invalid="ignore"):  # channels without weights have no scale
        result = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return _agreed(bytes(result.quantized_model), content, holdout, name)


def with_small_weights(content: bytes, holdout: Sequence[Pixels], name: ModelName) -> bytes:
    """Return a LiteRT file in floats with the weights of its trunk kept in 8 bits.

    The heads stay as they are. Raises ModelError as `quantized`.
    """
    from ai_edge_quantizer.qtyping import TFLOperationName
    from ai_edge_quantizer.quantizer import Quantizer

    quantizer = Quantizer(content)
    every = TFLOperationName.ALL_SUPPORTED
    quantizer.add_weight_only_config(".*", every, num_bits=8)
    quantizer.update_quantization_recipe(_HEADS, every, algorithm_key="no_quantize")
    result = quantizer.quantize(enable_progress_bar=False, enable_progress_report=False)
    return _agreed(bytes(result.quantized_model), content, holdout, name)


def _agreed(small: bytes, content: bytes, holdout: Sequence[Pixels], name: ModelName) -> bytes:
    """Return the 8-bit file when it answers as the other does. Raises ModelError."""
    same, differences = agreement(LiteRTEngine(content), LiteRTEngine(small), holdout, name)
    _LOG.info("%s in 8 bits: %.4f same labels, differences %s", name, same, differences)
    if same < SAME_LABEL or max(differences.values()) > DIFFERENCE:
        raise ModelError(
            f"The 8-bit file of the model {name} gives {same:.1%} of the images the same label "
            f"and differs by {max(differences.values()):.2f} standard deviations: too much."
        )
    return small


def agreement(
    reference: Engine, other: Engine, images: Sequence[Pixels], name: ModelName
) -> tuple[float, dict[str, float]]:
    """Return the share of same best labels of two files, and how far each output is off.

    Off: root mean square difference over all images in standard deviations of the reference.
    """
    batches = [pixels[None].astype(np.float32) for pixels in images]
    expected, answers = [[engine.run(b) for b in batches] for engine in (reference, other)]
    outputs = {
        key: (np.stack([e[key] for e in expected]), np.stack([a[key] for a in answers]))
        for key in expected[0]
    }
    differences = {
        key: float(np.sqrt(np.mean((a - e) ** 2)) / e.std()) for key, (e, a) in outputs.items()
    }
    first, second = outputs[_BEST[name]]
    same = first.argmax(-1) == second.argmax(-1)
    if name == "detector":
        same = same[first.max(-1) >= _SEEN]
    return float(same.mean()), differences


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
    if isinstance(card, CellClassifierCard):
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


def _wbc(card: CellClassifierCard, settings: Settings, cells: Path) -> Source:
    from core.training.recipes.wbc import calibrated, left_out_cells

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
    density, threshold = load_appearance(card, settings), card.thresholds.appearance_density
    if density is None or threshold is None or card.ood_temperature is None:
        raise ModelError("The card of wbc has no appearance density. Train the model again.")
    appearance, ood_temperature = Appearance(density, threshold), card.ood_temperature
    with_lisc = any("LISC" in line for line in card.training_data)
    left_out = left_out_cells(settings, cells, without=() if with_lisc else ("lisc",))
    return Source(
        keras_reference("wbc", settings),
        np.concatenate(ranges),
        central_crops(validation.chosen(validation.types != NO_TYPE), size)[::6],
        lambda engine, side: calibrated(
            engine, [validation, *left_out], appearance, ood_temperature, side
        ),
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
