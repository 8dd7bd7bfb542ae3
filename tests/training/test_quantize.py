"""8-bit files: what is in them, when they are refused, and what their card says."""

import shutil

import numpy as np
import pytest

from core.cli import main
from core.errors import ModelError
from core.inference.detector import Detector
from core.inference.runtime import LiteRTEngine
from core.model_card import load_card, model_path, read_checked
from core.settings import get_settings
from core.training import quantize
from core.training.data.detection_fields import framed
from core.training.quantize import Source, agreement, quantized, ship, with_small_weights

SIDE = 32


def patches(seed, count):
    """Return pictures of one of three colours each, with noise."""
    rng = np.random.default_rng(seed)
    colours = np.eye(3)[rng.integers(3, size=count)] * 120 + 60
    noise = rng.normal(0, 25, (count, SIDE, SIDE, 3))
    return (colours[:, None, None] + noise).clip(0, 255).astype(np.uint8)


def network(side=SIDE, channels=24):
    """Return an untrained network that tells the three colours apart."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    inputs = keras.Input((side, side, 3), batch_size=1, name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    x = layers.Conv2D(16, 3, 2, "same", name="Conv1")(x)
    x = layers.DepthwiseConv2D(3, padding="same")(layers.ReLU(6.0)(x))
    x = layers.ReLU(6.0)(layers.Conv2D(channels, 1)(x))
    pooled = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, {"type": layers.Dense(3)(pooled), "features": pooled})


@pytest.fixture(scope="module")
def floats():
    from core.training.export import litert_file

    model = network()
    return model, litert_file(model, list(patches(1, 3)))


def types_by_shape(content):
    from ai_edge_litert.interpreter import Interpreter

    details = Interpreter(model_content=content).get_tensor_details()
    return {tuple(d["shape"].tolist()): d["dtype"] for d in details}


@pytest.mark.training
def test_weights_are_integers_but_for_both_ends(floats):
    _, content = floats
    small = quantized(content, patches(2, 60), list(patches(3, 40)), "wbc")
    types = types_by_shape(small)
    first, depthwise, pointwise, head = (16, 3, 3, 3), (1, 3, 3, 16), (24, 1, 1, 16), (3, 24)
    assert types[first] == types[head] == np.float32
    assert types[depthwise] == types[pointwise] == np.int8
    for end in ((1, SIDE, SIDE, 3), (1, 24), (1, 3)):
        assert types[end] == np.float32
    same, differences = agreement(
        LiteRTEngine(content), LiteRTEngine(small), list(patches(4, 40)), "wbc"
    )
    assert same > 0.9
    assert 0 < differences["type"] < 0.2


@pytest.mark.training
def test_weights_alone_are_kept_in_8_bits():
    from core.training.export import litert_file

    content = litert_file(network(channels=80), list(patches(0, 2)))
    holdout = list(patches(3, 40))
    small = with_small_weights(content, holdout, "wbc")
    assert len(small) < len(content) - 3 * 80 * 16 / 2
    same, differences = agreement(LiteRTEngine(content), LiteRTEngine(small), holdout, "wbc")
    assert same > 0.95
    assert 0 < differences["type"] < 0.1


@pytest.mark.training
def test_ranges_that_do_not_fit_are_refused(floats):
    _, content = floats
    black = np.zeros((20, SIDE, SIDE, 3), np.uint8)
    with pytest.raises(ModelError, match="too much"):
        quantized(content, black, list(patches(3, 40)), "wbc")


@pytest.mark.training
def test_a_file_is_shipped_with_its_own_calibration_and_back(floats, tmp_path, monkeypatch):
    model, _ = floats
    shutil.copytree(get_settings().models / "wbc", tmp_path / "wbc")
    settings = get_settings().model_copy(update={"models": tmp_path})
    before = load_card("wbc", settings)
    source = Source(
        model,
        patches(2, 60),
        patches(3, 40),
        lambda _, side: {"temperature": float(side), "thresholds": {"uncertain": 0.7}},
    )
    monkeypatch.setattr(quantize, "source_of", lambda *_: source)
    ship("wbc", "int8", settings, tmp_path)
    card = load_card("wbc", settings)
    small = read_checked(card, settings)
    assert (card.precision, card.temperature) == ("int8", before.input_width)
    assert card.thresholds == before.thresholds.model_copy(update={"uncertain": 0.7})
    for kept in ("version", "trained_on", "git_revision", "labels", "limits"):
        assert getattr(card, kept) == getattr(before, kept)
    ship("wbc", "float32", settings, tmp_path)
    card = load_card("wbc", settings)
    assert card.precision == "float32"
    assert model_path("wbc", settings).stat().st_size == card.file_bytes != len(small)


class Fixed:
    """An engine with made-up answers, one after the other."""

    def __init__(self, answers):
        self._answers = iter(answers)

    def run(self, pixels):
        del pixels
        return {"kinds": np.array(next(self._answers))[None]}


def test_only_positions_that_show_a_cell_count_for_the_detector():
    pictures = patches(1, 1)
    shown, empty, other = [0.8, 0.1, 0.1], [0.01, 0.02, 0.0], [0.02, 0.01, 0.0]
    first = [[[shown, empty]]]
    same, differences = agreement(Fixed(first), Fixed([[[shown, other]]]), pictures, "detector")
    assert same == 1
    assert differences["kinds"] > 0
    changed = [[[[0.3, 0.6, 0.1], empty]]]
    assert agreement(Fixed(first), Fixed(changed), pictures, "detector")[0] == 0


def test_the_command_ships(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(quantize, "ship", lambda *given: calls.append(given))
    assert main(["quantize", "wbc", "--precision", "float32", "--cells", str(tmp_path)]) == 0
    assert main(["quantize", "detector"]) == 0
    assert [(c[0], c[1], c[3]) for c in calls] == [
        ("wbc", "float32", tmp_path),
        ("detector", "int8", None),
    ]


class Recording:
    def __init__(self):
        self.frames = []

    def run(self, pixels):
        self.frames.append(pixels[0])
        height, width = pixels.shape[1] // 8, pixels.shape[2] // 8
        return {
            "kinds": np.zeros((1, height, width, 3), np.float32),
            "sides": np.zeros((1, height, width, 4), np.float32),
        }


@pytest.mark.parametrize("shape", [(300, 400, 3), (640, 480, 3), (575, 575, 3)])
def test_fields_are_framed_as_the_detector_looks_at_them(shape):
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    card, engine = load_card("detector"), Recording()
    Detector(engine, card).detect(pixels, tta=False)
    seen = engine.frames[0]
    frame = framed(pixels, card.input_width)
    height, width = seen.shape[:2]
    np.testing.assert_array_equal(frame[:height, :width], seen)
    assert not frame[height:].any()
    assert not frame[:, width:].any()
