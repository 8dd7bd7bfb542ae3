"""The networks that the cell classifier is compared with, all from crops to types.

Each takes RGB pixels in 0..255 as float32 (B x size x size x 3) and gives logits. VGG19 and
ResNet50 are those of `keras.applications`; the others are written here or in `architectures`.
"""

from typing import Any

from core.evaluation.comparisons import Architecture
from core.settings import Settings
from core.training.networks.mobilenet import load_imagenet, mobilenet_v2

_FUSED_CHANNELS = 256
_MIXED_AFTER = ("block_2_add", "block_5_add")
"""Layers whose styles are mixed: the ends of the early stages."""
_MIXED_SHARE, _BETA = 0.5, 0.1
_REDUCTION = 16


def compared_network(name: Architecture, types: int, size: int) -> Any:
    """Return an untrained network for size x size crops."""
    import keras
    from keras import layers

    inputs = keras.Input((size, size, 3), name="pixels")
    if name == "convnet":
        maps = _convnet(inputs)
    elif name == "vgg19":
        maps = _published(keras.applications.VGG19, inputs)
    elif name == "resnet50":
        maps = _published(keras.applications.ResNet50, inputs)
    elif name == "mobilenetv2":
        maps = mobilenet_v2(inputs)["features"]
    else:
        fused = _multi_fusion(mobilenet_v2(inputs))
        maps = _channel_attention(_selective_kernel(fused, _FUSED_CHANNELS), _FUSED_CHANNELS)
    pooled = layers.GlobalAveragePooling2D(name="pooled")(maps)
    dropped = layers.Dropout(0.2, name="dropped")(pooled)
    return keras.Model(inputs, layers.Dense(types, name="type")(dropped), name=name)


def start_from_imagenet(network: Any, settings: Settings) -> bool:
    """Give a network ImageNet weights where they can be had, and say whether they could.

    MobileNetV2's come with `LEUKOSCOPE_WEIGHTS` or from Keras, the others' from Keras alone. The
    plain network has none.
    """
    if network.name.startswith("mobilenetv2"):
        load_imagenet(network, settings)
        return True
    if settings.weights is not None or network.name == "convnet":
        return False
    import keras

    makers = {"vgg19": keras.applications.VGG19, "resnet50": keras.applications.ResNet50}
    original = makers[network.name](include_top=False, weights="imagenet")
    for layer in original.layers:
        if layer.weights:
            network.get_layer(layer.name).set_weights(layer.get_weights())
    return True


def with_mixed_styles(network: Any) -> Any:
    """Return a MobileNetV2 with the same weights that mixes styles in training.

    After each layer of `_MIXED_AFTER` half of the batches get, channel by channel, a mean and
    deviation between those of the cell and of another one (Zhou et al. 2021, ICLR: MixStyle).
    """
    import keras
    from keras import ops, random

    class MixedStyles(keras.layers.Layer):
        def call(self, maps: Any, training: bool = False) -> Any:
            if not training:
                return maps
            mean = ops.stop_gradient(ops.mean(maps, (1, 2), keepdims=True))
            deviation = ops.stop_gradient(ops.std(maps, (1, 2), keepdims=True)) + 1e-6
            cells = ops.shape(maps)[0]
            other = random.shuffle(ops.arange(cells))
            own = random.beta((cells, 1, 1, 1), _BETA, _BETA)
            own = ops.where(random.uniform(()) < _MIXED_SHARE, own, ops.ones_like(own))
            mixed_mean = own * mean + (1 - own) * ops.take(mean, other, 0)
            mixed_deviation = own * deviation + (1 - own) * ops.take(deviation, other, 0)
            return (maps - mean) / deviation * mixed_deviation + mixed_mean

    def call(layer: Any, *arguments: Any, **named: Any) -> Any:
        maps = layer(*arguments, **named)
        return MixedStyles()(maps) if layer.name in _MIXED_AFTER else maps

    mixing = keras.models.clone_model(network, call_function=call)
    mixing.set_weights(network.get_weights())
    return mixing


def _convnet(inputs: Any) -> Any:
    from keras import layers

    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale_pixels")(inputs)
    for number, filters in enumerate((32, 64, 128, 256), 1):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm{number}")(x)
        x = layers.ReLU(name=f"relu{number}")(x)
        x = layers.MaxPooling2D(name=f"pool{number}")(x)
    return x


def _published(maker: Any, inputs: Any) -> Any:
    """Return the last map of a network of `keras.applications`, which expects BGR around 0."""
    from keras import layers

    # Caffe's channel means, as `preprocess_input` of both networks subtracts them.
    blue_green_red = inputs[..., ::-1]
    centred = layers.Normalization(
        mean=(103.939, 116.779, 123.68), variance=(1.0, 1.0, 1.0), name="centre_pixels"
    )(blue_green_red)
    network = maker(include_top=False, weights=None, input_tensor=centred)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            # The published .99 remembers the untrained start through a short training.
            layer.momentum = 0.9
    return network.output


def _multi_fusion(maps: dict[str, Any]) -> Any:
    """Join early, middle and late maps of the trunk at stride 32: fine grain beside meaning."""
    from keras import layers

    def reduced(key: str, stride: int, channels: int) -> Any:
        x = maps[key]
        if stride > 1:
            x = layers.AveragePooling2D(stride, name=f"{key}_pool")(x)
        x = layers.Conv2D(channels, 1, use_bias=False, name=f"{key}_reduce")(x)
        return layers.BatchNormalization(momentum=0.9, name=f"{key}_norm")(x)

    parts = [reduced("stride8", 4, 64), reduced("stride16", 2, 128), reduced("features", 1, 256)]
    x = layers.Concatenate(name="fusion")(parts)
    x = layers.Conv2D(_FUSED_CHANNELS, 1, use_bias=False, name="fusion_conv")(x)
    x = layers.BatchNormalization(momentum=0.9, name="fusion_norm")(x)
    return layers.ReLU(name="fusion_relu")(x)


def _selective_kernel(x: Any, channels: int) -> Any:
    """Weigh a 3 x 3 and a dilated (5 x 5) convolution against each other, channel by channel.

    Selective Kernel Networks (Li et al. 2019, CVPR): split, fuse, select.
    """
    from keras import layers

    branches = []
    for dilation in (1, 2):
        y = layers.DepthwiseConv2D(
            3, padding="same", dilation_rate=dilation, use_bias=False, name=f"sk_{dilation}"
        )(x)
        y = layers.Conv2D(channels, 1, use_bias=False, name=f"sk_{dilation}_conv")(y)
        y = layers.BatchNormalization(momentum=0.9, name=f"sk_{dilation}_norm")(y)
        branches.append(layers.ReLU(name=f"sk_{dilation}_relu")(y))
    summed = layers.Add(name="sk_fuse")(branches)
    compact = layers.GlobalAveragePooling2D(keepdims=True, name="sk_pool")(summed)
    compact = layers.Dense(max(channels // _REDUCTION, 32), "relu", name="sk_compact")(compact)
    # A softmax over two branches is a sigmoid and what it leaves of 1.
    first = layers.Dense(channels, "sigmoid", name="sk_select")(compact)
    second = layers.Rescaling(-1.0, offset=1.0, name="sk_select_other")(first)
    chosen = [
        layers.Multiply(name=f"sk_chosen_{number}")([branch, weight])
        for number, (branch, weight) in enumerate(zip(branches, (first, second), strict=True))
    ]
    return layers.Add(name="sk_selected")(chosen)


def _channel_attention(x: Any, channels: int) -> Any:
    """Weigh channels by what their mean and their peak say (CBAM; Woo et al. 2018, ECCV)."""
    from keras import layers

    inner = layers.Dense(channels // _REDUCTION, "relu", name="ca_inner")
    outer = layers.Dense(channels, name="ca_outer")
    mean = layers.GlobalAveragePooling2D(keepdims=True, name="ca_mean")(x)
    peak = layers.GlobalMaxPooling2D(keepdims=True, name="ca_peak")(x)
    summed = layers.Add(name="ca_sum")([outer(inner(mean)), outer(inner(peak))])
    weights = layers.Activation("sigmoid", name="ca_weights")(summed)
    return layers.Multiply(name="ca_scaled")([x, weights])
