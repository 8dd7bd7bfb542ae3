"""Draws single blood cells as maps of dye, for synthetic images.

A cell is drawn on its own small grid in units of its radius (centre 0, 0; x right, y down) and
returned as a `Stamp`. Sizes follow the usual morphology of a Romanowsky-stained smear.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]

# Channels of a dye map. Romanowsky stains have two dyes, but eosin is seen as haemoglobin's pink
# and as eosinophil granules, and azure as blue RNA and as the violet it makes with chromatin.
HAEMOGLOBIN, CHROMATIN, CYTOPLASM, EOSIN = range(4)
DYES = 4


@dataclass(frozen=True, eq=False)
class Stamp:
    """One drawn cell: `dyes` is h x w x 4 (amounts), `cover` is h x w in 0..1 (its mask)."""

    dyes: Floats
    cover: Floats


@dataclass(frozen=True)
class RedCellHabit:
    """What the red cells of one field have in common."""

    pallor: float
    """Mean depth of the central pallor, 0 (none) to 1 (empty centre)."""
    size_spread: float
    """Standard deviation of the diameter over its mean (the RDW)."""
    bend: float
    """Size of the deformation of the outline over the radius."""
    crenated: float
    """Share of crenated cells (echinocytes)."""
    bubbles: float
    """Share of cells with a refractile bubble, the artefact of water in the fixative."""


class _Pen:
    """The grid of one cell with the random numbers to draw on it."""

    def __init__(self, rng: np.random.Generator, radius: float, reach: float = 1.4) -> None:
        self.rng = rng
        self.radius = radius
        half = int(np.ceil(radius * reach)) + 2
        axis = (np.arange(-half, half + 1, dtype=np.float32) + rng.uniform(-0.5, 0.5)) / radius
        self.x, self.y = np.meshgrid(axis.astype(np.float32), axis.astype(np.float32))

    def noise(self, grain: float) -> Floats:
        """Smooth noise of zero mean and about unit variance with blobs of `grain` radii."""
        side = self.x.shape[0]
        step = max(1.0, grain * self.radius)
        coarse = self.rng.standard_normal((int(side / step) + 3,) * 2, dtype=np.float32)
        if step == 1.0:
            return np.asarray(coarse[:side, :side], np.float32)
        fine = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
        return np.asarray(fine, np.float32)

    def spots(self, share: float, size: float) -> Floats:
        """Fill a `share` of the places for round spots of radius `size`, side by side; 0..1."""
        side = self.x.shape[0]
        pitch = 2.05 * size
        reach = np.arange(-1, 1 + pitch, pitch)
        a, b = (grid.ravel() for grid in np.meshgrid(reach, reach))
        chosen = self.rng.random(a.size) < share
        a, b = (c[chosen] + self.rng.normal(0, 0.25 * pitch, chosen.sum()) for c in (a, b))
        turn = self.rng.uniform(0, 2 * np.pi)  # so that the lattice never follows the pixels
        x, y = a * np.cos(turn) - b * np.sin(turn), a * np.sin(turn) + b * np.cos(turn)
        places = np.rint((side - 1) / 2 + self.radius * np.stack([y, x])).astype(int)
        marks = np.zeros((side, side), np.float32)
        np.add.at(marks, tuple(places.clip(0, side - 1)), self.rng.uniform(0.6, 1.3, a.size))
        sigma = max(0.45, size * self.radius * 0.55)
        peak = 1 / (1 + 2 * np.pi * sigma**2)
        blurred = np.asarray(cv2.GaussianBlur(marks, (0, 0), sigma), np.float32)
        return np.asarray(np.clip(blurred / peak * 1.5 - 0.4, 0, 1), np.float32)

    def inside(self, distance: Floats, softness: float = 1.0) -> Floats:
        """Turn a signed distance in radii into an antialiased mask, 1 inside."""
        return np.asarray(np.clip(0.5 - distance * (self.radius / softness), 0, 1), np.float32)

    def outline(
        self,
        size: float,
        waves: Sequence[tuple[int, float]],
        centre: tuple[float, float] = (0.0, 0.0),
    ) -> Floats:
        """Signed distance to a closed curve: a circle of `size` bent by `(order, amplitude)`."""
        x, y = self.x - centre[0], self.y - centre[1]
        angle = np.arctan2(y, x)
        bent = np.ones_like(x)
        for order, amplitude in waves:
            phase = np.float32(self.rng.uniform(0, 2 * np.pi))
            bent += np.float32(amplitude) * np.cos(order * angle + phase)
        return np.asarray(np.hypot(x, y) - np.float32(size) * bent, np.float32)

    def lobes(self, points: NDArray[np.float64], sizes: Sequence[float], strand: float) -> Floats:
        """Signed distance to a chain of round lobes joined by strands, smoothly merged."""
        warp = 0.025
        x, y = self.x + warp * self.noise(0.3), self.y + warp * self.noise(0.3)
        parts = [
            np.hypot(x - px, y - py) - size for (px, py), size in zip(points, sizes, strict=True)
        ]
        for (ax, ay), (bx, by) in pairwise(points):
            dx, dy = bx - ax, by - ay
            along = np.clip(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy + 1e-6), 0, 1)
            parts.append(np.hypot(x - ax - along * dx, y - ay - along * dy) - strand)
        sharpness = 22.0  # of the smooth minimum: -log(sum(exp(-k d))) / k
        total = sum(np.exp(np.clip(-sharpness * part, -30, 30)) for part in parts)
        return np.asarray(-np.log(total) / sharpness, np.float32)

    def dyes(
        self,
        *,
        haemoglobin: ArrayLike = 0,
        chromatin: ArrayLike = 0,
        cytoplasm: ArrayLike = 0,
        eosin: ArrayLike = 0,
    ) -> Floats:
        """Return a map of these amounts of dye, h x w x 4."""
        amounts = np.broadcast_arrays(haemoglobin, chromatin, cytoplasm, eosin, self.x)[:DYES]
        return np.stack(amounts, axis=-1).astype(np.float32)

    def arc(self, count: int, bend: float, span: float) -> NDArray[np.float64]:
        """Return `count` points (count x 2) on an arc of radius `bend` over `span` radians."""
        start = self.rng.uniform(0, 2 * np.pi)
        angle = start + np.linspace(0, span, count) + self.rng.normal(0, 0.12, count)
        reach = bend * self.rng.uniform(0.8, 1.2, count)
        return np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=1)


def draw_red_cell(rng: np.random.Generator, pixels: float, habit: RedCellHabit) -> Stamp:
    """Draw a red cell; `pixels` is the mean diameter of red cells in the field."""
    size = float(np.clip(rng.normal(1, habit.size_spread), 0.72, 1.3))
    pen = _Pen(rng, pixels / 2 * size)
    waves = [(order, rng.normal(0, habit.bend / part)) for order, part in ((2, 1), (3, 2), (4, 4))]
    if rng.random() < habit.crenated:
        waves.append((int(rng.integers(9, 15)), 0.05))
    edge = pen.outline(0.98, waves)
    cover = pen.inside(edge)
    depth = float(np.clip(rng.normal(habit.pallor, 0.18), 0, 0.95))
    width = rng.uniform(0.25, 0.58)
    centre = rng.normal(0, 0.08, 2)
    hollow = pen.outline(width, [(2, rng.normal(0, 0.12))], (centre[0], centre[1]))
    slope = rng.uniform(0.04, 0.13)
    disc = 1 - depth / (1 + np.exp(np.clip(hollow / slope, -30, 30)))
    # The disc thins out at the very edge and carries slightly more haemoglobin in its ring.
    rounded = np.clip(-edge / 0.16, 0, 1) ** 0.5
    thickness = disc * (0.55 + 0.45 * rounded) * rng.normal(1, 0.08)
    dyes = pen.dyes(haemoglobin=cover * thickness * (1 + 0.02 * pen.noise(0.25)))
    if rng.random() < 0.02:  # polychromatic: a young red cell still holds RNA
        dyes[..., CYTOPLASM] = 0.18 * cover
    if rng.random() < habit.bubbles:
        x, y = rng.normal(0, 0.2, 2)
        bubble = pen.outline(rng.uniform(0.1, 0.25), [(2, 0.2), (3, 0.1)], (x, y))
        dyes *= (1 - 0.9 * pen.inside(bubble))[..., None]
        dyes[..., CHROMATIN] += cover * rng.uniform(0.1, 0.4) * np.exp(-((bubble / 0.06) ** 2))
    return Stamp(dyes, cover)


def draw_platelet(rng: np.random.Generator, pixels_per_micrometre: float) -> Stamp:
    """Draw a platelet of 2-3 µm: a pale blue body with violet granules in the middle."""
    pen = _Pen(rng, rng.uniform(1.0, 1.6) * pixels_per_micrometre)
    edge = pen.outline(0.95, [(2, 0.14), (3, 0.08), (5, 0.05)])
    cover = pen.inside(edge)
    core = pen.inside(edge + 0.25, 0.3 * pen.radius)
    cytoplasm = cover * rng.uniform(0.3, 0.7)
    granules = pen.spots(rng.uniform(0.3, 0.8), 0.15)
    chromatin = cover * (0.12 + core * (rng.uniform(0.1, 0.3) + 0.5 * granules))
    return Stamp(pen.dyes(cytoplasm=cytoplasm, chromatin=chromatin), cover)


def _neutrophil(pen: _Pen) -> tuple[Floats, Floats]:
    rng = pen.rng
    if rng.random() < 0.25:  # a band: one bent rod
        count = 7
        points = pen.arc(count, rng.uniform(0.38, 0.5), rng.uniform(2.4, 4.2))
        nucleus = pen.lobes(points, list(rng.uniform(0.2, 0.27, count)), 0.19)
    else:
        count = int(rng.choice([2, 3, 4, 5], p=[0.2, 0.4, 0.3, 0.1]))
        points = pen.arc(count, rng.uniform(0.36, 0.48), 1.15 * count * rng.uniform(0.8, 1.1))
        sizes = rng.uniform(0.24, 0.34, count) * (1.12 - 0.05 * count)
        nucleus = pen.lobes(points, list(sizes), rng.uniform(0.03, 0.08))
    haemoglobin = rng.uniform(0.15, 0.5)
    grain = np.clip(pen.noise(0.035), 0, 2) + 0.6 * np.clip(pen.noise(0.07), 0, 2)
    chromatin = rng.uniform(0.04, 0.1) + rng.uniform(0.04, 0.13) * grain
    return nucleus, pen.dyes(haemoglobin=haemoglobin, chromatin=chromatin)


def _lymphocyte(pen: _Pen) -> tuple[Floats, Floats]:
    rng = pen.rng
    size = rng.uniform(0.74, 0.9)
    offset = (1 - size) * rng.uniform(0.3, 0.9)
    angle = rng.uniform(0, 2 * np.pi)
    centre = (offset * np.cos(angle), offset * np.sin(angle))
    nucleus = pen.outline(size, [(2, 0.04), (3, 0.03), (5, 0.01)], centre)
    cytoplasm = rng.uniform(0.8, 1.8) * (1 + 0.12 * pen.noise(0.12))
    return nucleus, pen.dyes(cytoplasm=cytoplasm, chromatin=rng.uniform(0.02, 0.12))


def _monocyte(pen: _Pen) -> tuple[Floats, Floats]:
    rng = pen.rng
    count = 5
    points = pen.arc(count, rng.uniform(0.4, 0.52), rng.uniform(2.4, 4.4))
    points += rng.normal(0, 0.05, 2)
    nucleus = pen.lobes(points, list(rng.uniform(0.25, 0.36, count)), 0.24)
    frosted = 1 + 0.16 * pen.noise(0.06) + 0.12 * pen.noise(0.2)
    holes = pen.spots(rng.uniform(0, 0.06), rng.uniform(0.05, 0.09))
    cytoplasm = rng.uniform(0.7, 1.2) * frosted * (1 - 0.85 * holes)
    chromatin = rng.uniform(0.03, 0.12) * (1 - holes)
    return nucleus, pen.dyes(cytoplasm=cytoplasm, chromatin=chromatin)


def _eosinophil(pen: _Pen) -> tuple[Floats, Floats]:
    rng = pen.rng
    count = 2 if rng.random() < 0.8 else 3
    points = pen.arc(count, rng.uniform(0.42, 0.55), rng.uniform(1.5, 2.6) * (count - 1) ** 0.5)
    nucleus = pen.lobes(points, list(rng.uniform(0.3, 0.38, count)), rng.uniform(0.05, 0.12))
    granules = pen.spots(0.95, rng.uniform(0.04, 0.055))
    return nucleus, pen.dyes(
        eosin=rng.uniform(0.55, 0.8) + rng.uniform(0.35, 0.6) * granules,
        cytoplasm=rng.uniform(0, 0.15),
        chromatin=rng.uniform(0.02, 0.08),
    )


def _basophil(pen: _Pen) -> tuple[Floats, Floats]:
    rng = pen.rng
    points = pen.arc(3, rng.uniform(0.15, 0.35), rng.uniform(2, 4))
    nucleus = pen.lobes(points, list(rng.uniform(0.28, 0.42, 3)), 0.2)
    return nucleus, pen.dyes(
        cytoplasm=rng.uniform(0.2, 0.6),
        haemoglobin=rng.uniform(0.1, 0.5),
        chromatin=rng.uniform(0.05, 0.15),
    )


@dataclass(frozen=True)
class _CellType:
    """How the cells of one type are drawn."""

    diameters: tuple[float, float]
    """Range in micrometres."""
    draw: Callable[[_Pen], tuple[Floats, Floats]]
    """Returns the signed distance to the nucleus in radii, and the dyes of the body around it."""
    density: float
    """Of the nucleus; clumps of about 1 µm and grain of 0.4 µm modulate it."""
    clumps: float
    grain: float


_TYPES: dict[str, _CellType] = {
    "neutrophil": _CellType((12.0, 15.0), _neutrophil, 0.98, 0.17, 0.1),
    "lymphocyte": _CellType((8.0, 12.0), _lymphocyte, 1.0, 0.13, 0.09),
    "monocyte": _CellType((15.0, 19.5), _monocyte, 0.76, 0.12, 0.14),
    "eosinophil": _CellType((12.0, 16.0), _eosinophil, 0.92, 0.15, 0.09),
    "basophil": _CellType((10.5, 14.0), _basophil, 0.68, 0.1, 0.08),
}
DRAWN_TYPES = frozenset(_TYPES)
"""The types of white cells that can be drawn."""


def draw_white_cell(
    rng: np.random.Generator, cell_type: str, pixels_per_micrometre: float
) -> Stamp:
    """Draw a white cell of one of `DRAWN_TYPES`; KeyError for another."""
    kind = _TYPES[cell_type]
    diameter = rng.uniform(*kind.diameters)
    pen = _Pen(rng, diameter / 2 * pixels_per_micrometre)
    micrometre = 2 / diameter  # in cell radii
    wobble = 0.035 if cell_type == "monocyte" else 0.015
    waves = [(2, rng.normal(0, 0.045)), (3, rng.normal(0, wobble)), (5, rng.normal(0, wobble))]
    edge = pen.outline(0.97, waves) + np.float32(0.008) * pen.noise(0.12)
    cover = pen.inside(edge)
    distance, dyes = kind.draw(pen)
    # The nucleus keeps clear of the cell's edge.
    nucleus = pen.inside(np.maximum(distance, edge + 0.05), 1.6)
    texture = 1 + kind.clumps * pen.noise(micrometre) + kind.grain * pen.noise(0.4 * micrometre)
    rim = 1 + 0.12 * np.exp(-((distance * 12) ** 2))
    dyes *= (1 - nucleus)[..., None]
    dyes[..., CHROMATIN] += nucleus * kind.density * rng.normal(1, 0.06) * texture * rim
    if cell_type == "basophil":  # its granules lie over the nucleus too
        granules = pen.spots(rng.uniform(0.5, 1), rng.uniform(0.36, 0.55) * micrometre)
        dyes[..., CHROMATIN] += granules * rng.uniform(0.65, 0.95) * (1 - 0.3 * nucleus)
    return Stamp(np.clip(dyes, 0, None) * cover[..., None], cover)
