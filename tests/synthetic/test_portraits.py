import numpy as np
import pytest

from core.synthetic.painter import GLASS
from core.synthetic.portraits import PORTRAITS, draw_portrait


@pytest.mark.parametrize("key", PORTRAITS)
def test_every_portrait_shows_something_stained_with_its_notes_inside(key):
    portrait = draw_portrait(key, 3, 128)
    assert portrait.pixels.shape == (128, 128, 3)
    assert portrait.pixels.dtype == np.uint8
    assert (np.abs(portrait.pixels.astype(float) - GLASS).max(axis=2) > 40).mean() > 0.03
    reach = portrait.side / 2
    assert all(max(abs(x), abs(y)) < reach for x, y in portrait.notes.values())


def test_the_seed_decides_everything():
    first, again = (draw_portrait("monocyte", 5, 128).pixels for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, draw_portrait("monocyte", 6, 128).pixels)
    with pytest.raises(KeyError):
        draw_portrait("dragon", 1)


def test_two_portraits_can_share_one_scale():
    close, wide = draw_portrait("discocyte", 1, 180), draw_portrait("discocyte", 1, 180, side=36)
    assert (close.side, wide.side) == (18, 36)

    def diameter(portrait):
        row = portrait.pixels[90].astype(float).min(axis=1) < 225
        left = 90 - np.argmin(row[90::-1])
        return (90 + np.argmin(row[90:]) - left) * portrait.side / 180

    assert diameter(close) == pytest.approx(7.5, abs=0.5)
    assert diameter(wide) == pytest.approx(7.5, abs=0.7)


def test_chromatin_is_finer_in_a_blast_than_in_a_lymphocyte():
    """The drawings keep what the texts teach: clumps make the middle of a nucleus uneven."""

    def unevenness(key):
        values = []
        for seed in range(4):
            portrait = draw_portrait(key, seed, 320)
            scale = 320 / portrait.side
            blurred = portrait.pixels[130:190, 130:190, 1].astype(float)
            step = int(scale)
            blocks = blurred[: 60 // step * step, : 60 // step * step]
            blocks = blocks.reshape(60 // step, step, 60 // step, step).mean(axis=(1, 3))
            values.append(blocks.std() / blocks.mean())
        return np.mean(values)

    assert unevenness("lymphocyte") > 1.2 * unevenness("blast")
