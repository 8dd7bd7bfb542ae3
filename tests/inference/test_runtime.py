from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from core.datasets.readers import open_set
from core.errors import ModelError
from core.inference.runtime import LiteRTEngine
from core.model_card import load_card, read_checked


@pytest.fixture(scope="module")
def fields(pack):
    data = open_set("bccd")
    return [data.read(e)[:320, :320].astype(np.float32)[None] for e in data.of_split("test")[:6]]


@pytest.fixture(scope="module")
def engine():
    return LiteRTEngine(read_checked(load_card("detector")), interpreters=2, threads=1)


def test_many_threads_get_the_answers_of_one(engine, fields):
    alone = [engine.run(field)["kinds"] for field in fields]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda k: engine.run(fields[k % 6])["kinds"], range(48)))
    for k, answer in enumerate(together):
        np.testing.assert_array_equal(answer, alone[k % 6])


def test_answers_stay_after_the_next_call(engine, fields):
    first = engine.run(fields[0])["kinds"]
    kept = first.copy()
    engine.run(fields[1])
    np.testing.assert_array_equal(first, kept)


def test_any_multiple_of_32_is_accepted(engine):
    for height, width in ((64, 96), (480, 640), (32, 32)):
        outputs = engine.run(np.zeros((1, height, width, 3), np.float32))
        assert outputs["kinds"].shape == (1, height // 8, width // 8, 3)
        assert outputs["sides"].shape == (1, height // 8, width // 8, 4)


def test_a_file_that_is_no_network_is_rejected():
    with pytest.raises(ModelError):
        LiteRTEngine(b"TFL3 but nothing behind it" * 10)


class KerasEngine:
    """A Keras network behind the interface of a LiteRT file."""

    def __init__(self, network):
        self._network = network

    def run(self, pixels):
        answer = self._network(pixels, training=False)
        return {key: np.asarray(value) for key, value in answer.items()}


# Mean share of the spread that an output may be off, and positions and pictures named otherwise:
# floats differ by the kept weights, which have 16 bits, integers by their 8 bits.
TOLERATED = {"float32": (0.03, 0.0), "int8": (0.2, 0.1), "int8_weights": (0.03, 0.0)}


@pytest.mark.training
@pytest.mark.parametrize("name", ["wbc", "all_stage", "detector"])
def test_shipped_file_answers_as_the_keras_network(name, pack):
    """The Keras network with the trained weights is the reference."""
    from core.training.data.detection_fields import framed
    from core.training.export import keras_reference
    from core.training.quantize import agreement

    card = load_card(name)
    data = open_set({"wbc": "pbc", "all_stage": "taleqani", "detector": "txl"}[name])
    pictures = [
        framed(data.read(example), card.input_width)
        for example in data.examples[:: len(data) // 12][:12]
    ]
    reference = KerasEngine(keras_reference(name))
    shipped = LiteRTEngine(read_checked(card), interpreters=1)
    off, otherwise = TOLERATED[card.precision]
    same, differences = agreement(reference, shipped, pictures, name)
    assert same >= 1 - otherwise
    assert max(differences.values()) < off
    gates = set(shipped.run(pictures[0][None])) - set(differences)
    # The gates are fitted at the export and not kept with the weights.
    assert gates == ({"smear", "all_field"} if name == "all_stage" else set())


@pytest.mark.training
def test_shipped_detector_draws_the_boxes_of_the_keras_network(pack):
    from core.training.data.detection_fields import framed
    from core.training.export import keras_reference

    card, data = load_card("detector"), open_set("bccd")
    reference = KerasEngine(keras_reference("detector"))
    shipped = LiteRTEngine(read_checked(card), interpreters=1)
    gaps = []
    for example in data.of_split("test")[:4]:
        pixels = framed(data.read(example), card.input_width)[None].astype(np.float32)
        expected, answer = reference.run(pixels), shipped.run(pixels)
        seen = expected["kinds"].max(-1) > 0.5
        sides = expected["sides"][seen]
        gaps.append(np.abs(answer["sides"][seen] - sides).max(-1) / sides.mean(-1))
    gaps = np.concatenate(gaps)
    assert len(gaps) > 100
    # No side is off by a tenth of a cell's radius, but for one box in twenty.
    assert np.quantile(gaps, 0.95) < 0.1
