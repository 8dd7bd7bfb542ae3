"""Cells for the classifier's training: found by the detector, cut at one physical scale, cached."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from tqdm import tqdm

from core.imaging.crop import crop_square
from core.imaging.scale import RED_CELL_MICROMETRES
from core.inference.analyzer import subject_of_crop, subject_of_field
from core.inference.classifier import Subject
from core.inference.detector import Detector
from core.learning.datasets import DataSet, Example, open_set
from core.learning.detection_data import Labelled
from core.results import Box, Pixels
from core.settings import Settings
from core.taxonomy import ATTRIBUTES, CELL_KINDS, CELL_TYPES, MATURATION, MATURE_FIVE

CONTEXT = 1.35
"""Side of the cached crop in sides of the classifier's crop: room to zoom and to move."""
CONTEXT_SIZE = 216
"""Side of the cached crops in pixels."""
NO_TYPE = -1
"""Type index of what is no cell."""
COPIES_PER_SOURCE = 12
"""Augmented copies of one Kaggle field that are used: more add nothing but time."""
DETAILS: dict[str, tuple[str, ...]] = ATTRIBUTES | {"maturation": MATURATION}
"""What is learnt beside the type, where a set names it."""
_LABELS = tuple(CELL_TYPES)


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Crops of one domain with what is known of them."""

    crops: NDArray[np.uint8]
    """n x CONTEXT_SIZE x CONTEXT_SIZE x 3."""
    types: NDArray[np.int64]
    """Index into `CELL_TYPES`, or NO_TYPE."""
    details: NDArray[np.int64]
    """n x len(DETAILS): index of the value, -1 where unknown."""
    unscaled: NDArray[np.float32]
    """Side of the crop that the classifier gets when no red cell tells the scale, as a share of
    the cached crop's side."""

    def __len__(self) -> int:
        return len(self.types)

    def chosen(self, rows: NDArray[Any]) -> "Cells":
        """Return the cells of some rows: indices, or a truth value for each."""
        return Cells(self.crops[rows], self.types[rows], self.details[rows], self.unscaled[rows])


def joined(domains: Sequence[Cells]) -> Cells:
    """Return the cells of several domains in one."""
    return Cells(
        np.concatenate([d.crops for d in domains]),
        np.concatenate([d.types for d in domains]),
        np.concatenate([d.details for d in domains]),
        np.concatenate([d.unscaled for d in domains]),
    )


def save_cells(path: Path, cells: Cells) -> None:
    """Keep cut-out cells beside the checkpoints: a resumed run does not search them again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        crops=cells.crops,
        types=cells.types,
        details=cells.details,
        unscaled=cells.unscaled,
    )


def load_cells(path: Path) -> Cells:
    """Return what `save_cells` kept."""
    with np.load(path) as arrays:
        return Cells(arrays["crops"], arrays["types"], arrays["details"], arrays["unscaled"])


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    crop: Pixels
    unscaled: float


def _cut(pixels: Pixels, subject: Subject) -> _Cut:
    side = subject.crop_side * CONTEXT
    without_scale = Subject(subject.box).crop_side
    crop = crop_square(pixels, subject.box, side, CONTEXT_SIZE)
    return _Cut(crop, min(without_scale / side, 1.0))


def _details_of(example: Example) -> list[int]:
    known = {**example.attributes, "maturation": example.maturation}
    return [
        values.index(value) if (value := known.get(name)) is not None else -1
        for name, values in DETAILS.items()
    ]


def _collect(cuts: Sequence[_Cut | None], examples: Sequence[Example]) -> Cells:
    pairs = [(c, e) for c, e in zip(cuts, examples, strict=True) if c is not None]
    return Cells(
        np.stack([c.crop for c, _ in pairs]),
        np.array([_LABELS.index(str(e.label)) for _, e in pairs]),
        np.array([_details_of(e) for _, e in pairs]),
        np.array([c.unscaled for c, _ in pairs], np.float32),
    )


def cells_of(
    data: DataSet, examples: Sequence[Example], choose: Callable[[Pixels], Subject | None]
) -> Cells:
    """Return the cells that `choose` finds in pictures; pictures without one are left out."""

    def cut(example: Example) -> _Cut | None:
        pixels = data.read(example)
        subject = choose(pixels)
        return None if subject is None else _cut(pixels, subject)

    with ThreadPoolExecutor(2) as pool:
        cuts = list(tqdm(pool.map(cut, examples), total=len(examples), desc=data.name))
    return _collect(cuts, examples)


def pbc_cells(settings: Settings, detector: Detector, *splits: str) -> Cells:
    """Return the PBC cells of the named splits, cut around what the detector found."""
    data = open_set("pbc", settings)
    return cells_of(data, data.of_split(*splits), partial(subject_of_crop, detector=detector))


def kaggle_cells(settings: Settings, detector: Detector) -> tuple[Cells, Cells]:
    """Return training and validation cells of the Kaggle TRAIN fields.

    Fields in which the detector finds no white cell, or several, are left out: their label
    could belong to another cell. Every sixth source field goes to validation, so that no copy
    of a validation field is trained on.
    """
    data = open_set("kaggle", settings)
    by_source: dict[str, list[Example]] = {}
    for example in data.of_split("train"):
        by_source.setdefault(str(example.group), []).append(example)
    examples = [
        replace(example, split="val" if number % 6 == 0 else "train")
        for number, (_, copies) in enumerate(sorted(by_source.items()))
        for example in copies[:COPIES_PER_SOURCE]
    ]

    choose = partial(subject_of_field, detector=detector, alone=True)
    training, validation = (
        cells_of(data, [e for e in examples if e.split == split], choose)
        for split in ("train", "val")
    )
    return training, validation


def made_cells(count: int, first_seed: int = 50_000) -> Cells:
    """Return made cells of the five mature types."""
    from core.imaging.made import make_field

    cuts: list[_Cut] = []
    types: list[int] = []
    seed = first_seed
    while len(cuts) < count:
        field = make_field(seed, 448, 336, white_cells=MATURE_FIVE[seed % 5 :][:3])
        seed += 1
        scale = _scale([c.box for c in field.cells if c.kind == "rbc"])
        for cell in field.cells:
            if cell.kind == "wbc" and cell.type is not None:
                cuts.append(_cut(field.pixels, Subject(cell.box, scale)))
                types.append(_LABELS.index(cell.type))
    return _plain(cuts, types)


def _plain(cuts: Sequence[_Cut], types: Sequence[int]) -> Cells:
    return Cells(
        np.stack([c.crop for c in cuts]),
        np.array(types),
        np.full((len(types), len(DETAILS)), -1),
        np.array([c.unscaled for c in cuts], np.float32),
    )


def _scale(red_cells: Sequence[Box]) -> float | None:
    if not red_cells:
        return None
    return RED_CELL_MICROMETRES / float(np.median([box.diameter for box in red_cells]))


def _boxes(field: Labelled, kind: str) -> list[Box]:
    rows = field.boxes[field.boxes[:, 0] == CELL_KINDS.index(kind)]
    return [Box(float(r[1]), float(r[2]), float(r[3] - r[1]), float(r[4] - r[2])) for r in rows]


def untyped_cells(fields: Sequence[Labelled]) -> Cells:
    """Return the white cells of labelled fields, whose type nobody named: NO_TYPE until one is."""
    cuts = [
        _cut(field.pixels, Subject(box, _scale(_boxes(field, "rbc"))))
        for field in fields
        for box in _boxes(field, "wbc")
    ]
    return _plain(cuts, [NO_TYPE] * len(cuts))


def no_cells(fields: Sequence[Labelled], count: int, seed: int = 5) -> Cells:
    """Return what may be handed in as a white cell and is none: red cells, glass, cut cells.

    A third each: on a red cell, anywhere off the white cells, and at the rim of a white cell of
    which less than half is in the box.
    """
    rng = np.random.default_rng(seed)
    cuts: list[_Cut] = []
    while len(cuts) < count:
        field = fields[int(rng.integers(len(fields)))]
        whites, reds = _boxes(field, "wbc"), _boxes(field, "rbc")
        if not whites or not reds:
            continue
        box = _miss(field.pixels, whites, reds, rng, len(cuts) % 3)
        if box is not None:
            scale = _scale(reds) if rng.random() < 0.7 else None
            cuts.append(_cut(field.pixels, Subject(box, scale)))
    return _plain(cuts, [NO_TYPE] * count)


def _miss(
    pixels: Pixels, whites: list[Box], reds: list[Box], rng: Generator, sort: int
) -> Box | None:
    """Return a box that is not on a white cell, or None when the one drawn is."""
    height, width = pixels.shape[:2]
    white = whites[int(rng.integers(len(whites)))]
    if sort == 0:
        box = reds[int(rng.integers(len(reds)))]
    elif sort == 1:
        side = white.diameter * rng.uniform(0.4, 1.2)
        box = Box(rng.uniform(0, width - side), rng.uniform(0, height - side), side, side)
    else:
        angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.75, 1.1)
        x = white.x + away * white.width * np.cos(angle)
        y = white.y + away * white.height * np.sin(angle)
        box = Box(x, y, white.width, white.height)
    x, y = box.centre
    if not (0 <= x < width and 0 <= y < height):
        return None
    most = 0.5 if sort == 2 else 0.1
    return None if max(_covered(box, other) for other in whites) > most else box


def _covered(box: Box, other: Box) -> float:
    """Return the share of a box that another one covers."""
    across = min(box.x + box.width, other.x + other.width) - max(box.x, other.x)
    down = min(box.y + box.height, other.y + other.height) - max(box.y, other.y)
    return max(across, 0.0) * max(down, 0.0) / (box.width * box.height)


def central_crops(cells: Cells, size: int) -> NDArray[np.uint8]:
    """Return the crops as the classifier gets them in use, n x size x size x 3."""
    side = round(CONTEXT_SIZE / CONTEXT)
    start = (CONTEXT_SIZE - side) // 2
    inner = cells.crops[:, start : start + side, start : start + side]
    method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.stack([cv2.resize(crop, (size, size), interpolation=method) for crop in inner])
