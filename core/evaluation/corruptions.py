"""Corruptions: what another stain, camera or optic does to an image, one at a time.

Each takes and returns H x W x 3 RGB uint8 and is the same in every run. They are for measuring;
training draws its own changes at random (`core.training.augmentation.appearance`).
"""

from collections.abc import Callable, Mapping
from functools import partial

import cv2
import numpy as np

from core.domain.results import Pixels


def turn_hue(pixels: Pixels, degrees: float) -> Pixels:
    """Rotate the hue."""
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(np.int16) + round(degrees / 2)) % 180
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))


def stain_strength(pixels: Pixels, factor: float) -> Pixels:
    """Multiply the optical density over that of the glass (Beer-Lambert)."""
    light = pixels.astype(np.float32) + 1
    glass = np.percentile(light[::4, ::4].reshape(-1, 3), 90, axis=0)
    density = np.log(glass / light)
    return np.asarray(np.clip(glass * np.exp(-factor * density) - 1, 0, 255), np.uint8)


def white_balance(pixels: Pixels, red: float, blue: float) -> Pixels:
    """Multiply the red and the blue channel."""
    return np.asarray(np.clip(pixels * np.array([red, 1.0, blue]), 0, 255), np.uint8)


def defocus(pixels: Pixels, share: float) -> Pixels:
    """Blur by a Gaussian whose sigma is a share of the shorter side."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), share * min(pixels.shape[:2])))


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    """Compress and read back."""
    _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))


def resize(pixels: Pixels, factor: float) -> Pixels:
    """Change the number of pixels."""
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=method))


def vignette(pixels: Pixels, loss: float) -> Pixels:
    """Darken the corners by a share of the light."""
    height, width = pixels.shape[:2]
    y = np.linspace(-1, 1, height)[:, None]
    x = np.linspace(-1, 1, width)[None]
    return (pixels * (1 - loss * (x**2 + y**2) / 2)[..., None]).astype(np.uint8)


def colour_gradient(pixels: Pixels, loss: float) -> Pixels:
    """Darken from left to right, red most and blue not at all, by a share of the light."""
    x = np.linspace(0, 1, pixels.shape[1])[None, :, None]
    return np.asarray(pixels * (1 - x * np.array([loss, loss / 2, 0])), np.uint8)


def contrast(pixels: Pixels, factor: float) -> Pixels:
    """Move every value towards the middle grey."""
    return (128 + factor * (pixels - 128.0)).astype(np.uint8)


CORRUPTIONS: Mapping[str, Callable[[Pixels], Pixels]] = {
    "Hue +15°": partial(turn_hue, degrees=15),
    "Hue -15°": partial(turn_hue, degrees=-15),
    "Stain 30 % weaker": partial(stain_strength, factor=0.7),
    "Stain 40 % stronger": partial(stain_strength, factor=1.4),
    "Warm white balance": partial(white_balance, red=1.1, blue=0.85),
    "Cool white balance": partial(white_balance, red=0.85, blue=1.1),
    "Defocus": partial(defocus, share=0.008),
    "JPEG quality 30": partial(jpeg, quality=30),
    "Half the pixels a side": partial(resize, factor=0.5),
    "Twice the pixels a side": partial(resize, factor=2.0),
    "Vignetting 40 %": partial(vignette, loss=0.4),
}
"""The suite, by the name that pages show."""

_UNEVEN: Mapping[str, Callable[[Pixels], Pixels]] = {
    "Vignetting 60 %": partial(vignette, loss=0.6),
    "Colour gradient 40 %": partial(colour_gradient, loss=0.4),
    "Tint": partial(white_balance, red=1.0, blue=0.7),
    "Contrast 50 %": partial(contrast, factor=0.5),
}


def all_uneven(pixels: Pixels) -> Pixels:
    """Apply all of uneven light together, the contrast last."""
    for change in _UNEVEN.values():
        pixels = change(pixels)
    return pixels


UNEVEN_LIGHT: Mapping[str, Callable[[Pixels], Pixels]] = {**_UNEVEN, "All four": all_uneven}
"""What the light of a cheap microscope and camera does to a field."""
