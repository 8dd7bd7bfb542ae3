"""Images that are no blood smears, made or taken from packages, to teach the input gate."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from core.domain.results import Pixels
from core.training.augmentation import appearance

HEIGHT, WIDTH = 288, 384
"""Of all images that teach the gate, in pixels."""

Floats = NDArray[np.float32]


def negative_image(rng: Generator) -> Pixels:
    """Return one image that is no smear, H x W x 3: a photograph, texture, tissue or noise."""
    draw = _DRAWINGS[int(rng.integers(len(_DRAWINGS)))]
    pixels = draw(rng)
    if rng.random() < 0.3:
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        pixels = np.repeat(grey[..., None], 3, axis=2)
    return appearance.augment_appearance(pixels, rng, appearance.STRONG)


def _colours(rng: Generator, count: int) -> Floats:
    """Return random colours, count x 3."""
    return rng.uniform(0, 255, (count, 3)).astype(np.float32)


def _clouds(rng: Generator, persistence: float) -> Floats:
    """Return fractal noise in 0..1, H x W."""
    field = np.zeros((HEIGHT, WIDTH), np.float32)
    cells, strength = 2, 1.0
    while cells < HEIGHT:
        shape = (cells, max(cells * WIDTH // HEIGHT, 1))
        layer = rng.standard_normal(shape).astype(np.float32)
        field += strength * cv2.resize(layer, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        cells, strength = 2 * cells, strength * persistence
    low, high = np.percentile(field, [1, 99])
    return np.clip((field - low) / (high - low), 0, 1)


def _between(share: Floats, first: Floats, second: Floats) -> Pixels:
    """Blend two colours: the share (H x W) of the second one at every pixel."""
    return (first + share[..., None] * (second - first)).astype(np.uint8)


def _texture(rng: Generator) -> Pixels:
    """Return grass, gravel, cloud or stone."""
    share = _clouds(rng, rng.uniform(0.4, 1.1))
    if rng.random() < 0.4:
        share = (share > rng.uniform(0.3, 0.7)).astype(np.float32)
    first, second = _colours(rng, 2)
    return _between(share, first, second)


def _noise(rng: Generator) -> Pixels:
    """Return coloured noise of one grain size, blocky or smooth."""
    cells = int(rng.integers(6, HEIGHT))
    small = rng.uniform(0, 255, (cells, cells * 4 // 3, 3)).astype(np.uint8)
    method = cv2.INTER_NEAREST if rng.random() < 0.5 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(small, (WIDTH, HEIGHT), interpolation=method))


def _pattern(rng: Generator) -> Pixels:
    """Return stripes, bricks or boards."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    angle, step = rng.uniform(0, np.pi), rng.uniform(6, 90)
    u = (x * np.cos(angle) + y * np.sin(angle)) / step
    v = (y * np.cos(angle) - x * np.sin(angle)) / (step * rng.uniform(0.4, 2.5))
    if rng.random() < 0.4:
        u = u + 0.5 * (np.floor(v) % 2)
    pattern = rng.integers(3)
    if pattern == 0:
        share = (np.sin(2 * np.pi * u) + 1) / 2
    elif pattern == 1:
        share = (np.floor(u) + np.floor(v)) % 2
    else:
        gap = rng.uniform(0.04, 0.2)
        share = ((u % 1 > gap) & (v % 1 > gap)).astype(np.float32)
    first, second = _colours(rng, 2)
    pixels = _between(share.astype(np.float32), first, second).astype(np.float32)
    pixels += 40 * rng.uniform(0, 1) * (_clouds(rng, 0.8)[..., None] - 0.5)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _page(rng: Generator) -> Pixels:
    """Return text as on a page or a screen."""
    paper, ink = _colours(rng, 2)
    if rng.random() < 0.6:
        paper, ink = np.full(3, 245, np.float32), np.full(3, 20, np.float32)
    pixels = np.full((HEIGHT, WIDTH, 3), paper, np.uint8)
    size, y = rng.uniform(0.3, 1.4), 0
    letters = list("abcdefghijklmnopqrstuvwxyzABCDEFG 0123456789 .,;()   ")
    while y < HEIGHT:
        y += int(36 * size)
        text = "".join(rng.choice(letters, 70))
        cv2.putText(pixels, text, (5, y), int(rng.integers(8)), size, ink.tolist(), 1, cv2.LINE_AA)
    return pixels


def _shapes(rng: Generator) -> Pixels:
    """Return discs, rings, ellipses and polygons: what looks like cells from afar."""
    background = _between(_clouds(rng, 0.5), *_colours(rng, 2))
    pixels = np.ascontiguousarray(background)
    palette = _colours(rng, int(rng.integers(1, 6)))
    size = rng.uniform(6, 70)
    for _ in range(int(rng.integers(1, 60))):
        colour = palette[int(rng.integers(len(palette)))].tolist()
        centre = (int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)))
        thickness = int(rng.choice([-1, -1, 1, 3, 8]))
        axes = (int(size * rng.uniform(0.5, 1.5)), int(size * rng.uniform(0.5, 1.5)))
        if rng.random() < 0.6:
            turn = rng.uniform(0, 180)
            cv2.ellipse(pixels, centre, axes, turn, 0, 360, colour, thickness, cv2.LINE_AA)
        else:
            corners = np.array(centre) + rng.normal(0, size, (int(rng.integers(3, 7)), 2))
            cv2.fillPoly(pixels, [corners.astype(np.int32)], colour, cv2.LINE_AA)
    return pixels


def _tissue(rng: Generator) -> Pixels:
    """Return histology: crowded nuclei without glass between them, in eosin or brown."""
    ground = np.array([225, 150, 190] if rng.random() < 0.6 else [205, 180, 150], np.float32)
    other = ground + rng.normal(0, 25, 3).astype(np.float32)
    pixels = np.ascontiguousarray(
        _between(_clouds(rng, 0.75), np.clip(ground, 0, 255), np.clip(other + 25, 0, 255))
    )
    nucleus = np.array([95, 60, 140] if rng.random() < 0.7 else [110, 60, 30])
    size = rng.uniform(2.5, 11)
    for _ in range(int(rng.uniform(2, 8) * WIDTH * HEIGHT / (40 * size**2))):
        centre = (int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)))
        axes = (max(int(size * rng.uniform(0.6, 1.4)), 1), max(int(size * rng.uniform(0.4, 1)), 1))
        colour = np.clip(nucleus + rng.normal(0, 22, 3), 0, 255).tolist()
        cv2.ellipse(pixels, centre, axes, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.5, 1.6)))


def _lights(rng: Generator) -> Pixels:
    """Return bright spots on black: fluorescence, stars."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    size = rng.uniform(1, 25)
    for _ in range(int(rng.integers(5, 150))):
        centre = (int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)))
        radius = max(int(size * rng.uniform(0.3, 1.5)), 1)
        cv2.circle(pixels, centre, radius, rng.uniform(80, 255, 3).tolist(), -1)
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), max(size / 4, 0.6)))


@cache
def _photographs() -> tuple[Pixels, ...]:
    """Return the sample photographs that scikit-learn and matplotlib bring along."""
    import matplotlib as mpl
    from sklearn.datasets import load_sample_images

    hopper = Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    with Image.open(hopper) as image:
        return (*load_sample_images().images, np.asarray(image.convert("RGB")))


def _photograph(rng: Generator) -> Pixels:
    """Return a random part of a photograph, turned and mirrored."""
    photographs = _photographs()
    whole = photographs[int(rng.integers(len(photographs)))]
    height, width = whole.shape[:2]
    share = rng.uniform(0.12, 1.0)
    h, w = int(height * share), int(width * share)
    y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    part = np.rot90(whole[y : y + h, x : x + w], int(rng.integers(4)))
    if rng.random() < 0.5:
        part = part[:, ::-1]
    return np.asarray(cv2.resize(np.ascontiguousarray(part), (WIDTH, HEIGHT)))


_DRAWINGS: tuple[Callable[[Generator], Pixels], ...] = (
    _photograph,
    _photograph,
    _photograph,
    _texture,
    _texture,
    _noise,
    _pattern,
    _page,
    _shapes,
    _tissue,
    _lights,
)
