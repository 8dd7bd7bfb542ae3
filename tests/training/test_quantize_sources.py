import numpy as np
import pytest

from core.inference.detector import Detector
from core.model_card import load_card
from core.training.quantize_sources import framed


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
