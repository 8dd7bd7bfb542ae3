"""Images with boxes for the detector: where they come from, and the guard against leaks."""

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.datasets.readers import DataSet, Example, open_set
from core.domain.boxes import Box, iou, xyxy_array
from core.domain.results import Pixels
from core.domain.taxonomy import CELL_KINDS, CellKind
from core.imaging.illumination import flatten
from core.inference.detector import Detection
from core.settings import Settings
from core.synthetic.fields import make_field

NEAR_DUPLICATE_BITS = 8
"""Images whose 64-bit perceptual hashes differ in at most this many bits show one field.

In these sets copies differ in 0 to 8 bits and different fields in 10 or more."""
_LONGEST_SIDE = 640
_SYNTHETIC_SEED = 10_000
"""Of the first synthetic field; the cell classifier learns from others."""


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A decoded image with its boxes: n x 5 of kind index, x0, y0, x1, y1 in pixels."""

    pixels: Pixels
    boxes: NDArray[np.float32]
    only_white: bool = False
    """Whether only white cells have boxes; red cells and platelets may be there without."""

    def of_kind(self, kind: CellKind) -> list[Box]:
        """Return the boxes of one kind of cell."""
        rows = self.boxes[self.boxes[:, 0] == CELL_KINDS.index(kind)]
        return [Box.from_xyxy(*row[1:5].tolist()) for row in rows]


def hits_of(found: Sequence[Detection], truth: Sequence[Box], least_iou: float) -> list[bool]:
    """Return whether each found box meets a true one, in its order; each true one is met once."""
    free = list(xyxy_array(truth))
    hits = []
    for detection in found:
        overlaps = iou(xyxy_array([detection.box])[0], np.array(free).reshape(-1, 4))
        hits.append(bool(free) and bool(overlaps.max() >= least_iou))
        if hits[-1]:
            free.pop(int(overlaps.argmax()))
    return hits


def corner_rows(cells: Iterable[tuple[CellKind, Box]]) -> NDArray[np.float32]:
    """Return cells as rows of `Labelled.boxes`."""
    rows = [
        (CELL_KINDS.index(kind), box.x, box.y, box.x + box.width, box.y + box.height)
        for kind, box in cells
    ]
    return np.array(rows, np.float32).reshape(-1, 5)


def labelled(data: DataSet, example: Example) -> Labelled:
    """Return an image of a set with its boxes, its longest side at most 640 pixels."""
    return _shrunk(data.read(example), corner_rows((box.kind, box) for box in example.boxes))


def _shrunk(pixels: Pixels, boxes: NDArray[np.float32]) -> Labelled:
    factor = _LONGEST_SIDE / max(pixels.shape[:2])
    if factor < 1:
        pixels = np.asarray(
            cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8
        )
        boxes = boxes * np.array([1, *[factor] * 4], np.float32)
    return Labelled(pixels, boxes)


def framed(pixels: Pixels, size: int) -> Pixels:
    """Return a whole field in a size x size image, as the detector's first pass scales it."""
    factor = size / max(pixels.shape[:2])
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=method)[:size, :size]
    frame = np.zeros((size, size, 3), np.uint8)
    frame[: scaled.shape[0], : scaled.shape[1]] = scaled
    return frame


def hashes(data: DataSet, examples: Sequence[Example]) -> NDArray[np.bool_]:
    """Return the perceptual hashes of images, n x 64."""
    rows = [imagehash.phash(Image.fromarray(data.read(e))).hash.ravel() for e in examples]
    return np.array(rows, bool).reshape(-1, 64)


def near_duplicates(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Say for each row of `a` whether `b` holds a near-duplicate of it."""
    if len(a) == 0 or len(b) == 0:
        return np.zeros(len(a), bool)
    return np.asarray((a[:, None] != b[None]).sum(-1).min(1) <= NEAR_DUPLICATE_BITS)


def _is_held_out(example: Example) -> bool:
    """Say whether a TXL validation image is kept for validation (one in three)."""
    return hashlib.sha256(example.member.encode()).digest()[0] % 3 == 0


def real_fields(settings: Settings) -> tuple[list[Labelled], list[Labelled]]:
    """Return real training and validation images, without copies of any test image.

    Test images are those of TXL-PBC, BCCD and the plain test fields of the Kaggle set, which
    were photographed from the same slides as BCCD. BCCD images that TXL-PBC holds too are
    taken from there, where their boxes are complete.
    """
    txl, bccd, kaggle = (open_set(name, settings) for name in ("txl", "bccd", "kaggle"))
    tested = ((txl, "test"), (bccd, "test"), (kaggle, "test_simple"))
    taken = np.concatenate([hashes(data, data.of_split(split)) for data, split in tested])
    training, validation = [], []
    for data in (txl, bccd):
        examples = data.of_split("train", "val")
        own = hashes(data, examples)
        for example, leak in zip(examples, near_duplicates(own, taken), strict=True):
            if data is txl and example.split == "val" and _is_held_out(example):
                validation.append(labelled(data, example))
            elif not leak:
                training.append(labelled(data, example))
        taken = np.concatenate([taken, own])
    return training, validation


def small_cell_fields(settings: Settings, split: str) -> list[Labelled]:
    """Return fields at low magnification with even light, whose white cells alone have boxes."""
    data = open_set("pig_fields", settings)
    return [
        Labelled(flatten(one.pixels), one.boxes, only_white=True)
        for one in (labelled(data, example) for example in data.of_split(split))
    ]


def synthetic_fields(count: int) -> list[Labelled]:
    """Return synthetic fields as training images."""

    def one(seed: int) -> Labelled:
        field = make_field(seed)
        return Labelled(field.pixels, corner_rows((cell.kind, cell.box) for cell in field.cells))

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, range(_SYNTHETIC_SEED, _SYNTHETIC_SEED + count)))
