"""`python -m core quantize`: ships a model's file in 8-bit integers, or in floats again.

The file is made from the weights in it, nothing is trained; floats made of 8 bits stay rounded.
In 8 bits every weight has its channel's scale, every activation the range that training images
give it; the first layers and the heads stay 32-bit floats. Temperature and thresholds are chosen
again on what the new file says of the validation images, as they are after a training.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.domain.results import Pixels
from core.errors import ModelError
from core.inference.runtime import Engine, LiteRTEngine
from core.model_card import MODEL_FILE, MODEL_NAMES, ModelCard, ModelName, load_card
from core.settings import Settings, get_settings
from core.training.export import litert_file, rewrite_card
from core.training.quantize_sources import source_of

Precision = Literal["int8", "float32"]

_LOG = logging.getLogger(__name__)
_FLOAT = (
    r"scale_pixels|/Conv1|/expanded_conv",
    r"StatefulPartitionedCall|softmax|expectation|strided_slice|/(maps|kind|sides)(_\d+)?/",
)
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `python -m core quantize`."""
    parser.add_argument("model", choices=MODEL_NAMES, help="whose file to make again")
    parser.add_argument(
        "--precision",
        choices=("int8", "float32"),
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
    small = bytes(result.quantized_model)
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
