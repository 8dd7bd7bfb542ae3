"""MobileNetV2 and the three networks built on it.

The trunk is MobileNetV2 (Sandler et al. 2018, CVPR) with its batch norms folded into the
convolutions in front of them: frozen batch norm keeps a network from collapsing under another
source's stain, and folded it costs nothing. All networks take RGB pixels in 0..255 as
float32 (B x H x W x 3) and scale them themselves.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ModelError
from core.settings import Settings, get_settings

DISTANCE_BINS = 24
"""Bins of a box side's distance distribution, one stride apart."""

# Expansion, channels, repeats, stride of the inverted residual stages (Sandler et al., table 2).
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2))
_LATE_STAGES = ((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
_EPSILON = 1e-3
"""Of the published batch norms."""
_PYRAMID_CHANNELS = 96
"""Of every map of the detector's feature pyramid."""


def mobilenet_v2(inputs: Any, *, top: bool = True) -> dict[str, Any]:
    """Return named feature maps of MobileNetV2 (alpha 1) over an input tensor in 0..255.

    Keys: `stride8` (192 channels), `stride16` (576), `stride32` (320) and with `top`
    `features` (1280, stride 32). Layer names are those of `keras.applications`.
    """
    from keras import layers

    def conv(x: Any, filters: int, name: str, *, kernel: int = 1, stride: int = 1) -> Any:
        return layers.Conv2D(filters, kernel, stride, padding="same", name=name)(x)

    def relu6(x: Any, name: str) -> Any:
        return layers.ReLU(6.0, name=name)(x)

    maps: dict[str, Any] = {}
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale_pixels")(inputs)
    x = relu6(conv(x, 32, "Conv1", kernel=3, stride=2), "Conv1_relu")
    block, channels = 0, 32
    for expansion, filters, repeats, first_stride in _STAGES + _LATE_STAGES:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            prefix = f"block_{block}_" if block else "expanded_conv_"
            y = x
            if expansion > 1:
                y = conv(y, channels * expansion, f"{prefix}expand")
                y = relu6(y, f"{prefix}expand_relu")
                if block == 6:
                    maps["stride8"] = y
                if block == 13:
                    maps["stride16"] = y
            y = layers.DepthwiseConv2D(3, stride, padding="same", name=f"{prefix}depthwise")(y)
            y = relu6(y, f"{prefix}depthwise_relu")
            y = conv(y, filters, f"{prefix}project")
            if stride == 1 and channels == filters:
                y = layers.Add(name=f"{prefix}add")([x, y])
            x, channels, block = y, filters, block + 1
    maps["stride32"] = x
    if top:
        maps["features"] = relu6(conv(x, 1280, "Conv_1"), "out_relu")
    return maps


def _folded(kernel: NDArray[Any], norm: dict[str, NDArray[Any]], *, depthwise: bool) -> list[Any]:
    gain = norm["gamma"] / np.sqrt(norm["var"] + _EPSILON)
    weight = kernel * (gain[None, None, :, None] if depthwise else gain)
    return [weight, norm["beta"] - norm["mean"] * gain]


def _norm_name(layer: str) -> str:
    return {"Conv1": "bn_Conv1", "Conv_1": "Conv_1_bn"}.get(layer, f"{layer}_BN")


def _from_file(path: Path, layer: str, *, depthwise: bool) -> list[Any]:
    with np.load(path) as arrays:
        quantised, scale = arrays[f"{layer}/q"], arrays[f"{layer}/scale"]
        kernel = quantised * (scale[None, None, :, None] if depthwise else scale)
        norm = {k: arrays[f"{_norm_name(layer)}/{k}"] for k in ("gamma", "beta", "mean", "var")}
    return _folded(kernel, norm, depthwise=depthwise)


def load_imagenet(model: Any, settings: Settings | None = None) -> None:
    """Set the trunk of a network to ImageNet weights with the batch norms folded in.

    Reads the int8 file in `settings.weights` when that is set; otherwise Keras downloads its own.
    Raises ModelError when the file is not there.
    """
    import keras

    folder = (settings or get_settings()).weights
    if folder is None:
        original = keras.applications.MobileNetV2(include_top=False, weights="imagenet")

        def weights_of(layer: str, *, depthwise: bool) -> list[Any]:
            kernel = original.get_layer(layer).get_weights()[0]
            keys = ("gamma", "beta", "mean", "var")
            norm = dict(zip(keys, original.get_layer(_norm_name(layer)).get_weights(), strict=True))
            return _folded(kernel, norm, depthwise=depthwise)
    else:
        path = folder / "mobilenet_v2_imagenet_notop.int8.npz"
        if not path.is_file():
            raise ModelError(
                "The ImageNet weights are not in the folder that LEUKOSCOPE_WEIGHTS names."
            )

        def weights_of(layer: str, *, depthwise: bool) -> list[Any]:
            return _from_file(path, layer, depthwise=depthwise)

    for layer in trunk_layers(model):
        if layer.get_weights():
            depthwise = layer.name.endswith("depthwise")
            layer.set_weights(weights_of(layer.name, depthwise=depthwise))


def trunk_layers(model: Any) -> list[Any]:
    """Return the layers of the MobileNetV2 trunk, first to last."""
    prefixes = ("Conv1", "Conv_1", "expanded_conv", "block_", "out_relu")
    return [layer for layer in model.layers if layer.name.startswith(prefixes)]


def freeze_below(model: Any, layer_name: str | None) -> None:
    """Freeze the trunk up to but not including a layer; None freezes all of it, "" nothing."""
    trainable = layer_name == ""
    for layer in trunk_layers(model):
        trainable = trainable or layer.name == layer_name
        layer.trainable = trainable


def _inputs_and_features() -> tuple[Any, Any]:
    """Return the input of a classifier and the trunk's pooled features with dropout."""
    import keras
    from keras import layers

    inputs = keras.Input((None, None, 3), name="pixels")
    pooled = layers.GlobalAveragePooling2D(name="pooled")(mobilenet_v2(inputs)["features"])
    return inputs, layers.Dropout(0.2, name="dropped")(pooled)


def wbc_network(types: int, heads: Mapping[str, int] | None = None) -> Any:
    """Return the single-cell network: `type` logits, and logits of each further head by name."""
    import keras
    from keras import layers

    inputs, features = _inputs_and_features()
    outputs = {"type": layers.Dense(types, name="type")(features)}
    for name, values in (heads or {}).items():
        outputs[name] = layers.Dense(values, name=name)(features)
    return keras.Model(inputs, outputs, name="wbc")


def all_stage_network(stages: int) -> Any:
    """Return the field network: logits of the ALL classes."""
    import keras
    from keras import layers

    inputs, features = _inputs_and_features()
    return keras.Model(inputs, layers.Dense(stages, name="stage")(features), name="all_stage")


def detector_network(kinds: int) -> Any:
    """Return the detector over inputs of any size that is a multiple of 32.

    One-stage and anchor-free: a feature pyramid down to stride 8, then for every position
    `kinds` class logits and four distance distributions of `DISTANCE_BINS` logits
    (left, top, right, bottom; Li et al. 2020, Generalized Focal Loss).
    Output: B x H/8 x W/8 x (kinds + 4 * DISTANCE_BINS).
    """
    import keras
    from keras import layers

    class Upsample(layers.Layer):
        """Double height and width by repetition, without a fixed shape in the exported file."""

        def call(self, x: Any) -> Any:
            import tensorflow as tf

            return tf.nn.depth_to_space(tf.concat([x] * 4, axis=-1), 2)

        def compute_output_shape(self, shape: Any) -> Any:
            batch, height, width, depth = shape
            double = [None if side is None else 2 * side for side in (height, width)]
            return (batch, *double, depth)

    def block(x: Any, name: str) -> Any:
        x = layers.DepthwiseConv2D(
            3,
            padding="same",
            use_bias=False,
            depthwise_initializer="he_normal",
            name=f"{name}_depthwise",
        )(x)
        x = layers.Conv2D(_PYRAMID_CHANNELS, 1, use_bias=False, name=f"{name}_pointwise")(x)
        x = layers.BatchNormalization(momentum=0.97, name=f"{name}_norm")(x)
        return layers.ReLU(6.0, name=f"{name}_relu")(x)

    def lateral(x: Any, name: str) -> Any:
        x = layers.Conv2D(_PYRAMID_CHANNELS, 1, use_bias=False, name=f"{name}_lateral")(x)
        return layers.BatchNormalization(momentum=0.97, name=f"{name}_lateral_norm")(x)

    inputs = keras.Input((None, None, 3), name="pixels")
    maps = mobilenet_v2(inputs, top=False)
    p32 = block(lateral(maps["stride32"], "p32"), "p32")
    p16 = layers.Add(name="p16_sum")([lateral(maps["stride16"], "p16"), Upsample(name="up16")(p32)])
    p16 = block(block(p16, "p16a"), "p16b")
    p8 = layers.Add(name="p8_sum")([lateral(maps["stride8"], "p8"), Upsample(name="up8")(p16)])
    p8 = block(p8, "p8")
    kind = block(block(p8, "kind_a"), "kind_b")
    side = block(block(p8, "side_a"), "side_b")
    # Few positions hold a cell: start from that prior (Lin et al. 2017, Focal loss).
    prior = keras.initializers.Constant(-np.log((1 - 0.02) / 0.02))
    outputs = layers.Concatenate(name="maps")(
        [
            layers.Conv2D(kinds, 1, bias_initializer=prior, name="kind")(kind),
            layers.Conv2D(4 * DISTANCE_BINS, 1, name="sides")(side),
        ]
    )
    return keras.Model(inputs, outputs, name="detector")
