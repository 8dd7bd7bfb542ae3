"""Boxes and their geometry: the only place that converts, compares and suppresses boxes.

Coordinates are pixels, origin top left, x to the right, y down. A `Box` is one rectangle; many
boxes are n x 4 float arrays whose names say the order of the columns: `xywh` is x, y, width,
height, `xyxy` is left, top, right, bottom.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import hypot
from typing import Self

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]
"""n x 4."""
LEAST_SHARE = 0.1
"""Of a box that is split."""


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned box in pixels of the uploaded image."""

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        if not (self.width > 0 and self.height > 0):
            raise ValueError(f"a box needs a positive width and height, got {self}")

    @classmethod
    def from_xyxy(cls, left: float, top: float, right: float, bottom: float) -> Self:
        """Return the box between two corners."""
        return cls(left, top, right - left, bottom - top)

    @property
    def xywh(self) -> tuple[float, float, float, float]:
        """x, y, width, height."""
        return self.x, self.y, self.width, self.height

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        return self.x, self.y, self.right, self.bottom

    @property
    def right(self) -> float:
        """X of the right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Y of the lower edge."""
        return self.y + self.height

    @property
    def centre(self) -> tuple[float, float]:
        """Centre `(x, y)`."""
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def diameter(self) -> float:
        """Diameter of the roughly round cell in the box: the mean of both sides."""
        return (self.width + self.height) / 2

    @property
    def longer_side(self) -> float:
        """The larger of width and height."""
        return max(self.width, self.height)

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return self.width * self.height

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of an image that the box covers, rounded to whole pixels."""
        return (
            slice(max(round(self.y), 0), max(round(self.bottom), 0)),
            slice(max(round(self.x), 0), max(round(self.right), 0)),
        )

    def contains(self, x: float, y: float) -> bool:
        """Return whether a point lies in the box or on its edge."""
        return self.x <= x <= self.right and self.y <= y <= self.bottom

    def margin_within(self, other: "Box") -> float:
        """Return the smallest distance to the edges of a box around it; negative if it sticks out.

        A cell that touches the border of its image is cut off: ask with `image_box`.
        """
        return min(
            self.x - other.x,
            self.y - other.y,
            other.right - self.right,
            other.bottom - self.bottom,
        )

    def within(self, other: "Box") -> "Box | None":
        """Return the part of the box that lies in another box; None when there is none."""
        left, top = max(self.x, other.x), max(self.y, other.y)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return Box.from_xyxy(left, top, right, bottom) if left < right and top < bottom else None

    def covered_by(self, other: "Box") -> float:
        """Return the fraction of this box that another box covers."""
        across = min(self.right, other.right) - max(self.x, other.x)
        down = min(self.bottom, other.bottom) - max(self.y, other.y)
        return max(across, 0.0) * max(down, 0.0) / self.area


Direction = tuple[float, float]
"""Unit vector, x and y."""


def dividing_line(
    box: Box, start: tuple[float, float], end: tuple[float, float]
) -> tuple[Direction, float]:
    """Return how a line through two points divides a box: as `split_box` takes it.

    Raises ValueError for a line without length.
    """
    across, down = end[0] - start[0], end[1] - start[1]
    length = hypot(across, down)
    if length == 0:
        raise ValueError("a line needs two points")
    # At a right angle to the line, to the right; or down.
    u, v = down / length, -across / length
    if u < 0 or (u == 0 and v < 0):
        u, v = -u, -v
    x, y = box.centre
    distance = (start[0] - x) * u + (start[1] - y) * v
    return (u, v), 0.5 + distance / (box.width * u + box.height * abs(v))


def split_box(box: Box, direction: Direction, share: float) -> tuple[Box, Box]:
    """Return the boxes of two touching cells that share a box.

    `direction` leads from the first cell to the second, never to the left; `share` is the part of
    the box that the first has in this direction. The cells are taken as round, filling the box:
    beside or above one another they divide it, else they get two opposite corners of it, which
    overlap. Raises ValueError for a share outside `LEAST_SHARE` to 1 - `LEAST_SHARE`.
    """
    if not LEAST_SHARE <= share <= 1 - LEAST_SHARE:
        raise ValueError("one of the cells would be too small")
    u, v = direction
    parts = []
    for own, is_first in ((share, True), (1 - share, False)):
        width = box.width / (1 + abs(u) * (1 / own - 1))
        height = box.height / (1 + abs(v) * (1 / own - 1))
        left = box.x if is_first else box.right - width
        top = box.y if is_first == (v > 0) else box.bottom - height
        parts.append(Box(left, top, width, height))
    return parts[0], parts[1]


def image_box(width: int, height: int) -> Box:
    """Return the box of a whole image."""
    return Box(0, 0, width, height)


def xyxy_array(boxes: Iterable[Box]) -> Boxes:
    """Return boxes as an n x 4 array of left, top, right, bottom."""
    return np.array([box.xyxy for box in boxes], np.float32).reshape(-1, 4)


def diameters(xyxy: Boxes) -> NDArray[np.float32]:
    """Return the mean of both sides of n boxes."""
    return np.asarray((xyxy[:, 2:] - xyxy[:, :2]).mean(1))


def areas(xyxy: Boxes) -> NDArray[np.float32]:
    """Return the areas of n boxes."""
    return np.asarray((xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1]))


def iou(box: NDArray[np.float32], xyxy: Boxes) -> NDArray[np.float32]:
    """Return the intersection over union of one box (left, top, right, bottom) with n others."""
    sides = np.minimum(box[2:], xyxy[:, 2:]) - np.maximum(box[:2], xyxy[:, :2])
    intersection = np.maximum(sides[:, 0], 0) * np.maximum(sides[:, 1], 0)
    sum_of_areas = areas(xyxy) + areas(box[None])
    return np.asarray(intersection / np.maximum(sum_of_areas - intersection, 1e-9))


def suppress_with_voting(
    xyxy: Boxes, scores: NDArray[np.float32], *, max_iou: float, voting_iou: float
) -> tuple[Boxes, NDArray[np.float32]]:
    """Keep the best box of every cell, its corners averaged over the boxes that agree with it.

    Non-maximum suppression with box voting (Gidaris and Komodakis 2015, ICCV). Returns the boxes
    (m x 4, left, top, right, bottom) and their scores (m).
    """
    undecided = np.ones(len(xyxy), bool)
    kept: list[int] = []
    voted: list[NDArray[np.float32]] = []
    for index in np.argsort(-scores, kind="stable"):
        if not undecided[index]:
            continue
        overlaps = iou(xyxy[index], xyxy)
        undecided &= overlaps <= max_iou
        weight = np.where(overlaps > voting_iou, scores * overlaps, 0)[:, None]
        kept.append(index)
        voted.append((xyxy * weight).sum(0) / weight.sum())
    return np.array(voted, np.float32).reshape(-1, 4), scores[kept]


def suppress_between_groups(
    xyxy: Boxes, groups: Sequence[Hashable], *, max_iou: float
) -> NDArray[np.int64]:
    """Drop boxes that overlap an earlier box of another group by more than `max_iou`.

    `xyxy` (n x 4) is in order of precedence; boxes of one group never drop each other. Returns the
    indices of the boxes that stay, in their order.
    """
    if len(xyxy) == 0:
        return np.empty(0, np.int64)
    # The centres of boxes that overlap lie in the same or in neighbouring squares of this side.
    reach = float((xyxy[:, 2:] - xyxy[:, :2]).max())
    squares = ((xyxy[:, :2] + xyxy[:, 2:]) / 2 // reach).astype(int).tolist()
    kept: list[int] = []
    kept_by_square: dict[tuple[int, int], list[int]] = {}
    for index, (column, row) in enumerate(squares):
        rivals = [
            other
            for square in product((column - 1, column, column + 1), (row - 1, row, row + 1))
            for other in kept_by_square.get(square, ())
            if groups[other] != groups[index]
        ]
        if not rivals or iou(xyxy[index], xyxy[rivals]).max() <= max_iou:
            kept.append(index)
            kept_by_square.setdefault((column, row), []).append(index)
    return np.array(kept, np.int64)


def turned(box: Box, width: float, height: float, degrees: int) -> Box:
    """Return a box of an image of `width` x `height` that is turned clockwise by quarters."""
    for _ in range(degrees // 90):
        box = Box(height - box.y - box.height, box.x, box.height, box.width)
        width, height = height, width
    return box
