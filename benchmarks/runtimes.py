"""Times the cell network in LiteRT and, where they are installed, in other runtimes.

    python -m benchmarks.runtimes

writes the milliseconds of one forward pass to `benchmarks/runtimes.json`.
ONNX Runtime and OpenVINO are optional (requirements-speed.txt). All compute the same network in
32-bit floats, exported from the shipped weights, with the same threads; the shipped file, which may
be in 8 bits, is timed beside them.
"""

import json
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.bench.timing import in_turns
from core.inference.runtime import LiteRTEngine
from core.model_card import MODEL_FILE, load_card, read_checked
from core.settings import PROJECT_ROOT, get_settings

RESULT = PROJECT_ROOT / "benchmarks" / "runtimes.json"
Forward = Callable[[NDArray[np.float32]], Mapping[str, NDArray[np.float32]]]
"""A forward pass over a batch of one image; the outputs by name."""


def forward_calls(threads: int) -> dict[str, Callable[[], object]]:
    """Return one forward pass on one crop by runtime."""
    size = load_card("wbc").input_width
    pixels = np.random.default_rng(1).integers(0, 256, (1, size, size, 3)).astype(np.float32)
    return {name: partial(forward, pixels) for name, forward in runtimes(threads).items()}


def runtimes(threads: int) -> dict[str, Forward]:
    """Return the shipped file, and the network in floats in each runtime that is installed."""
    card = load_card("wbc")
    shipped = read_checked(card)
    floats = shipped if card.precision == "float32" else _float_file(card.input_width)
    found: dict[str, Forward] = {
        "litert_shipped": LiteRTEngine(shipped, interpreters=1, threads=threads).run,
        "litert": LiteRTEngine(floats, interpreters=1, threads=threads).run,
    }
    if find_spec("openvino"):
        found["openvino"] = _openvino(floats, threads)
    if find_spec("onnxruntime") and find_spec("tf2onnx"):
        found["onnxruntime"] = _onnxruntime(threads)
    return found


def _float_file(size: int) -> bytes:
    from core.imaging.crop import crop_square
    from core.synthetic.fields import make_field
    from core.training.export import keras_reference, litert_file

    field = make_field(1, 640, 480, white_cells=3)
    cell = next(cell.box for cell in field.cells if cell.kind == "wbc")
    return litert_file(keras_reference("wbc"), [crop_square(field.pixels, cell, 200, size)])


def _openvino(content: bytes, threads: int) -> Forward:
    import openvino

    options: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        # Else it takes 16-bit floats where the processor has them, and answers differently.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, MODEL_FILE)
        path.write_bytes(content)
        network = openvino.Core().compile_model(path, "CPU", options)

    def forward(pixels: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        # LiteRT's names live in the file's signature, which OpenVINO does not read.
        return {str(number): value for number, value in enumerate(network(pixels).values())}

    return forward


def _onnxruntime(threads: int) -> Forward:
    import onnxruntime

    from core.training.export import keras_reference

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    network = keras_reference("wbc")
    network(np.zeros((1, *network.input_shape[1:]), np.float32))  # exported only once called
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "wbc.onnx")
        network.export(str(path), format="onnx", verbose=False)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def forward(pixels: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        return dict(zip(names, session.run(None, {"pixels": pixels}), strict=True))

    return forward


if __name__ == "__main__":
    measured = in_turns(forward_calls(get_settings().threads))
    RESULT.write_text(json.dumps(measured, indent=1) + "\n")
