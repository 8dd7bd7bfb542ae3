"""Photographs a synthetic slide: light is absorbed by the dyes (Beer-Lambert), then a camera."""

import cv2
import numpy as np
from numpy.typing import NDArray

from core.domain.results import Pixels
from core.synthetic.cells import DYES, Floats

# Optical density in R, G, B of one unit of each dye (haemoglobin, chromatin, cytoplasm, eosin) in
# four Romanowsky stains: Giemsa, pale Wright, magenta May-Grünwald and Leishman.
_STAINS = np.array(
    [
        [[0.09, 0.15, 0.12], [0.60, 0.80, 0.26], [0.24, 0.22, 0.04], [0.09, 0.27, 0.22]],
        [[0.03, 0.15, 0.16], [0.24, 0.50, 0.01], [0.16, 0.12, 0.02], [0.06, 0.28, 0.16]],
        [[0.14, 0.26, 0.17], [0.36, 1.05, 0.34], [0.16, 0.27, 0.06], [0.12, 0.48, 0.30]],
        [[0.22, 0.28, 0.16], [0.50, 0.90, 0.30], [0.24, 0.24, 0.08], [0.10, 0.36, 0.30]],
    ]
)
# Empty field under the same stains and two more: a neutral and a bluish lamp.
_LAMPS = np.array(
    [
        [252, 230, 202],
        [206, 219, 210],
        [232, 176, 158],
        [204, 184, 178],
        [232, 230, 228],
        [222, 224, 240],
    ]
)


def _mixture(rng: np.random.Generator, options: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mix along the first axis, mostly close to one of the options."""
    weights = rng.dirichlet(np.full(len(options), 0.35))
    return np.tensordot(weights, options, axes=1)


def expose(rng: np.random.Generator, dyes: Floats, red_cell_pixels: float) -> Pixels:
    """Photograph a canvas of dye: stain, lamp, lens, camera and JPEG of one random site."""
    height, width = dyes.shape[:2]
    stain = _mixture(rng, _STAINS) * np.exp(rng.normal(0, 0.1, (DYES, 3)))
    stain *= rng.uniform(0.75, 1.2)
    light = np.asarray(cv2.exp(cv2.transform(dyes, -np.log(10) * stain.T)), np.float32)

    lamp = np.clip(_mixture(rng, _LAMPS) * np.exp(rng.normal(0, 0.03, 3)), 0, 254) / 255
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * np.float32(rng.normal(0, 0.03))
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(rng.normal(0, 0.03))
    far = (np.linspace(-1, 1, width) ** 2)[None, :] + (np.linspace(-1, 1, height) ** 2)[:, None]
    shade = 1 + across + down - np.float32(rng.uniform(0, 0.06)) * far.astype(np.float32)
    light *= lamp.astype(np.float32) * shade[..., None]

    blur = rng.uniform(0.25, 1.1) * red_cell_pixels / 45
    light = np.asarray(cv2.GaussianBlur(light, (0, 0), max(blur, 0.3)), np.float32)
    sharpening = rng.uniform(0, 0.7)
    light += np.float32(sharpening) * (light - cv2.GaussianBlur(light, (0, 0), 2 * blur + 0.8))
    gamma = float(np.exp(rng.normal(0, 0.12)))
    light = np.asarray(255 * cv2.pow(np.clip(light, 0, 1), gamma), np.float32)
    light += rng.standard_normal((height, width, 1), dtype=np.float32) * rng.uniform(0.3, 2.5)
    light += rng.standard_normal(light.shape, dtype=np.float32) * rng.uniform(0.2, 1.5)
    image = np.clip(np.rint(light), 0, 255).astype(np.uint8)
    quality = int(rng.integers(70, 97))
    _, file = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    read = np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(read[..., ::-1])
