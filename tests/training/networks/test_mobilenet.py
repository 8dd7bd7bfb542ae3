import numpy as np
import pytest

from core.training.networks.mobilenet import (
    _EPSILON,
    _folded,
    freeze_below,
    trunk_layers,
    wbc_network,
)

pytestmark = pytest.mark.training


@pytest.mark.parametrize("depthwise", [False, True])
def test_a_folded_convolution_answers_as_the_one_with_its_norm(depthwise):
    from keras import layers

    rng = np.random.default_rng(1)
    kind = layers.DepthwiseConv2D if depthwise else layers.Conv2D
    size = (3,) if depthwise else (6, 3)
    pixels = rng.normal(size=(2, 8, 8, 4)).astype(np.float32)
    plain, norm, folded = (
        kind(*size, use_bias=False),
        layers.BatchNormalization(epsilon=_EPSILON),
        kind(*size),
    )
    channels = plain(pixels).shape[-1]
    norm(np.zeros((1, 1, 1, channels), np.float32))
    values = {
        "gamma": rng.uniform(0.5, 2, channels),
        "beta": rng.normal(size=channels),
        "mean": rng.normal(size=channels),
        "var": rng.uniform(0.1, 3, channels),
    }
    norm.set_weights(list(values.values()))
    folded(pixels)
    folded.set_weights(_folded(plain.get_weights()[0], values, depthwise=depthwise))
    expected = norm(plain(pixels), training=False)
    np.testing.assert_allclose(folded(pixels), expected, atol=1e-4)


def test_what_lies_below_a_layer_is_frozen():
    network = wbc_network(8)
    names = [layer.name for layer in trunk_layers(network)]
    for first, trained in (
        (None, []),
        ("", names),
        ("block_3_expand", names[names.index("block_3_expand") :]),
    ):
        freeze_below(network, first)
        assert [layer.name for layer in trunk_layers(network) if layer.trainable] == trained
    assert network.get_layer("type").trainable
