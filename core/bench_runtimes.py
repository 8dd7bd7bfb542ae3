"""Times the shipped cell network in LiteRT and, where they are installed, in other runtimes.

ONNX Runtime and OpenVINO are optional (requirements-speed.txt). OpenVINO reads the shipped file;
for ONNX Runtime the same network is exported from its weights. All get the same threads.
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

from core.inference.card import load_card, model_path, read_checked
from core.inference.engine import LiteRTEngine

Look = Callable[[NDArray[np.float32]], Mapping[str, NDArray[np.float32]]]
"""One run over a batch of one picture; the outputs by name."""

_REPEATS = 20


def median_ms(call: Callable[[], object]) -> float:
    """Return the median time of a call in milliseconds, after one that does not count."""
    call()
    times = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def runtimes_ms(threads: int) -> dict[str, float]:
    """Return the time of one look at one crop by runtime, in milliseconds."""
    size = load_card("wbc").input_width
    pixels = np.random.default_rng(1).integers(0, 256, (1, size, size, 3)).astype(np.float32)
    return {name: median_ms(partial(look, pixels)) for name, look in looks(threads).items()}


def looks(threads: int) -> dict[str, Look]:
    """Return the cell network in each runtime that is installed."""
    found: dict[str, Look] = {
        "litert": LiteRTEngine(read_checked(load_card("wbc")), interpreters=1, threads=threads).run
    }
    if find_spec("openvino"):
        found["openvino"] = _openvino(threads)
    if find_spec("onnxruntime") and find_spec("tf2onnx"):
        found["onnxruntime"] = _onnxruntime(threads)
    return found


def _openvino(threads: int) -> Look:
    import openvino

    options: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        # Else it takes 16-bit floats where the processor has them, and answers differently.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    network = openvino.Core().compile_model(model_path("wbc"), "CPU", options)

    def look(pixels: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        # LiteRT's names live in the file's signature, which OpenVINO does not read.
        return {str(number): value for number, value in enumerate(network(pixels).values())}

    return look


def _onnxruntime(threads: int) -> Look:
    import onnxruntime

    from core.learning.export import keras_reference

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
