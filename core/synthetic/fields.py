"""Synthetic blood smear fields with exact ground truth, for demos, teaching, training and tests.

Cells are maps of dye (`core.synthetic.cells`) on one canvas, which is then photographed
(`core.synthetic.optics`). Everything follows from the seed.

`python -m core.synthetic.fields assets/examples` writes the example slides and their truth again.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from core.domain.boxes import Box
from core.domain.results import Pixels
from core.domain.taxonomy import MATURE_FIVE, CellKind
from core.imaging.scale import RED_CELL_MICROMETRES
from core.synthetic.cells import (
    DRAWN_TYPES,
    DYES,
    RedCellHabit,
    Stamp,
    draw_platelet,
    draw_red_cell,
    draw_white_cell,
)
from core.synthetic.optics import expose

_RED_CELL_PIXELS = (28.0, 90.0)
_LEAST_VISIBLE = 1 / 3


@dataclass(frozen=True)
class SyntheticCell:
    """A drawn cell with its exact box; `type` is set for white cells."""

    kind: CellKind
    box: Box
    type: str | None
    subtype: str | None = None


@dataclass(frozen=True, eq=False)
class SyntheticField:
    """A synthetic image, H x W x 3 RGB, and every cell in it."""

    pixels: Pixels
    cells: tuple[SyntheticCell, ...]
    micrometres_per_pixel: float


class _Slide:
    """The canvas of dye (H x W x 4) and the discs that are occupied on it."""

    def __init__(self, rng: np.random.Generator, width: int, height: int) -> None:
        self.rng = rng
        self.width, self.height = width, height
        self.dyes = np.zeros((height, width, DYES), np.float32)
        self.cells: list[SyntheticCell] = []
        self.discs = np.zeros((0, 3))  # x, y, radius
        self.white = 0  # the first discs are white cells
        self.press = rng.uniform(1.2, 2.5)

    def clearance(self, x: float, y: float, radius: float) -> tuple[float, float]:
        """Least distance over the sum of radii, to white cells and to all other cells."""
        gap = np.hypot(self.discs[:, 0] - x, self.discs[:, 1] - y) / (self.discs[:, 2] + radius)
        return (
            float(gap[: self.white].min(initial=np.inf)),
            float(gap[self.white :].min(initial=np.inf)),
        )

    def put(self, stamp: Stamp, x: float, y: float, kind: CellKind, type_: str | None) -> bool:
        """Lay a cell with its centre at x, y; False if less than a third of it would show."""
        side = stamp.cover.shape[0]
        left, top = round(x - side / 2), round(y - side / 2)
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + side, self.width), min(top + side, self.height)
        if x1 <= x0 or y1 <= y0:
            return False
        window = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
        mask = stamp.cover >= 0.5
        shown = mask[window]
        if shown.sum() < _LEAST_VISIBLE * mask.sum() or not shown.any():
            return False
        here = self.dyes[y0:y1, x0:x1]
        # Overlapping cells are pressed thinner: less than the sum of their dyes.
        both = cv2.pow(here, self.press) + cv2.pow(stamp.dyes[window], self.press)
        here[:] = cv2.pow(both, 1 / self.press)
        columns, rows = np.flatnonzero(shown.any(axis=0)), np.flatnonzero(shown.any(axis=1))
        box = Box(
            float(x0 + columns[0]),
            float(y0 + rows[0]),
            float(columns[-1] - columns[0] + 1),
            float(rows[-1] - rows[0] + 1),
        )
        self.cells.append(SyntheticCell(kind, box, type_))
        radius = float(np.sqrt(mask.sum() / np.pi))
        self.discs = np.vstack([self.discs, [x, y, radius]])
        self.white += kind == "wbc"
        return True

    def put_white_cells(self, types: Sequence[str], scale: float) -> None:
        """Lay white cells apart from each other, where at least half of each shows."""
        for cell_type in types:
            stamp = draw_white_cell(self.rng, cell_type, scale)
            radius = float(np.sqrt((stamp.cover >= 0.5).sum() / np.pi))
            # Both margins keep the centre inside, so that a corner still shows enough.
            margin = min(0.45 * radius, self.width / 2, self.height / 2)
            best, place = -1.0, (self.width / 2, self.height / 2)
            for _ in range(60):
                x = self.rng.uniform(margin, self.width - margin)
                y = self.rng.uniform(margin, self.height - margin)
                gap, _others = self.clearance(x, y, radius)
                if gap > best:
                    best, place = gap, (x, y)
                if best > 1.05:
                    break
            if not self.put(stamp, *place, "wbc", cell_type):
                raise ValueError(
                    f"{self.width} x {self.height} pixels are too few for a {cell_type}"
                )

    def put_red_cells(self, pixels: float, coverage: float, clumping: float) -> None:
        """Lay red cells until they cover `coverage` of the image or no room is left."""
        rng = self.rng
        habit = RedCellHabit(
            pallor=rng.uniform(0.2, 0.95),
            size_spread=rng.uniform(0.05, 0.12),
            bend=rng.uniform(0.02, 0.07),
            crenated=rng.choice([0.0, 0.02, 0.5], p=[0.7, 0.22, 0.08]),
            bubbles=rng.choice([0.0, 0.03, 0.3], p=[0.75, 0.15, 0.1]),
        )
        radius = pixels / 2
        wanted = int(coverage * self.width * self.height / (np.pi * radius**2)) + 1
        spacing = rng.uniform(0.85, 1.05)
        heading, laid = 0.0, 0
        for _ in range(6 * wanted):
            if laid == wanted:
                break
            clump = laid > 0 and rng.random() < clumping
            if clump:  # next to the last cell and roughly on its line, as in rouleaux
                heading += rng.normal(0, 0.5)
                step = 2 * radius * rng.uniform(0.45, 0.98)
                x = self.discs[-1, 0] + step * np.cos(heading)
                y = self.discs[-1, 1] + step * np.sin(heading)
            else:
                x = rng.uniform(-0.25 * radius, self.width + 0.25 * radius)
                y = rng.uniform(-0.25 * radius, self.height + 0.25 * radius)
            to_white, to_others = self.clearance(x, y, radius)
            if to_white < 0.97 or to_others < (0.4 if clump else spacing):
                heading = rng.uniform(0, 2 * np.pi)
                continue
            laid += self.put(draw_red_cell(rng, pixels, habit), x, y, "rbc", None)

    def put_platelets(self, count: int, scale: float) -> None:
        """Lay platelets clear of white cells and mostly clear of red cells."""
        for _ in range(count):
            x, y = self.rng.uniform(0, self.width), self.rng.uniform(0, self.height)
            to_white, to_others = self.clearance(x, y, 1.5 * scale)
            if to_white > 1.05 and (to_others > 1.0 or self.rng.random() < 0.1):
                self.put(draw_platelet(self.rng, scale), x, y, "platelet", None)


def make_field(
    seed: int,
    width: int = 640,
    height: int = 480,
    *,
    white_cells: int | Sequence[str] | None = None,
    red_cell_pixels: float | None = None,
) -> SyntheticField:
    """Make a field of `width` x `height` pixels.

    `white_cells` is how many (of random mature types), or which types; 1 to 5 when None.
    `red_cell_pixels` is the mean diameter of a red cell, 28 to 90 px when None. White cells that
    find no free place overlap. Raises ValueError for a type that cannot be drawn and for an
    image too small for a white cell.
    """
    rng = np.random.default_rng(seed)
    drawn_size = float(np.exp(rng.uniform(*np.log(_RED_CELL_PIXELS))))
    drawn_count = int(rng.integers(1, 6))
    pixels = drawn_size if red_cell_pixels is None else red_cell_pixels
    if white_cells is None or isinstance(white_cells, int):
        count = drawn_count if white_cells is None else white_cells
        types = [str(name) for name in rng.choice(MATURE_FIVE, count)]
    else:
        types = list(white_cells)
    if unknown := set(types) - DRAWN_TYPES:
        raise ValueError(f"no drawing of {', '.join(sorted(unknown))}")

    scale = pixels / RED_CELL_MICROMETRES
    slide = _Slide(rng, width, height)
    slide.put_white_cells(types, scale)
    slide.put_red_cells(pixels, rng.uniform(0.15, 0.6), rng.choice([0.02, 0.2, 0.55]))
    red_cells = len(slide.cells) - slide.white
    slide.put_platelets(int(rng.poisson(2 + red_cells * rng.uniform(0, 0.12))), scale)
    image = expose(rng, slide.dyes, pixels)
    return SyntheticField(image, tuple(slide.cells), 1 / scale)


def make_cell(seed: int, cell_type: str, size: int = 192) -> Pixels:
    """Make a square crop, size x size x 3 RGB, of one white cell centred among red cells.

    Raises ValueError for a type that cannot be drawn.
    """
    if cell_type not in DRAWN_TYPES:
        raise ValueError(f"no drawing of {cell_type}")
    rng = np.random.default_rng(seed)
    pixels = size * rng.uniform(0.18, 0.24)  # a crop is then 31 to 42 µm wide
    scale = pixels / RED_CELL_MICROMETRES
    slide = _Slide(rng, size, size)
    x, y = size / 2 + rng.normal(0, size * 0.01, 2)
    slide.put(draw_white_cell(rng, cell_type, scale), x, y, "wbc", cell_type)
    slide.put_red_cells(pixels, rng.uniform(0.2, 0.55), rng.choice([0.02, 0.3]))
    slide.put_platelets(int(rng.poisson(2)), scale)
    return expose(rng, slide.dyes, pixels)


# Seed, mean red cell diameter in pixels and white cells of each example slide.
_EXAMPLES: tuple[tuple[int, float, tuple[str, ...]], ...] = (
    (1001, 62, ("neutrophil", "neutrophil", "lymphocyte")),
    (2000, 52, ("lymphocyte", "lymphocyte", "neutrophil", "monocyte")),
    (3002, 66, ("neutrophil", "eosinophil", "neutrophil")),
    (4003, 56, ("monocyte", "neutrophil", "lymphocyte", "neutrophil")),
    (5001, 72, ("basophil", "neutrophil")),
    (6003, 58, ("eosinophil", "lymphocyte", "neutrophil", "eosinophil")),
    (7002, 46, ("neutrophil", "neutrophil", "monocyte", "lymphocyte", "neutrophil")),
    (8003, 54, ("lymphocyte", "basophil", "neutrophil", "eosinophil", "monocyte")),
)


@cache
def example_fields() -> tuple[SyntheticField, ...]:
    """Make the example slides, which together show all five mature types."""
    return tuple(
        make_field(seed, white_cells=types, red_cell_pixels=pixels)
        for seed, pixels, types in _EXAMPLES
    )


def example_truth() -> dict[str, Any]:
    """Return the cells of each example slide by file name, as JSON; boxes are x, y, w, h."""
    return {
        f"synthetic_{number}.jpg": {
            "seed": seed,
            "micrometres_per_pixel": round(field.micrometres_per_pixel, 6),
            "cells": [
                {"kind": cell.kind, "type": cell.type, "box": list(cell.box.xywh)}
                for cell in field.cells
            ],
        }
        for number, (field, (seed, *_)) in enumerate(
            zip(example_fields(), _EXAMPLES, strict=True), 1
        )
    }


def write_examples(directory: Path) -> None:
    """Write the example slides as JPEG and `truth.json` beside them."""
    directory.mkdir(parents=True, exist_ok=True)
    truth = example_truth()
    for name, field in zip(truth, example_fields(), strict=True):
        Image.fromarray(field.pixels).save(directory / name, quality=95)
    (directory / "truth.json").write_text(json.dumps(truth) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the example slides and their truth.")
    parser.add_argument("directory", type=Path)
    write_examples(parser.parse_args().directory)
