import numpy as np

from core.synthetic.portraits import draw_portrait
from core.teaching.figures import with_labels


def test_labels_and_scale_bar_are_drawn_and_can_be_hidden():
    portrait = draw_portrait("blast", 1, 320)
    before = portrait.pixels.copy()
    labelled, bare = with_labels(portrait), with_labels(portrait, labels=False)
    assert np.array_equal(portrait.pixels, before)
    corner = np.s_[290:, 240:]
    assert not np.array_equal(bare[corner], before[corner])
    assert np.array_equal(bare[:280], before[:280])
    assert not np.array_equal(labelled[:280], before[:280])
