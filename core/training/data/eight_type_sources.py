"""The domains that the cell classifier learns from: where their cells come from."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.random import Generator

from core.datasets.readers import DataSet, Example, open_set
from core.domain.boxes import Box
from core.domain.results import Pixels
from core.domain.taxonomy import CELL_KINDS, MATURE_FIVE
from core.imaging.scale import RED_CELL_MICROMETRES
from core.inference.cell_classifier import Subject
from core.inference.detector import Detector
from core.inference.pipeline import subject_of_crop, subject_of_field
from core.settings import Settings
from core.synthetic.fields import make_field
from core.training.data.cells import (
    LABELS,
    NO_TYPE,
    Cells,
    Cut,
    cells_of,
    collected,
    cut_out,
    load_cells,
    save_cells,
    shipped_detector,
)
from core.training.data.detection_fields import Labelled, real_fields

VALIDATION = ("pbc_val", "kaggle_val", "none_val")
"""Domains that choose epochs, temperature and thresholds."""
COPIES_PER_SOURCE = 12
"""Augmented copies of one Kaggle field that are used: more add nothing but time."""
Miss = Literal["red cell", "anywhere", "rim"]
"""On a red cell; anywhere off the white cells; on the rim of a white cell."""
MISSES: tuple[Miss, ...] = get_args(Miss)
MOST_COVERED: dict[Miss, float] = {"red cell": 0.1, "anywhere": 0.1, "rim": 0.5}
"""Largest share of the box that a white cell may cover."""
_MADE_SEED = 50_000
"""Of the first made field; the detector learns from others."""


def cells_of_domains(settings: Settings, run: Path, *names: str) -> dict[str, Cells]:
    """Return the cells of the named domains, cut out once and kept in the run folder."""

    @cache
    def detector() -> Detector:
        return shipped_detector(settings)

    @cache
    def fields() -> tuple[list[Labelled], list[Labelled]]:
        return real_fields(settings)

    makers: dict[str, Callable[[], Cells]] = {
        "pbc": lambda: pbc_cells(settings, detector(), "train"),
        "pbc_val": lambda: pbc_cells(settings, detector(), "val"),
        "kaggle": lambda: kaggle_cells(settings, detector(), "train"),
        "kaggle_val": lambda: kaggle_cells(settings, detector(), "val"),
        "made": lambda: made_cells(1500),
        "none": lambda: no_cells(fields()[0], 2400),
        "none_val": lambda: no_cells(fields()[1], 400),
        # TXL-PBC's 360-px pictures are PBC's, the test cells among them.
        "untyped": lambda: untyped_cells([f for f in fields()[0] if max(f.pixels.shape) > 400]),
    }
    domains = {}
    for name in names:
        path = run / f"{name}.npz"
        if not path.exists():
            save_cells(path, makers[name]())
        domains[name] = load_cells(path)
    return domains


def pbc_cells(settings: Settings, detector: Detector, split: str) -> Cells:
    """Return the PBC cells of a split, cut around what the detector found."""
    data = open_set("pbc", settings)
    return cells_of(data, data.of_split(split), partial(subject_of_crop, detector=detector))


def kaggle_cells(settings: Settings, detector: Detector, part: Literal["train", "val"]) -> Cells:
    """Return the training or the validation cells of the Kaggle TRAIN fields.

    Fields in which the detector finds no white cell, or several, are left out: their label
    could belong to another cell.
    """
    data = open_set("kaggle", settings)
    examples = kaggle_examples(data, part)
    return cells_of(data, examples, partial(subject_of_field, detector=detector, alone=True))


def kaggle_examples(data: DataSet, part: Literal["train", "val"]) -> list[Example]:
    """Return the Kaggle TRAIN fields of a part.

    Every sixth source field goes to validation, so that no copy of one is trained on.
    """
    by_source: dict[str, list[Example]] = {}
    for example in data.of_split("train"):
        by_source.setdefault(str(example.group), []).append(example)
    return [
        example
        for number, (_, copies) in enumerate(sorted(by_source.items()))
        for example in copies[:COPIES_PER_SOURCE]
        if ("val" if number % 6 == 0 else "train") == part
    ]


def made_cells(count: int) -> Cells:
    """Return made cells of the five mature types: `count`, or the rest of the last field more."""
    cuts: list[Cut] = []
    types: list[int] = []
    seed = _MADE_SEED
    while len(cuts) < count:
        field = make_field(seed, 448, 336, white_cells=MATURE_FIVE[seed % 5 :][:3])
        seed += 1
        scale = _scale([c.box for c in field.cells if c.kind == "rbc"])
        for cell in field.cells:
            if cell.kind == "wbc" and cell.type is not None:
                cuts.append(cut_out(field.pixels, Subject(cell.box, scale)))
                types.append(LABELS.index(cell.type))
    return collected(cuts, types)


def _scale(red_cells: Sequence[Box]) -> float | None:
    if not red_cells:
        return None
    return RED_CELL_MICROMETRES / float(np.median([box.diameter for box in red_cells]))


def _boxes(field: Labelled, kind: str) -> list[Box]:
    rows = field.boxes[field.boxes[:, 0] == CELL_KINDS.index(kind)]
    return [Box.from_xyxy(*row[1:5].tolist()) for row in rows]


def untyped_cells(fields: Sequence[Labelled]) -> Cells:
    """Return the white cells of labelled fields, whose type nobody named: NO_TYPE until one is."""
    cuts = [
        cut_out(field.pixels, Subject(box, _scale(_boxes(field, "rbc"))))
        for field in fields
        for box in _boxes(field, "wbc")
    ]
    return collected(cuts, [NO_TYPE] * len(cuts))


def no_cells(fields: Sequence[Labelled], count: int) -> Cells:
    """Return what may be handed in as a white cell and is none: as many of each of `MISSES`."""
    rng = np.random.default_rng(5)
    cuts: list[Cut] = []
    while len(cuts) < count:
        field = fields[int(rng.integers(len(fields)))]
        whites, reds = _boxes(field, "wbc"), _boxes(field, "rbc")
        if not whites or not reds:
            continue
        box = _miss(field.pixels, whites, reds, rng, MISSES[len(cuts) % len(MISSES)])
        if box is not None:
            scale = _scale(reds) if rng.random() < 0.7 else None
            cuts.append(cut_out(field.pixels, Subject(box, scale)))
    return collected(cuts, [NO_TYPE] * count)


def _miss(
    pixels: Pixels, whites: list[Box], reds: list[Box], rng: Generator, miss: Miss
) -> Box | None:
    """Return a box that is not on a white cell, or None when the one drawn is."""
    height, width = pixels.shape[:2]
    white = whites[int(rng.integers(len(whites)))]
    if miss == "red cell":
        box = reds[int(rng.integers(len(reds)))]
    elif miss == "anywhere":
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
    most = MOST_COVERED[miss]
    return None if max(box.covered_by(other) for other in whites) > most else box
