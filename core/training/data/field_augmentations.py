"""Augmentations of ALL fields: as other laboratories would have taken them.

Each function yields the augmentations of a field one by one, drawing from the generator.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from core.domain.results import Pixels
from core.training.augmentation import appearance
from core.training.data.all_fields import Fields, another_stain, other_statistics, seen_at

STAIN_STRENGTHS = (0.35, 0.7, 1.0, 0.7)
SHARES = (0.57, 0.69, 0.84, 1.02, 1.41)
"""What is seen to a side, in shares of a field: one between any two neighbours. From the least
that is graded to where a field is graded in parts."""
DEGRADED = ((True, False), (False, True), (False, True), (True, True)) * 2
"""Whether a field is out of focus or of low resolution, and whether it is noisy, sharpened or
compressed."""
_NOISE = 1.2


def stained(fields: Fields, number: int, rng: Generator) -> Iterator[Pixels]:
    """Yield fields with another stain and camera."""
    for strength in STAIN_STRENGTHS:
        yield another_stain(fields.pixels[number], rng, strength)


def stain_transferred(fields: Fields, number: int, rng: Generator) -> Iterator[Pixels]:
    """Yield a field on the way to the colours of each other class."""
    for statistics in other_statistics(fields, number, rng):
        yield appearance.transfer_stain(fields.pixels[number], statistics, rng.uniform(0.5, 1))


def magnified(fields: Fields, number: int, rng: Generator) -> Iterator[Pixels]:
    """Yield fields at other magnifications."""
    for share in np.exp(rng.uniform(np.log(SHARES[:-1]), np.log(SHARES[1:]))):
        yield seen_at(fields.pixels[number], float(share))


def degraded(fields: Fields, number: int, rng: Generator) -> Iterator[Pixels]:
    """Yield fields of a worse focus, camera or file."""
    for blurred, noisy in DEGRADED:
        pixels = fields.pixels[number]
        if blurred:
            pixels = appearance.blur(pixels, rng)
        if noisy:
            pixels = appearance.noise(pixels, rng, _NOISE)
        yield pixels


class Augmentation(NamedTuple):
    """One kind of augmentation, and the seed that makes it the same in every run."""

    seed: int
    of: Callable[[Fields, int, Generator], Iterator[Pixels]]


AUGMENTATIONS = {
    "stained": Augmentation(99, stained),
    "stain_transferred": Augmentation(100, stain_transferred),
    "magnified": Augmentation(101, magnified),
    "degraded": Augmentation(103, degraded),
}
"""By the name of the file that keeps what the trunk sees in them."""
