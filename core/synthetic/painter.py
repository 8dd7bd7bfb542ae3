"""Paints one stained cell in optical density, large enough to teach with.

Coordinates are micrometres from the middle of the image, x right and y down. A shape is a map of
signed distances in µm, negative inside. Light passes all layers (Beer-Lambert).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from core.domain.results import Pixels

Map = NDArray[np.floating[Any]]
Colour = tuple[int, int, int]
"""RGB of a full layer on white glass."""
Point = tuple[float, float]

GLASS: Colour = (253, 248, 241)
_DEEPEST = 1.6
"""No stain is denser: a photograph keeps detail in the darkest chromatin."""


@dataclass(frozen=True, slots=True)
class Chromatin:
    """How a nucleus is stained."""

    colour: Colour
    clumps: float = 0.25
    """Contrast of the clumps, 0 (smooth) to 1."""
    clump_size: float = 1.0
    """In µm."""
    strands: float = 0.2
    """Contrast of the fine network between them."""
    strand_size: float = 0.45
    membrane: float = 0.25
    """How much darker the edge of the nucleus is."""


def density_of(colour: Colour) -> NDArray[np.float64]:
    """Return the optical density in R, G, B of a colour on white glass."""
    return np.asarray(-np.log10(np.maximum(np.asarray(colour, float), 1) / 255))


class Painter:
    """A square image `side` µm wide on `size` pixels, and the random numbers to paint on it."""

    def __init__(self, rng: np.random.Generator, side: float, size: int) -> None:
        self.rng = rng
        self.side, self.size = side, size
        self.scale = size / side
        axis = ((np.arange(size) + 0.5) / self.scale - side / 2).astype(np.float32)
        self.x, self.y = np.meshgrid(axis, axis)
        self.density = np.zeros((size, size, 3), np.float32)
        self.notes: dict[str, Point] = {}
        """What a label may point at, and where."""

    def close_up(self, centre: Point, reach: float) -> "Painter":
        """Return a painter of the part within `reach` µm of a place, in the same coordinates."""
        part = object.__new__(Painter)
        part.__dict__.update(self.__dict__)
        (left, right), (top, bottom) = (
            [
                int(np.clip((c + d + self.side / 2) * self.scale, 0, self.size))
                for d in (-reach, reach)
            ]
            for c in centre
        )
        window = np.s_[top:bottom, left:right]
        part.x, part.y, part.density = self.x[window], self.y[window], self.density[window]
        return part

    # Shapes

    def disc(
        self, centre: Point = (0, 0), radius: float = 1, waves: Sequence[tuple[int, float]] = ()
    ) -> Map:
        """Return a circle bent by waves of `(order, amplitude over the radius)`."""
        x, y = self.x - centre[0], self.y - centre[1]
        bent = np.ones_like(x)
        if waves:
            angle = np.arctan2(y, x)
            for order, amplitude in waves:
                phase = np.float32(self.rng.uniform(0, 2 * np.pi))
                bent += np.float32(amplitude) * np.cos(order * angle + phase)
        return np.asarray(np.hypot(x, y) - np.float32(radius) * bent, np.float32)

    def ellipse(self, centre: Point, half: Point, turn: float = 0.0) -> Map:
        """Return an ellipse with half axes `half`, turned by `turn` radians; roughly a distance."""
        x, y = self.turned(centre, turn)
        reach = np.hypot(x / half[0], y / half[1])
        return np.asarray((reach - 1) * min(half), np.float32)

    def turned(self, centre: Point, turn: float) -> tuple[Map, Map]:
        """Coordinates of a frame at `centre`, turned by `turn` radians."""
        x, y = self.x - np.float32(centre[0]), self.y - np.float32(centre[1])
        cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        return x * cos + y * sin, y * cos - x * sin

    def chain(
        self, points: NDArray[np.float64], radii: Sequence[float], strand: float, blend: float = 3.0
    ) -> Map:
        """Round lobes joined by strands of half width `strand`, merged smoothly."""
        parts = [
            np.hypot(self.x - px, self.y - py) - r
            for (px, py), r in zip(points, radii, strict=True)
        ]
        for (ax, ay), (bx, by) in pairwise(points):
            dx, dy = bx - ax, by - ay
            along = np.clip(
                ((self.x - ax) * dx + (self.y - ay) * dy) / (dx * dx + dy * dy + 1e-6), 0, 1
            )
            parts.append(np.hypot(self.x - ax - along * dx, self.y - ay - along * dy) - strand)
        total = sum(np.exp(np.clip(-blend * part, -40, 40)) for part in parts)
        return np.asarray(-np.log(total) / blend, np.float32)

    def arc(self, count: int, radius: float, span: float, start: float) -> NDArray[np.float64]:
        """Return `count` points (count x 2) on an arc, slightly displaced."""
        angle = start + np.linspace(0, span, count) + self.rng.normal(0, 0.06, count)
        reach = radius * self.rng.uniform(0.9, 1.1, count)
        return np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=1)

    def rough(self, distance: Map, amount: float, grain: float = 1.5) -> Map:
        """Return a shape with an uneven edge."""
        return distance + np.float32(amount) * self.noise(grain)

    @staticmethod
    def notched(distance: Map, bite: Map, blend: float = 2.5) -> Map:
        """Return a shape with a soft bite taken out of it."""
        top = np.clip(blend * distance, -40, 40), np.clip(-blend * bite, -40, 40)
        return np.asarray(np.log(np.exp(top[0]) + np.exp(top[1])) / blend, np.float32)

    def mask(self, distance: Map, soft: float = 0.16) -> Map:
        """Return 1 inside, 0 outside, with an edge `soft` µm wide."""
        return np.asarray(np.clip(0.5 - distance / max(soft, 1 / self.scale), 0, 1), np.float32)

    def noise(self, grain: float) -> Map:
        """Smooth noise of zero mean and about unit variance with blobs of `grain` µm."""
        rows, columns = self.x.shape
        step = max(1.0, grain * self.scale)
        cells = int(rows / step) + 4, int(columns / step) + 4
        coarse = self.rng.standard_normal(cells, np.float32) * np.float32(1.35)
        shift = np.eye(2, 3) * step
        shift[:, 2] = -step * self.rng.uniform(1, 2, 2)
        return np.asarray(
            cv2.warpAffine(coarse, shift, (columns, rows), flags=cv2.INTER_CUBIC), np.float32
        )

    def network(self, grain: float) -> Map:
        """Return a net of threads around holes of `grain` µm, 0..1."""
        threads = np.exp(-((self.noise(grain) / 0.45) ** 2)) + np.exp(
            -((self.noise(grain) / 0.45) ** 2)
        )
        return np.asarray(np.clip(threads, 0, 1.2), np.float32)

    # Paint

    def cover(self, mask: Map, colour: Colour, amount: Map | float = 1.0) -> None:
        """Replace what lies under a mask by a layer, `amount` times as dense."""
        layer = np.float32(density_of(colour)) * np.asarray(amount, np.float32)[..., None]
        self.density += mask[..., None] * (layer - self.density)

    def stain(self, mask: Map, colour: Colour) -> None:
        """Lay colour over what is there."""
        self.density += mask[..., None] * np.float32(density_of(colour))

    def fade(self, mask: Map, share: float) -> None:
        """Take a share of all stain away under a mask."""
        self.density *= (1 - np.float32(share) * mask)[..., None]

    def cytoplasm(
        self,
        edge: Map,
        colour: Colour,
        *,
        frosted: float = 0.05,
        rim: float = 0.25,
        deepening: float = 0.0,
    ) -> Map:
        """Paint the body of a cell; return its mask.

        `frosted` is the contrast of its texture, `rim` how much darker its membrane is, and
        `deepening` how much darker the outer zone is.
        """
        body = self.mask(edge)
        amount = 1 + frosted * (0.7 * self.noise(0.5) + 0.5 * self.noise(1.4))
        amount += rim * np.exp(-(((edge + 0.12) / 0.16) ** 2))
        amount += deepening * np.exp(np.clip(edge, -30, 0) / 1.1)
        self.cover(body, colour, np.maximum(amount, 0.1))
        return body

    def nucleus(self, distance: Map, chromatin: Chromatin, inside: Map | None = None) -> Map:
        """Paint a nucleus; return its mask. `inside` keeps it within the cell."""
        if inside is not None:
            distance = np.maximum(distance, inside + np.float32(0.25))
        shape = self.mask(distance, 0.22)
        clumps = np.tanh(1.6 * self.noise(chromatin.clump_size))
        amount = 1 + chromatin.clumps * clumps
        amount += chromatin.strands * (2 * self.network(chromatin.strand_size) - 1.1)
        amount += chromatin.membrane * np.exp(-(((distance + 0.12) / 0.18) ** 2))
        self.cover(shape, chromatin.colour, np.clip(amount, 0.25, 2.0))
        return shape

    def nucleolus(self, centre: Point, radius: float) -> None:
        """Paint a pale blue nucleolus with a border of condensed chromatin."""
        distance = self.disc(centre, radius, [(2, 0.12), (3, 0.07)])
        self.cover(0.8 * self.mask(distance, 0.3), (178, 158, 216))
        border = np.exp(-(((distance - 0.12) / 0.14) ** 2))
        self.stain(np.asarray(0.3 * border, np.float32), (120, 70, 160))

    def scatter(self, allowed: Map, count: int, apart: float) -> list[Point]:
        """Return at most `count` places where `allowed` exceeds a half, about `apart` µm apart."""
        pitch = 1.12 * apart
        reach = np.arange(-0.75 * self.side, 0.75 * self.side, pitch)
        a, b = (grid.ravel() for grid in np.meshgrid(reach, reach * np.sqrt(0.75)))
        a = a + np.tile([0, pitch / 2], len(reach))[: len(reach)].repeat(len(reach))
        turn = self.rng.uniform(0, 2 * np.pi)  # so that the lattice never follows the pixels
        x, y = a * np.cos(turn) - b * np.sin(turn), a * np.sin(turn) + b * np.cos(turn)
        x += self.rng.normal(0, 0.16 * pitch, x.size)
        y += self.rng.normal(0, 0.16 * pitch, y.size)
        column = ((x - self.x[0, 0]) * self.scale).astype(int)
        row = ((y - self.y[0, 0]) * self.scale).astype(int)
        rows, columns = allowed.shape
        within = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        x, y, column, row = x[within], y[within], column[within], row[within]
        free = np.flatnonzero(allowed[row, column] > 0.5)
        chosen = self.rng.permutation(free)[:count]
        return [(float(x[n]), float(y[n])) for n in chosen]

    def spots(self, places: Iterable[Point], radius: tuple[float, float], soft: float) -> Map:
        """Return a mask of round spots of random radius, of random strength 0.6..1."""
        drawn = np.zeros(self.x.shape, np.float32)
        for px, py in places:
            r = self.rng.uniform(*radius)
            reach = int((r + soft) * self.scale) + 2
            column = int((px - self.x[0, 0]) * self.scale)
            row = int((py - self.y[0, 0]) * self.scale)
            window = np.s_[
                max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1
            ]
            distance = np.hypot(self.x[window] - px, self.y[window] - py) - r
            spot = np.clip(0.5 - distance / soft, 0, 1) * self.rng.uniform(0.6, 1)
            drawn[window] = np.maximum(drawn[window], spot)
        return drawn

    def vacuoles(self, places: Iterable[Point], radius: tuple[float, float]) -> None:
        """Paint clear round holes with a faint border."""
        places = list(places)
        holes = self.spots(places, radius, 0.2)
        self.fade(np.clip(holes * 1.3, 0, 1), 0.82)

    def expose(self) -> Pixels:
        """Return the photograph, size x size x 3 RGB."""
        light = np.power(10.0, -np.minimum(self.density, _DEEPEST)).astype(np.float32)
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), 0.07 * self.scale), np.float32)
        light = light * np.asarray(GLASS, np.float32)
        light += self.rng.normal(0, 1.1, (*light.shape[:2], 1)).astype(np.float32)
        return np.clip(np.rint(light), 0, 255).astype(np.uint8)
