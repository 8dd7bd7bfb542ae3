"""Correction of uneven light and of the white point.

A microscope field is the smear times the light that falls through it. Dividing a field by its own
background (flat-field correction from a single image) removes vignettes, gradients and tints, so
that all later steps see a smear on the same even, nearly white glass.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from core.domain.results import Pixels

GLASS = 235.0
"""Value of empty glass in every channel after the correction."""
_WORKING_SIDE = 120
"""Longer side of the image that the background is estimated on: light changes slowly."""
_CLOSING_SHARE = 0.25
"""Diameter of the closing as a share of the longer side: wider than the largest white cell."""
_DEEPEST_SHADOW = 0.9
"""Of the bright parts of the quotient by the surface; what is darker belongs to the smear."""
_LEAST_LIGHT = 24.0
"""Darkest background that is divided by; below it noise and black borders would be amplified."""
UNEVEN_FROM = 1.3
"""Light that varies by more is clearly uneven. Of 183 ALL fields, as taken, restained and at other
magnifications, it hardly varies by more than 1.15; a vignette of 60 % makes 1.9."""
_FIT_STEP, _FIT_ALL_BELOW = 2, 8
"""Every second pixel of every second row is enough for a surface of six factors, except along a
side of fewer pixels."""
_EXPECTILE, _EXPECTILE_ROUNDS = 0.97, 12
"""Glass is brighter than cells: nearly all of the weight lies above the surface."""
_GLASS_PERCENTILE = 95


def background(pixels: Pixels) -> NDArray[np.float32]:
    """Return the light behind the cells of a field, h x w x 3 float32 in 0..255, at most 120 px.

    All three channels have their own estimate, which holds the tint too. A quadratic surface of
    the logarithm takes vignettes and gradients up to the border, where a closing alone would
    spread the light of the inside. In the quotient, grey closing with an ellipse removes what is
    darker than its surroundings and smaller than the ellipse, and the Gaussian blur of half that
    width leaves only what changes slowly.
    """
    height, width = pixels.shape[:2]
    factor = min(_WORKING_SIDE / max(height, width), 1.0)
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    surface = _bright_surface(small)
    diameter = max(round(max(size) * _CLOSING_SHARE), 3) | 1
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))
    border = cv2.BORDER_REPLICATE
    closed = cv2.morphologyEx(small / surface, cv2.MORPH_CLOSE, ellipse, borderType=border)
    # A cell wider than the ellipse survives the closing: it is no shadow.
    closed = np.maximum(closed, _DEEPEST_SHADOW * np.percentile(closed, 75, axis=(0, 1)))
    blurred = cv2.GaussianBlur(closed.astype(np.float32), (0, 0), diameter / 4, borderType=border)
    return np.asarray(blurred * surface, np.float32)


def _bright_surface(small: Pixels) -> NDArray[np.float32]:
    """Return the exponential of a surface through the bright pixels of each channel, h x w x 3.

    Light falls off towards the borders or to one side: a quadratic that is darkest in the middle
    has followed a large cell, and a plane takes its place.
    """
    height, width = small.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    plane = np.stack([np.ones_like(x), x, y], axis=-1)
    quadratic = np.concatenate([plane, np.stack([x * x, y * y, x * y], axis=-1)], axis=-1)
    fitted = tuple(
        slice(None, None, _FIT_STEP if side >= _FIT_ALL_BELOW else 1) for side in (height, width)
    )
    planes, quadratics = plane[fitted].reshape(-1, 3), quadratic[fitted].reshape(-1, 6)
    logs = np.log(np.maximum(small[fitted].reshape(-1, 3), _LEAST_LIGHT))
    surfaces = np.empty((height, width, 3))
    for channel, values in enumerate(logs.T):
        factors = _expectile_fit(quadratics, values)
        xx, yy, xy = factors[3:]
        is_concave = xx + yy <= 0 and 4 * xx * yy >= xy * xy
        surfaces[..., channel] = (
            quadratic @ factors if is_concave else plane @ _expectile_fit(planes, values)
        )
    return np.exp(surfaces).astype(np.float32)


def _expectile_fit(terms: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the factors of `terms` (n x k) that follow the high ones of n `values`.

    Expectile regression by asymmetric least squares (Newey and Powell 1987, Econometrica 55:819).
    """
    ridge = 1e-6 * len(terms) * np.eye(terms.shape[1])
    rows = np.ascontiguousarray(terms.T)
    weights: NDArray[np.float64] = np.ones(len(values))
    factors: NDArray[np.float64] = np.zeros(terms.shape[1])
    above: NDArray[np.bool_] | None = None
    for _ in range(_EXPECTILE_ROUNDS):
        weighted = rows * weights
        solved = np.linalg.solve(weighted @ terms + ridge, weighted @ values)
        factors = np.asarray(solved, np.float64)
        before, above = above, values > factors @ rows
        if before is not None and np.array_equal(before, above):
            break  # the next round would say the same
        weights = np.where(above, _EXPECTILE, 1 - _EXPECTILE)
    return factors


def flatten(pixels: Pixels, light: NDArray[np.float32] | None = None) -> Pixels:
    """Return a field with even light and glass at 235 in every channel, H x W x 3 uint8.

    `light` is what `background` returned for the field, or for the slide or the session that the
    field belongs to; without it the field's own background is taken.
    """
    light = background(pixels) if light is None else light
    height, width = pixels.shape[:2]
    gain = GLASS / np.maximum(light, _LEAST_LIGHT)
    whole = cv2.resize(gain, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.multiply(pixels, whole, dtype=cv2.CV_8U), np.uint8)


def unevenness(light: NDArray[np.float32]) -> float:
    """Return how many times brighter the light of a field is in one place than in another.

    `light` is what `background` returned; the channel that varies most counts.
    """
    dark, bright = np.percentile(light, [2, 98], axis=(0, 1))
    return float((bright / np.maximum(dark, _LEAST_LIGHT)).max())


def flatten_uneven(pixels: Pixels, light: NDArray[np.float32] | None = None) -> Pixels:
    """Return a field as `flatten` does where its light is clearly uneven, else as it is.

    For a model that learnt fields of even light as they were taken.
    """
    light = background(pixels) if light is None else light
    return flatten(pixels, light) if unevenness(light) > UNEVEN_FROM else pixels


def set_white_point(pixels: Pixels) -> Pixels:
    """Return the image of a single cell with its glass at 235 in every channel.

    One cell fills too much of its image for a map of the light: each channel is scaled so that
    its brightest twentieth, on a small copy without noise, starts at 235 (von Kries scaling).
    """
    small = cv2.resize(pixels, (48, 48), interpolation=cv2.INTER_AREA).reshape(-1, 3)
    glass = np.percentile(small, _GLASS_PERCENTILE, axis=0)
    gains = GLASS / np.maximum(glass, _LEAST_LIGHT)
    table = np.clip(np.arange(256)[:, None] * gains + 0.5, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, table[None]), np.uint8)
