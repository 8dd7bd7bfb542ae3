"""ALL fields with another stain or tone stay in their fold and keep their cells."""

import numpy as np
import pytest

from core.settings import get_settings
from core.training.augmentation.appearance import colour_statistics


@pytest.fixture(scope="module")
def fields(pack):
    from dataclasses import replace

    from core.training.data.all_fields import all_fields

    every = all_fields(get_settings())
    rows = np.arange(0, len(every), 40)
    return replace(
        every,
        examples=tuple(every.examples[k] for k in rows),
        pixels=every.pixels[rows],
        stages=every.stages[rows],
    )


def test_other_statistics_come_from_the_own_fold_and_from_every_other_class(fields):
    from core.training.data.all_fields import of_fold, other_statistics

    for number in range(0, len(fields), 9):
        own = of_fold(fields, fields.examples[number].split)
        known = [colour_statistics(p) for p in fields.pixels[own]]
        tones = other_statistics(fields, number, np.random.default_rng(number))
        assert len(tones) == 3
        for tone in tones:
            assert min(np.abs(tone - other).max() for other in known) < 1e-5


def test_swapped_tones_are_those_of_another_class(fields):
    from core.training.data.all_fields import stain_swapped

    swapped = stain_swapped(fields, np.arange(len(fields)))
    means = [
        np.mean([colour_statistics(p) for p in fields.pixels[fields.stages == k]], axis=0)
        for k in range(4)
    ]
    nearest = [
        int(np.argmin([np.abs(colour_statistics(p)[0] - m[0]).sum() for m in means]))
        for p in swapped
    ]
    assert np.mean(np.array(nearest) != fields.stages) > 0.9
    assert all(p.shape == q.shape for p, q in zip(swapped, fields.pixels, strict=True))


@pytest.mark.parametrize("share", [0.57, 0.7, 0.99, 1.0, 1.01, 1.25, 1.41])
def test_a_field_at_another_magnification_keeps_its_middle_at_its_own_scale(fields, share):
    from core.training.data.all_fields import seen_at

    pixels = fields.pixels[0]
    seen = seen_at(pixels, share)
    assert seen.shape[0] == seen.shape[1] == pytest.approx(share * len(pixels), abs=1.1)
    common = min(len(seen), len(pixels)) // 2
    middles = [
        p[len(p) // 2 - common : len(p) // 2 + common, len(p) // 2 - common : len(p) // 2 + common]
        for p in (seen, pixels)
    ]
    # An odd border leaves the middle half a pixel off.
    off = [np.roll(middles[1], shift, (0, 1)) for shift in (-1, 0, 1)]
    same = [np.array_equal(middles[0][2:-2, 2:-2], other[2:-2, 2:-2]) for other in off]
    assert any(same)
