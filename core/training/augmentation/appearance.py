"""Random changes that make the images of one source look like those of another.

All functions take and return H x W x 3 RGB uint8 and draw from a numpy Generator.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from core.domain.results import Pixels
from core.imaging.crop import glass_colour

_TO_DENSITY = (-np.log((np.arange(256, dtype=np.float32) + 1) / 256)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Strength:
    """How far the appearance is changed; 1 covers the differences between the sources at hand."""

    stain: float = 1.0
    camera: float = 1.0
    blur: float = 1.0
    noise: float = 1.0


STRONG = Strength()
MILD = Strength(stain=0.35, camera=0.35, blur=0.4, noise=0.4)


def stain(pixels: Pixels, rng: Generator, strength: float = 1.0) -> Pixels:
    """Change stain uptake, stain hue and glass colour in optical density (Beer-Lambert)."""
    mix = np.diag(rng.uniform(1 - 0.4 * strength, 1 + 0.4 * strength, 3))
    mix += rng.normal(0, 0.09 * strength, (3, 3)) * (1 - np.eye(3))
    mix *= rng.uniform(1 - 0.3 * strength, 1 + 0.35 * strength)
    background = rng.uniform(-0.02, 0.1, (3, 1)) * strength
    return _mixed(pixels, mix, background)


def colour_statistics(pixels: Pixels) -> NDArray[np.float32]:
    """Return mean and standard deviation of the CIELAB channels (2 x 3)."""
    mean, deviation = cv2.meanStdDev(cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB))
    return np.stack([mean[:, 0], deviation[:, 0]]).astype(np.float32)


def transfer_stain(pixels: Pixels, other: NDArray[np.float32], amount: float = 1.0) -> Pixels:
    """Give an image the colour statistics of another: mean and spread in CIELAB.

    Reinhard et al. 2001, IEEE CG&A 21(5):34. `other` are the
    `colour_statistics` of the other image, `amount` 0..1 how far to go.
    """
    own = colour_statistics(pixels)
    wanted = own + amount * (other - own)
    gain = np.clip(wanted[1] / np.maximum(own[1], 1.0), 0.4, 2.5)
    lookup = (np.arange(256, dtype=np.float32)[:, None] - own[0]) * gain + wanted[0]
    table = np.clip(lookup, 0, 255).astype(np.uint8)[None]
    lab = cv2.LUT(cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB), table)
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))


def camera(pixels: Pixels, rng: Generator, strength: float = 1.0) -> Pixels:
    """Change white balance, gamma, contrast and black level, channel by channel."""
    ramp = np.arange(256, dtype=np.float32)[:, None] / 255
    gamma = np.exp(rng.normal(0, 0.22 * strength))
    gains = 1 + rng.normal(0, 0.09 * strength, 3)
    contrast = 1 + rng.normal(0, 0.15 * strength)
    offset = rng.normal(0, 0.04 * strength)
    table = ((ramp**gamma - 0.5) * contrast + 0.5) * gains + offset
    lookup = np.clip(table * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, lookup[None]))


def hue(pixels: Pixels, rng: Generator, strength: float = 1.0) -> Pixels:
    """Rotate hue and change saturation."""
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    shift = int(rng.normal(0, 9 * strength)) % 180
    hsv[..., 0] = (hsv[..., 0].astype(np.int16) + shift) % 180
    hsv[..., 1] = cv2.convertScaleAbs(hsv[..., 1], alpha=rng.uniform(1 - 0.4 * strength, 1.3))
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))


def illumination(pixels: Pixels, rng: Generator, strength: float = 1.0) -> Pixels:
    """Darken towards the border and to one side."""
    height, width = pixels.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    slope_x, slope_y = rng.normal(0, 0.08 * strength, 2)
    gain = 1 - rng.uniform(0, 0.18) * strength * (x**2 + y**2) + slope_x * x + slope_y * y
    return np.clip(pixels * gain[..., None], 0, 255).astype(np.uint8)


def blur(pixels: Pixels, rng: Generator, strength: float = 1.0) -> Pixels:
    """Defocus by up to 1 % of the image's side, or lose resolution and gain it back."""
    side = min(pixels.shape[:2])
    if rng.random() < 0.5:
        sigma = rng.uniform(0.2, 0.2 + 0.01 * side * strength)
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma))
    return reduce_resolution(pixels, rng.uniform(1 - 0.55 * strength, 1))


def reduce_resolution(pixels: Pixels, factor: float) -> Pixels:
    """Shrink by a factor below 1 and enlarge again: finer detail is lost."""
    small = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR))


def noise(pixels: Pixels, rng: Generator, strength: float = 1.0) -> Pixels:
    """Add sensor noise, sharpen, or compress as JPEG."""
    kind = rng.integers(3)
    if kind == 0:
        grain: NDArray[np.float32] = rng.standard_normal(pixels.shape, dtype=np.float32)
        grain *= rng.uniform(1, 8) * strength
        return np.clip(pixels + grain, 0, 255).astype(np.uint8)
    if kind == 1:
        soft = cv2.GaussianBlur(pixels, (0, 0), 1.5)
        amount = rng.uniform(0.2, 1.2) * strength
        return np.asarray(cv2.addWeighted(pixels, 1 + amount, soft, -amount, 0))
    quality = int(rng.uniform(95 - 65 * strength, 95))
    _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))


def augment_appearance(pixels: Pixels, rng: Generator, strength: Strength = STRONG) -> Pixels:
    """Change stain, camera, light, sharpness and noise together, each with its own chance."""
    for chance, change, amount in (
        (0.8, stain, strength.stain),
        (0.3, hue, strength.stain),
        (0.6, camera, strength.camera),
        (0.25, illumination, strength.camera),
        (0.35, blur, strength.blur),
        (0.35, noise, strength.noise),
    ):
        if rng.random() < chance:
            pixels = change(pixels, rng, amount)
    return pixels


def grey(pixels: Pixels, rng: Generator) -> Pixels:
    """Return a grey image: a random mean of the channels in optical density."""
    shares = rng.dirichlet((2.0, 2.0, 2.0))
    return _mixed(pixels, np.tile(shares, (3, 1)), np.zeros((3, 1)))


def mix_channels(pixels: Pixels, rng: Generator) -> Pixels:
    """Return an image in colours that no stain has; lobes and granules stay as they are.

    In optical density each new channel is half to all of its own and for the rest a random share
    of the other two, over a random background.
    """
    own = rng.uniform(0.5, 1.0, 3)
    first = rng.uniform(0.0, 1.0, 3)
    mix = np.diag(own)
    for channel in range(3):
        rest = 1 - own[channel]
        mix[channel, (channel + 1) % 3] = rest * first[channel]
        mix[channel, (channel + 2) % 3] = rest * (1 - first[channel])
    return _mixed(pixels, mix, rng.uniform(0.0, 0.25, (3, 1)))


def _mixed(pixels: Pixels, mix: NDArray[np.float64], background: NDArray[np.float64]) -> Pixels:
    """Return an image with the channels of its optical density mixed (3 x 3, plus 3 x 1)."""
    density = cv2.LUT(pixels, _TO_DENSITY)
    density = cv2.transform(density, np.hstack([mix, background]).astype(np.float32))
    return np.clip(cv2.exp(-density) * 256 - 1, 0, 255).astype(np.uint8)


def cheap_camera(pixels: Pixels, rng: Generator) -> Pixels:
    """Return an image as a cheap camera takes it.

    Each with its own chance: a vignette of up to 60 %, a gradient whose colours differ, a tint,
    down to half the contrast, defocus.
    """
    height, width = pixels.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    gain = np.ones((height, width, 3), np.float32)
    if rng.random() < 0.5:
        centre = rng.uniform(-0.6, 0.6, 2)
        distance = (x - centre[0]) ** 2 + (y - centre[1]) ** 2
        gain *= 1 - rng.uniform(0.1, 0.6) * distance / distance.max()
    if rng.random() < 0.5:
        slopes = rng.normal(0, 0.12, 2)[:, None] + rng.normal(0, 0.06, (2, 3))
        gain *= np.clip(1 + slopes[0] * x + slopes[1] * y, 0.3, 1.6).astype(np.float32)
    if rng.random() < 0.5:
        gain *= np.exp(rng.normal(0, 0.15, 3)).astype(np.float32)
    values = pixels * gain
    if rng.random() < 0.5:
        contrast = rng.uniform(0.5, 1.0)
        values = values * contrast + rng.uniform(0, 1) * 255 * (1 - contrast)
    if rng.random() < 0.4:
        sigma = rng.uniform(0.003, 0.016) * min(height, width)
        values = np.asarray(cv2.GaussianBlur(values, (0, 0), sigma))
    return np.clip(values, 0, 255).astype(np.uint8)


def truncate_edge(pixels: Pixels, side: float, rng: Generator) -> Pixels:
    """Cut the cell in the middle of a square crop as an image's edge does.

    `side` is the cell's share of the crop's side. What is left of the cell comes to the middle,
    as its smaller box would bring it there, and beyond the edge lies glass.
    """
    size = pixels.shape[0]
    left = rng.uniform(0.3, 0.85)
    moved = round((1 - left) / 2 * side * size)
    edge = round(size / 2 + left / 2 * side * size)
    cut = np.full_like(pixels, glass_colour(pixels))
    cut[:moved] = pixels[:moved][::-1]
    cut[moved:edge] = pixels[: edge - moved]
    return cut


def random_zoom(
    pixels: Pixels, size: int, rng: Generator, extent: tuple[float, float], shift: float = 0.05
) -> Pixels:
    """Cut a turned square out of an image and scale it to size x size.

    `extent` is the range of the square's side as a share of the image's shorter side, `shift`
    the largest displacement of its centre in the same unit. Outside the image the border is
    mirrored.
    """
    height, width = pixels.shape[:2]
    short = min(height, width)
    scale = size / (short * rng.uniform(*extent))
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    stretch = np.exp(rng.normal(0, 0.05))
    matrix = np.array([[cos * stretch, -sin, 0], [sin * stretch, cos, 0]])
    centre = np.array([width / 2, height / 2]) + rng.uniform(-shift, shift, 2) * short
    matrix[:, 2] = size / 2 - matrix[:, :2] @ centre
    interpolation = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
    warped = cv2.warpAffine(
        pixels, matrix, (size, size), flags=interpolation, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(warped[:, ::-1] if rng.random() < 0.5 else warped)
