"""Real nuclei on drawn cytoplasm: what a mononuclear cell is, its nucleus tells.

Reactive lymphocytes and monocytes differ from their resting kin by how much cytoplasm they have and
how blue it is; no set at hand has such cells under their names. Lymphocytes and monocytes alike get
cytoplasm of the same random size, outline, colour and grain, so that only the nucleus is left to
tell them apart.
"""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from core.domain.results import Pixels
from core.imaging.crop import glass_colour

_BLUE = np.array([0.45, 0.38, 0.12])
"""Optical density of basophilic cytoplasm in red, green and blue, about."""
_LEAST_NUCLEUS = 0.15
"""Share of the cell's circle that a nucleus covers at least; less was not found rightly."""


def nucleus_mask(pixels: Pixels, radius: float) -> NDArray[np.bool_]:
    """Return the largest dark part (Otsu on green) within `radius` pixels of the middle."""
    size = pixels.shape[0]
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    within = np.hypot(x, y) < radius
    green = pixels[..., 1]
    threshold, _ = cv2.threshold(green[within], 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    parts, number = ndimage.label(
        ndimage.binary_opening(within & (green <= threshold), iterations=2)
    )
    if not number:
        return np.zeros_like(within)
    largest = 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    return np.asarray(ndimage.binary_fill_holes(parts == largest))


def redraw_cytoplasm(pixels: Pixels, side: float, rng: Generator) -> Pixels | None:
    """Put the nucleus of the cell in the middle of a square crop on drawn cytoplasm.

    `side` is the cell's share of the crop's side. None where no nucleus is found.
    """
    size = pixels.shape[0]
    own = side * size / 2
    nucleus = nucleus_mask(pixels, own * 1.05)
    if nucleus.sum() < _LEAST_NUCLEUS * np.pi * own**2:
        return None
    middle = np.array(ndimage.center_of_mass(nucleus)[::-1])
    grown = cv2.getRotationMatrix2D(middle.tolist(), 0, rng.uniform(1.0, 1.3))
    soft = cv2.GaussianBlur(nucleus.astype(np.float32), (0, 0), 1.2)
    soft = cv2.warpAffine(soft, grown, (size, size))[..., None]
    enlarged = cv2.warpAffine(pixels, grown, (size, size), borderMode=cv2.BORDER_REFLECT_101)
    nuclear_radius = float(np.sqrt((soft > 0.5).sum() / np.pi))

    # The outline, not round and not around the nucleus's middle, holds the whole old cell.
    least = max(1.05 * own, 1.1 * nuclear_radius)
    drawn = rng.uniform(least, max(0.28 * size, 1.1 * least))
    shift = rng.uniform(-0.7, 0.7, 2) * max(drawn - least, 0)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    dx, dy = x - shift[0], y - shift[1]
    angle = np.arctan2(dy, dx)
    waves = sum(
        rng.normal(0, 0.13 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in range(2, 7)
    )
    place = np.hypot(dx, dy) / (drawn * (1 + waves))
    blob = 1 / (1 + np.exp((place - 1) * drawn / rng.uniform(0.8, 2.0)))

    colour = _BLUE * rng.uniform(0.35, 1.3) * np.exp(rng.normal(0, 0.15, 3))
    grain = ndimage.gaussian_filter(rng.standard_normal((size, size)), rng.uniform(1, 3))
    cloud = ndimage.gaussian_filter(rng.standard_normal((size, size)), 8)
    density = 1 + 0.12 * grain / grain.std() * rng.uniform(0.3, 1.0) + 0.12 * cloud / cloud.std()
    density += rng.uniform(0, 0.7) * np.clip(place, 0, 1) ** 6  # a deeper rim
    for _ in range(rng.poisson(0.5) * int(rng.integers(1, 6))):  # vacuoles
        at = rng.uniform(0.3, 0.9) * drawn * np.exp(1j * rng.uniform(0, 2 * np.pi))
        density *= 1 - 0.8 * (np.hypot(dx - at.real, dy - at.imag) < rng.uniform(1.5, 5))
    glass = np.array(glass_colour(pixels), np.float64)
    cytoplasm = glass * np.exp(-density[..., None].clip(0.05) * colour)
    cell = cytoplasm * (1 - soft) + enlarged * soft
    blend = np.maximum(blob[..., None], soft)
    return np.clip(pixels * (1 - blend) + cell * blend, 0, 255).astype(np.uint8)
