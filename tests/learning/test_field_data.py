"""ALL fields with another stain or tone stay in their fold and keep their cells."""

import numpy as np
import pytest

from core.learning import augment
from core.settings import get_settings


@pytest.fixture(scope="module")
def fields(pack):
    from dataclasses import replace

    from core.learning.field_data import all_fields

    every = all_fields(get_settings())
    rows = np.arange(0, len(every), 40)
    return replace(
        every,
        examples=tuple(every.examples[k] for k in rows),
        pixels=every.pixels[rows],
        stages=every.stages[rows],
    )


def test_other_tones_come_from_the_own_fold_and_from_every_other_class(fields):
    from core.learning.field_data import of_fold, other_tones

    for number in range(0, len(fields), 9):
        own = of_fold(fields, fields.examples[number].split)
        known = [augment.tone(p) for p in fields.pixels[own]]
        tones = other_tones(fields, number, np.random.default_rng(number))
        assert len(tones) == 3
        for tone in tones:
            assert min(np.abs(tone - other).max() for other in known) < 1e-5


def test_swapped_tones_are_those_of_another_class(fields):
    from core.learning.field_data import tone_swapped

    swapped = tone_swapped(fields, np.arange(len(fields)))
    means = [
        np.mean([augment.tone(p) for p in fields.pixels[fields.stages == k]], axis=0)
        for k in range(4)
    ]
    nearest = [
        int(np.argmin([np.abs(augment.tone(p)[0] - m[0]).sum() for m in means])) for p in swapped
    ]
    assert np.mean(np.array(nearest) != fields.stages) > 0.9
    assert all(p.shape == q.shape for p, q in zip(swapped, fields.pixels, strict=True))
