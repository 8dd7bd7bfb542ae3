"""From a trained Keras network to a LiteRT file with its card."""

import hashlib
import json
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.domain.results import Pixels
from core.errors import ModelError
from core.inference.detector import STRIDE
from core.inference.runtime import LiteRTEngine
from core.model_card import CARDS, MODEL_FILE, ModelCard, ModelName, load_card, read_checked
from core.settings import PROJECT_ROOT, Settings
from core.training.data.cells import HEADS
from core.training.data.quality_control import Gate
from core.training.networks.mobilenet import (
    DISTANCE_BINS,
    all_stage_network,
    detector_network,
    wbc_network,
)

WEIGHTS_FILE = "weights.npz"
_KERNEL_AXES = {
    "CONV_2D": (1, 2, 3, 0),
    "DEPTHWISE_CONV_2D": (1, 2, 3, 0),
    "FULLY_CONNECTED": (1, 0),
}
"""Axes of the kernels in a LiteRT file in the order of Keras."""
_KERNEL_NAME = re.compile(r"/(\w+)_\d+/(convolution|depthwise|MatMul)")
_TOLERANCE = 2e-3
"""Largest difference of an output between file and network, as a share of the largest value."""


def detector_for_export(network: Any, kinds: int, size: int) -> Any:
    """Return the detector with outputs as used: `kinds` (probabilities), `sides` (pixels)."""
    import keras
    from keras import layers

    inputs = keras.Input((size, size, 3), batch_size=1, name="pixels")
    maps = network(inputs)
    centres = np.arange(DISTANCE_BINS, dtype=np.float32) * STRIDE
    expectation = layers.Conv2D(
        1,
        1,
        use_bias=False,
        trainable=False,
        kernel_initializer=keras.initializers.Constant(centres.reshape(1, 1, -1, 1)),
        name="expectation",
    )
    sides = []
    for side in range(4):
        first = kinds + side * DISTANCE_BINS
        sides.append(expectation(layers.Softmax()(maps[..., first : first + DISTANCE_BINS])))
    outputs = {
        "kinds": layers.Activation("sigmoid", name="kinds")(maps[..., :kinds]),
        "sides": layers.Concatenate(name="sides")(sides),
    }
    return keras.Model(inputs, outputs, name="detector_export")


def classifier_for_export(
    network: Any, head: str, size: int, gates: Mapping[str, Gate] | None = None
) -> Any:
    """Return a classifier for size x size crops with pooled features and an evidence map.

    `evidence` is the last feature map times the weights of the head (h x w x labels): the class
    activation map of Zhou et al. 2016, CVPR. Gates give a logit each, by name.
    """
    import keras
    from keras import layers

    features = network.get_layer("out_relu").output
    trunk = keras.Model(network.input, features)
    inputs = keras.Input((size, size, 3), batch_size=1, name="pixels")
    maps = trunk(inputs)
    pooled = layers.GlobalAveragePooling2D(name="features")(maps)
    outputs: dict[str, Any] = {"features": pooled}
    for layer in network.layers:
        if isinstance(layer, layers.Dense):
            outputs[layer.name] = layer(pooled)
    for name, gate in (gates or {}).items():
        outputs[name] = layers.Dense(
            1,
            kernel_initializer=keras.initializers.Constant(gate.weights[:, None]),
            bias_initializer=keras.initializers.Constant(gate.bias),
            name=name,
        )(pooled)
    kernel = network.get_layer(head).get_weights()[0]
    outputs["evidence"] = layers.Conv2D(
        kernel.shape[1],
        1,
        use_bias=False,
        kernel_initializer=keras.initializers.Constant(kernel[None, None]),
        name="evidence",
    )(maps)
    return keras.Model(inputs, outputs, name=f"{network.name}_export")


def litert_file(model: Any, examples: Sequence[Pixels]) -> bytes:
    """Return a Keras model as a LiteRT file in 32-bit floats that answers as the model does.

    `examples` are real images of the input size. Raises ModelError when the file does not
    hold the weights or the answers differ.
    """
    with tempfile.TemporaryDirectory() as scratch:
        written = Path(scratch) / MODEL_FILE
        model.export(str(written), format="litert", verbose=False)
        content = written.read_bytes()
    weight_bytes = 4 * model.count_params()
    if len(content) < 0.5 * weight_bytes:
        raise ModelError(f"The exported file has {len(content)} bytes: its weights are missing.")
    engine = LiteRTEngine(content, interpreters=1)
    for pixels in examples:
        batch = pixels[None].astype(np.float32)
        expected = model(batch, training=False)
        answer = engine.run(batch)
        for key, value in expected.items():
            reference = np.asarray(value)
            scale = max(float(np.abs(reference).max()), 1.0)
            error = float(np.abs(answer[key] - reference).max()) / scale
            if error > _TOLERANCE:
                raise ModelError(f"The exported file answers {key} off by {error:.2g}.")
    return content


def write_litert(model: Any, folder: Path, examples: Sequence[Pixels]) -> None:
    """Write `model.tflite`. Raises ModelError as `litert_file`, which has the arguments."""
    content = litert_file(model, examples)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(content)


def save_weights(network: Any, folder: Path) -> None:
    """Keep a network's weights in a folder as 16-bit floats, to go on training from."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"{k:03d}": w.numpy().astype(np.float16) for k, w in enumerate(network.weights)}
    np.savez_compressed(folder / WEIGHTS_FILE, **arrays)


def load_weights(network: Any, folder: Path) -> None:
    """Set a network to the weights that `save_weights` kept. Raises ModelError if none fit."""
    try:
        with np.load(folder / WEIGHTS_FILE) as arrays:
            network.set_weights([arrays[name].astype(np.float32) for name in sorted(arrays)])
    except (OSError, ValueError) as error:
        raise ModelError(f"The weights in {folder.name} are missing or do not fit.") from error


def shipped_network(name: ModelName, settings: Settings | None = None) -> Any:
    """Return a shipped model as it was trained, with the weights of its LiteRT file.

    Those of an 8-bit file are rounded: within half a step of their channel's scale. Batch norms,
    which the file holds folded into the convolutions before them, come back as the identity.
    """
    card = load_card(name, settings)
    labels = len(card.labels)
    if name == "detector":
        network = detector_network(labels)
    elif name == "wbc":
        network = wbc_network(labels, HEADS)
    else:
        network = all_stage_network(labels)
    file = _litert_weights(read_checked(card, settings))
    for layer in network.layers:
        if layer.weights:
            layer.set_weights(_of_layer(layer, file))
    return network


def _of_layer(layer: Any, file: Mapping[str, list[NDArray[np.float32]]]) -> list[Any]:
    """Return the weights of one layer: kernel and bias, or a norm that adds the folded bias."""
    import keras

    is_norm = isinstance(layer, keras.layers.BatchNormalization)
    name = layer.input._keras_history.operation.name if is_norm else layer.name  # noqa: SLF001
    if name not in file:
        raise ModelError(f"The model file has no weights for {name}.")
    kernel, bias = file[name]
    if not is_norm:
        return [kernel, bias][: len(layer.weights)]
    ones = np.ones_like(bias)
    return [ones, bias, 0 * ones, ones - layer.epsilon]


def _litert_weights(content: bytes) -> dict[str, list[NDArray[np.float32]]]:
    """Return kernel and bias of the layers in a LiteRT file, laid out as in Keras.

    The converter names a kernel after the operation of its layer: the kernel of `Conv1` is
    `wbc_export_1/Conv1_1/convolution`.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}

    def values(index: int) -> NDArray[np.float32]:
        scales = tensors[index]["quantization_parameters"]["scales"]
        constant = interpreter.get_tensor(index).astype(np.float32)
        if not len(scales):
            return constant
        axis = tensors[index]["quantization_parameters"]["quantized_dimension"]
        shape = [-1 if k == axis else 1 for k in range(constant.ndim)]
        return constant * scales.reshape(shape)

    found = {}
    operations = interpreter._get_ops_details()  # noqa: SLF001 - no public name
    kept_as = {
        int(operation["outputs"][0]): int(operation["inputs"][0])
        for operation in operations
        if operation["op_name"] == "DEQUANTIZE"
    }
    for operation in operations:
        order = _KERNEL_AXES.get(operation["op_name"])
        if order is None:
            continue
        kernel, bias = (kept_as.get(int(index), index) for index in operation["inputs"][1:3])
        if named := _KERNEL_NAME.search(tensors[kernel]["name"]):
            found[named[1]] = [values(kernel).transpose(order), values(bias)]
    return found


def keras_reference(
    name: ModelName, settings: Settings | None = None, size: int | None = None
) -> Any:
    """Return a shipped model as Keras runs it, with the outputs of its LiteRT file.

    `size` is the side of the input, the card's when it is left out. The ALL model's gates are
    fitted at the export and not part of it.
    """
    card = load_card(name, settings)
    network, side = shipped_network(name, settings), size or card.input_width
    if name == "detector":
        return detector_for_export(network, len(card.labels), side)
    return classifier_for_export(network, "type" if name == "wbc" else "stage", side)


def git_revision() -> str:
    """Return the commit that the code is at, or `unknown` outside a checkout."""
    answer = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"],  # noqa: S607 - git is on the path
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() or "unknown"


def write_card(folder: Path, **fields: Any) -> ModelCard:
    """Write `card.json` beside a model file; hash, size, date and revision are filled in."""
    card = CARDS[fields["name"]](
        trained_on=datetime.now(UTC).date().isoformat(),
        git_revision=git_revision(),
        licence="MIT for code and weights; each training set keeps the licence named beside it",
        **_described(folder),
        **fields,
    )
    return _kept(folder, card)


def rewrite_card(folder: Path, card: ModelCard, **changes: Any) -> ModelCard:
    """Write a card again after its model file was: new hash and size, and what else changed."""
    return _kept(folder, card.changed(**_described(folder) | changes))


def _described(folder: Path) -> dict[str, Any]:
    content = (folder / MODEL_FILE).read_bytes()
    return {"sha256": hashlib.sha256(content).hexdigest(), "file_bytes": len(content)}


def _kept(folder: Path, card: ModelCard) -> ModelCard:
    text = json.dumps(card.model_dump(), indent=2, ensure_ascii=False) + "\n"
    (folder / "card.json").write_text(text)
    return card
