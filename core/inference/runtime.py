"""Runs a network. One small interface; LiteRT is what ships."""

import queue
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import ModelError

Array = NDArray[np.float32]


class Engine(Protocol):
    """A loaded network. Implementations are safe to call from several threads."""

    def run(self, pixels: NDArray[Any]) -> Mapping[str, Array]:
        """Run on 1 x H x W x 3 RGB in 0..255 and return the outputs by name, batch first."""
        ...


def mean_outputs(engine: Engine, views: Iterable[NDArray[Any]]) -> dict[str, Array]:
    """Return the mean outputs over views (H x W x 3 each) of one image, without a batch axis.

    Only outputs without a position (logits, features) mean something afterwards.
    """
    outputs = [engine.run(np.ascontiguousarray(view)[None]) for view in views]
    return {key: np.mean([o[key][0] for o in outputs], axis=0) for key in outputs[0]}


class LiteRTEngine:
    """A LiteRT network behind a pool of interpreters, each used by one thread at a time.

    The network's one signature names its outputs. Inputs of another size than the last one's
    re-plan the interpreter that gets them.
    """

    def __init__(self, content: bytes, *, interpreters: int = 2, threads: int = 2) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()
        try:
            for _ in range(interpreters):
                interpreter = Interpreter(model_content=content, num_threads=threads)
                interpreter.allocate_tensors()
                self._idle.put(interpreter)
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                "A model file cannot be loaded. Restore the models from the repository."
            ) from error
        signature = next(iter(interpreter.get_signature_list()))
        runner = interpreter.get_signature_runner(signature)
        by_name = {d["name"]: d["index"] for d in interpreter.get_output_details()}
        self._outputs = {
            key: by_name[detail["name"]] for key, detail in runner.get_output_details().items()
        }

    @contextmanager
    def _borrow(self) -> Iterator[Any]:
        interpreter = self._idle.get()
        try:
            yield interpreter
        finally:
            self._idle.put(interpreter)

    def run(self, pixels: NDArray[Any]) -> Mapping[str, Array]:
        """Run on 1 x H x W x 3 RGB in 0..255 and return copies of the outputs by name."""
        with self._borrow() as interpreter:
            detail = interpreter.get_input_details()[0]
            if tuple(detail["shape"]) != pixels.shape:
                interpreter.resize_tensor_input(detail["index"], pixels.shape, strict=False)
                interpreter.allocate_tensors()
            interpreter.set_tensor(detail["index"], pixels.astype(np.float32, copy=False))
            interpreter.invoke()
            return {key: interpreter.get_tensor(index) for key, index in self._outputs.items()}
