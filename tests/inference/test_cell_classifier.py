import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from core.datasets.readers import open_set
from core.domain.boxes import Box
from core.domain.taxonomy import CELL_TYPES
from core.evaluation.calibration import softmax
from core.inference.cell_classifier import CellRegion
from tests.images import read_image

logits = hnp.arrays(np.float32, 8, elements=st.floats(-50, 50, width=32))


@given(logits, st.floats(0.2, 5))
def test_softmax_is_a_distribution_and_keeps_the_order(values, temperature):
    probabilities = softmax(values, temperature)
    assert abs(probabilities.sum() - 1) < 1e-9
    assert probabilities[values.argmax()] == probabilities.max()


@given(logits, st.floats(1.01, 5))
def test_a_higher_temperature_never_raises_the_confidence(values, temperature):
    assert softmax(values, temperature).max() <= softmax(values, 1.0).max() + 1e-9


def test_single_cells_of_every_type_are_named(analyzer, pack):
    data = open_set("pbc")
    right = []
    for label in CELL_TYPES:
        for example in [e for e in data.of_split("test") if e.label == label][:6]:
            image = read_image(pack.png(pack.read("pbc.zip", example.member)), example.member)
            result = analyzer.classify(image)
            assert result.reject_reason is None
            assert abs(sum(result.probabilities.values()) - 1) < 1e-6
            assert result.confidence == max(result.probabilities.values())
            right.append(result.type == label)
    assert np.mean(right) >= 0.93


def test_attributes_are_read_from_the_same_network(analyzer, pack):
    from core.inference.pipeline import region_of_crop

    data = open_set("pbc")
    examples = [e for e in data.of_split("test") if e.attributes][::200]
    right = []
    for example in examples:
        pixels = data.read(example)
        region = region_of_crop(pixels, analyzer.detector)
        said = analyzer.classifier.predict(pixels, region).attributes
        right += [said[name] == value for name, value in example.attributes.items()]
    assert np.mean(right) >= 0.85


@given(st.floats(8, 300), st.floats(8, 300), st.one_of(st.none(), st.floats(0.01, 2)))
def test_the_crop_always_holds_the_cell_and_never_loses_it(width, height, scale):
    side = CellRegion(Box(0, 0, width, height), scale).crop_side
    longer = max(width, height)
    assert 1.1 * longer <= side <= 3.6 * longer


@given(st.floats(20, 60), st.floats(0.5, 3))
def test_a_cell_gets_the_same_crop_at_any_magnification(pixels, zoom):
    near = CellRegion(Box(0, 0, pixels, pixels), 12 / pixels)
    far = CellRegion(Box(0, 0, pixels * zoom, pixels * zoom), 12 / (pixels * zoom))
    assert far.crop_side == pytest.approx(near.crop_side * zoom)
