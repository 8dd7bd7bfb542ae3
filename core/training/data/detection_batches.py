"""Views of labelled images: geometry, batches for training and validation."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import keras
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from core.domain.results import Pixels
from core.domain.taxonomy import CELL_KINDS
from core.imaging.illumination import flatten
from core.training.augmentation import appearance
from core.training.data.detection_fields import Labelled, framed
from core.training.networks.detection_loss import MAX_BOXES, NO_BOX, NO_BOX_ONLY_WHITE

_WHITE = CELL_KINDS.index("wbc")
_LEAST_VISIBLE, _LEAST_WHITE_VISIBLE = 0.25, 0.1
"""Share of a cell's box that must be in view; a sliver of a white cell is still one to count."""
_CUT_SHARE = 0.12
"""Views whose edge runs through a white cell."""
_TILTED_SHARE = 0.12
"""Views turned by any angle and sheared."""
_SMALL_CELL_SCALES = (0.9, 3.4)
"""Output pixels per pixel of a field at low magnification: as its first pass sees it, to finer than
the pass that is wanted for it."""
_ON_A_CELL_SHARE = 0.6
"""Views of such a field that are drawn around one of its white cells."""
_MOSAIC_ROOTS = (2, 2, 3)
"""Images to a side of a mosaic; in those of nine white cells come out at about 20 pixels."""
_MURKY_SHARE, _EVEN_SHARE = 0.3, 0.5
"""Views as a cheap camera takes them, with the light corrected as in use; and of the others those
with the light corrected."""


def place(  # noqa: PLR0913 - one view in one call
    source: Labelled,
    size: int,
    rng: Generator,
    *,
    scale: float,
    centre: tuple[float, float],
    tilted: bool = False,
) -> Labelled:
    """Scale, turn and mirror an image into a size x size frame.

    `scale` is output pixels per source pixel, `centre` the source point (as shares of width and
    height) that comes to the middle. `tilted` images are turned by any angle and sheared; cells
    are taken as the ellipses in their boxes to box them again. Boxes of which too little stays
    visible go.
    """
    height, width = source.pixels.shape[:2]
    angle = rng.uniform(0, 2 * np.pi) if tilted else np.pi / 2 * rng.integers(4)
    shear = rng.uniform(-0.15, 0.15) if tilted else 0.0
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    stretch = np.exp(rng.normal(0, 0.04))
    matrix = np.array([[cos * stretch, -sin, 0], [sin * stretch, cos, 0]])
    matrix[0] += shear * matrix[1]
    if rng.random() < 0.5:
        matrix[0] *= -1
    middle = np.array([centre[0] * width, centre[1] * height])
    matrix[:, 2] = size / 2 - matrix[:, :2] @ middle
    fill = rng.choice(3)
    if fill == 0:
        colour = np.percentile(source.pixels[::16, ::16], 90, axis=(0, 1))  # glass
    elif fill == 1:
        colour = np.zeros(3)
    else:
        colour = rng.uniform(0, 255, 3)
    pixels = cv2.warpAffine(
        source.pixels,
        matrix,
        (size, size),
        flags=cv2.INTER_AREA if scale < 0.6 else cv2.INTER_LINEAR,
        borderValue=colour.tolist(),
    )
    boxes = source.boxes
    centres = (boxes[:, 1:3] + boxes[:, 3:5]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    # Half the extent of an ellipse with half axes a under a linear map M: sqrt(M² a²), row by row.
    halves = np.sqrt(((boxes[:, 3:5] - boxes[:, 1:3]) / 2) ** 2 @ (matrix[:, :2] ** 2).T)
    area = np.prod(2 * halves, axis=1)
    low, high = np.clip(centres - halves, 0, size), np.clip(centres + halves, 0, size)
    sides = high - low
    least = np.where(boxes[:, 0] == _WHITE, _LEAST_WHITE_VISIBLE, _LEAST_VISIBLE)
    keep = (np.prod(sides, axis=1) > least * area) & (sides.min(1, initial=size) > 3)
    return replace(
        source,
        pixels=np.asarray(pixels),
        boxes=np.column_stack([boxes[:, 0], low, high]).astype(np.float32)[keep],
    )


def _random_view(source: Labelled, size: int, rng: Generator) -> Labelled:
    """Return an image as the detector may meet it: mostly whole, sometimes far or close."""
    longest = max(source.pixels.shape[:2])
    if source.only_white:
        low, high = _SMALL_CELL_SCALES
        scale = math.exp(rng.uniform(math.log(low), math.log(high)))
    elif rng.random() < 0.55:
        scale = size / longest * rng.uniform(0.85, 1.2)
    else:
        scale = size / longest * math.exp(rng.uniform(math.log(0.4), math.log(2.2)))
    whites = source.boxes[source.boxes[:, 0] == _WHITE]
    if len(whites) and rng.random() < _CUT_SHARE:
        centre = _cut_through(whites[rng.integers(len(whites))], size / scale, rng)
        centre = centre / source.pixels.shape[1::-1]
    elif source.only_white and len(whites) and rng.random() < _ON_A_CELL_SHARE:
        cell = whites[rng.integers(len(whites))]
        centre = (cell[1:3] + cell[3:5]) / 2 + rng.uniform(-0.4, 0.4, 2) * size / scale
        centre = centre / source.pixels.shape[1::-1]
    else:
        spread = max(0.0, 0.5 - 0.5 * size / (scale * longest)) + 0.06
        centre = 0.5 + rng.uniform(-spread, spread, 2)
    return place(
        source,
        size,
        rng,
        scale=scale,
        centre=(float(centre[0]), float(centre[1])),
        tilted=bool(rng.random() < _TILTED_SHARE),
    )


def _cut_through(
    box: NDArray[np.float32], frame: float, rng: Generator
) -> NDArray[np.floating[Any]]:
    """Return a centre for a square frame whose edge runs through a box (all in source pixels)."""
    middle, half = (box[1:3] + box[3:5]) / 2, (box[3:5] - box[1:3]) / 2
    axis = rng.integers(2)
    centre = middle + rng.uniform(-0.3, 0.3, 2) * frame
    inside = middle[axis] + rng.uniform(-0.8, 0.8) * half[axis]
    centre[axis] = inside + rng.choice([-0.5, 0.5]) * frame
    return np.asarray(centre)


def _mosaic(sources: Sequence[Labelled], size: int, rng: Generator) -> Labelled:
    """Join a square number of images, each at its own scale; `size` is a multiple of the root."""
    across = math.isqrt(len(sources))
    side = size // across
    canvas = np.empty((size, size, 3), np.uint8)
    rows = []
    for k, source in enumerate(sources):
        view = _random_view(source, side, rng)
        y, x = side * (k // across), side * (k % across)
        canvas[y : y + side, x : x + side] = view.pixels
        rows.append(view.boxes + np.array([0, x, y, x, y], np.float32))
    return Labelled(canvas, np.concatenate(rows), any(source.only_white for source in sources))


def target_of(view: Labelled) -> NDArray[np.float32]:
    """Return the boxes of a view as a row of the loss's `y_true`, MAX_BOXES x 5."""
    target = np.zeros((MAX_BOXES, 5), np.float32)
    target[:, 0] = NO_BOX_ONLY_WHITE if view.only_white else NO_BOX
    # A row of padding stays, which says what is labelled.
    boxes = view.boxes[: MAX_BOXES - 1]
    target[: len(boxes)] = boxes
    return target


def as_taken(pixels: Pixels, rng: Generator, strong: float) -> Pixels:
    """Return a view with another stain, camera and light, the light corrected in most views.

    `strong` is the share of strong changes.
    """
    strength = appearance.STRONG if rng.random() < strong else appearance.MILD
    pixels = appearance.augment_appearance(pixels, rng, strength)
    if rng.random() < _MURKY_SHARE:
        return flatten(appearance.cheap_camera(pixels, rng))
    return flatten(pixels) if rng.random() < _EVEN_SHARE else pixels


class TrainingFields(keras.utils.PyDataset):
    """Endless random views of labelled images, `steps` batches an epoch.

    `groups` are lists of images with their share; `strong` and `mosaics` the shares of views
    that are strongly changed in appearance and that join four or nine images.
    """

    def __init__(  # noqa: PLR0913 - all of it describes one stream of batches
        self,
        groups: Sequence[tuple[Sequence[Labelled], float]],
        size: int,
        *,
        batch: int,
        steps: int,
        seed: int,
        strong: float,
        mosaics: float,
    ) -> None:
        super().__init__(workers=2, max_queue_size=6)
        self.strong, self.mosaics = strong, mosaics
        self.groups, self.size = groups, size
        self.batch, self.steps, self.seed = batch, steps, seed
        weights = np.array([weight for _, weight in groups])
        self.chances = weights / weights.sum()
        self.epoch = 0

    def __len__(self) -> int:
        return self.steps

    def on_epoch_end(self) -> None:
        """Let the next epoch draw other views."""
        self.epoch += 1

    def _draw(self, rng: Generator, count: int = 1) -> list[Labelled]:
        """Return images of one group."""
        fields = self.groups[int(rng.choice(len(self.groups), p=self.chances))][0]
        return [fields[int(index)] for index in rng.integers(len(fields), size=count)]

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rng = np.random.default_rng((self.seed, self.epoch, index))
        pixels = np.empty((self.batch, self.size, self.size, 3), np.float32)
        targets = np.empty((self.batch, MAX_BOXES, 5), np.float32)
        for k in range(self.batch):
            if rng.random() < self.mosaics:
                across = int(rng.choice(_MOSAIC_ROOTS))
                size = math.ceil(self.size / across) * across
                view = _mosaic(self._draw(rng, across**2), size, rng)
                view = replace(view, pixels=view.pixels[: self.size, : self.size])
            else:
                view = _random_view(self._draw(rng)[0], self.size, rng)
            pixels[k] = as_taken(view.pixels, rng, self.strong)
            targets[k] = target_of(view)
        return pixels, targets


def whole_fields(fields: Sequence[Labelled], size: int, batch: int) -> Any:
    """Return unchanged images, each scaled to fit size x size, as a Keras data set."""

    class WholeFields(keras.utils.PyDataset):
        def __len__(self) -> int:
            return math.ceil(len(fields) / batch)

        def __getitem__(self, index: int) -> tuple[Any, Any]:
            pixels, targets = [], []
            for source in fields[index * batch : (index + 1) * batch]:
                pixels.append(framed(source.pixels, size).astype(np.float32))
                scale = size / max(source.pixels.shape[:2])
                boxes = source.boxes * np.array([1, *[scale] * 4], np.float32)
                targets.append(target_of(replace(source, boxes=boxes)))
            return np.stack(pixels), np.stack(targets)

    return WholeFields()
