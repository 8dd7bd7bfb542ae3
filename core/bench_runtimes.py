"""Times the cell network in LiteRT and, where they are installed, in other runtimes.

ONNX Runtime and OpenVINO are optional (requirements-speed.txt). All compute the same network in
32-bit floats, exported from the shipped weights, with the same threads; the shipped file, which may
be in 8 bits, is timed beside them.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.inference.runtime import LiteRTEngine
from core.model_card import MODEL_FILE, load_card, read_checked

Look = Callable[[NDArray[np.float32]], Mapping[str, NDArray[np.float32]]]
"""One run over a batch of one picture; the outputs by name."""

_REPEATS = 20
_ROUNDS = 7


def median_ms(call: Callable[[], object]) -> float:
    """Return the median time of a call in milliseconds, after one that does not count."""
    call()
    times = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def in_turns(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median over rounds of each call's `median_ms`.

    All have their turn in every round: when the machine slows down or something else runs on it,
    their ratios stay.
    """
    rounds = [{name: median_ms(call) for name, call in calls.items()} for _ in range(_ROUNDS)]
    return {name: statistics.median(own[name] for own in rounds) for name in calls}


def look_calls(threads: int) -> dict[str, Callable[[], object]]:
    """Return one look at one crop by runtime."""
    size = load_card("wbc").input_width
    pixels = np.random.default_rng(1).integers(0, 256, (1, size, size, 3)).astype(np.float32)
    return {name: partial(look, pixels) for name, look in looks(threads).items()}


def looks(threads: int) -> dict[str, Look]:
    """Return the shipped file, and the network in floats in each runtime that is installed."""
    card = load_card("wbc")
    shipped = read_checked(card)
    floats = shipped if card.precision == "float32" else _float_file(card.input_width)
    found: dict[str, Look] = {
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


def _openvino(content: bytes, threads: int) -> Look:
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

    def look(pixels: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        # LiteRT's names live in the file's signature, which OpenVINO does not read.
        return {str(number): value for number, value in enumerate(network(pixels).values())}

    return look


def _onnxruntime(threads: int) -> Look:
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

    def look(pixels: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        return dict(zip(names, session.run(None, {"pixels": pixels}), strict=True))

    return look
