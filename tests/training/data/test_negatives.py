import numpy as np
import pytest

from core.training.data.negatives import _DRAWINGS, HEIGHT, WIDTH, negative_image


@pytest.mark.parametrize("draw", dict.fromkeys(_DRAWINGS), ids=lambda draw: draw.__name__)
def test_every_drawing_has_its_size_shows_something_and_repeats(draw):
    pixels = draw(np.random.default_rng(1))
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert pixels.dtype == np.uint8
    assert pixels.std() > 1
    np.testing.assert_array_equal(pixels, draw(np.random.default_rng(1)))
    assert not np.array_equal(pixels, draw(np.random.default_rng(2)))


def test_every_seed_gives_another_picture():
    pictures = [negative_image(np.random.default_rng((3, seed))) for seed in range(12)]
    assert all(p.shape == (HEIGHT, WIDTH, 3) for p in pictures)
    assert len({p.tobytes() for p in pictures}) == 12
