"""Fields with composed clumps: real white cells pasted touching each other, with their boxes.

Labelled fields hold few crowded white cells. Cells cut out of other images along their outline and
pasted onto a field give any number of them, and their true boxes (Dwibedi et al. 2017, ICCV).
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from core.datasets.readers import open_set
from core.domain.boxes import Box, image_box, iou, xyxy_array
from core.domain.results import Pixels
from core.domain.taxonomy import CELL_KINDS
from core.errors import DataError
from core.imaging.crop import crop_square
from core.imaging.illumination import flatten, set_white_point
from core.imaging.scale import is_whole
from core.imaging.segmentation import segment_cell
from core.inference.cell_classifier import central_box
from core.settings import Settings
from core.training.augmentation.appearance import colour_statistics, transfer_stain
from core.training.data.detection_fields import Labelled

_WHITE = CELL_KINDS.index("wbc")
_CELLS = (2, 7)
"""Least and largest number of cells pasted into a field."""
_TO_A_REAL_CELL = 0.4
"""Share of clumps that begin at a white cell of the field."""
_OVERLAP = 0.12
"""Largest share of a pasted cell that overlaps the others of its clump."""
_HIDDEN = 0.6
"""Share of the box of a red cell or platelet under pasted cells, from which on its label goes."""
_LEAST_INSIDE = 0.4
"""Least share of a pasted cell inside the field."""
_LARGEST = 0.3
"""Largest diameter of a pasted cell, as a share of the field's shorter side."""
_LEAST_SOLIDITY, _LEAST_ROUGH_SOLIDITY = 0.92, 0.95
"""Area of a cell's outline over that of its convex hull, in an exact and in a rough box: there two
cells can pass for one."""
_LEAST_FIT = 0.7
"""IoU of an outline's box with the labelled box."""
_WHITE_OF_RED = 1.7
"""Diameter of a white cell in diameters of a red one, in fields that show none."""
_CLUMPS, _SMALL_CLUMPS, _HOLDOUT_CLUMPS = 500, 150, 60
"""Composed fields: on usual fields, on fields at low magnification, and for validation."""
_CROPS_A_LABEL = 60
"""Crops of each type of which cells are cut out."""
_DEEPAPL_TRAIN, _DEEPAPL_HOLDOUT = ("0", "1", "2", "3"), ("4",)
"""Folds of the patients whose cells are pasted in training and in validation."""
_DEEPAPL_TYPES = (
    "blast", "lymphocyte", "monocyte", "neutrophil", "immature_granulocyte", "erythroblast",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Cutout:
    """A white cell without its surroundings."""

    pixels: Pixels
    """h x w x 3."""
    opacity: NDArray[np.float32]
    """h x w in 0..1: 1 in the cell, falling to 0 over its edge."""

    @property
    def diameter(self) -> float:
        """Diameter of the circle of the cell's area in pixels."""
        return float(2 * np.sqrt(self.opacity.sum() / np.pi))


def cut_out(pixels: Pixels, box: Box, *, is_exact: bool = True) -> Cutout | None:
    """Return the white cell in a box of a light-corrected image, or None without a clear outline.

    With `is_exact` the outline must fill the box; otherwise the box is a rough one.
    """
    segmentation = segment_cell(pixels, box)
    if segmentation is None:
        return None
    side = max(2, round(segmentation.side))
    mask = cv2.resize(segmentation.cell.astype(np.float32), (side, side))
    outlines, _ = cv2.findContours(
        (mask > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    if not outlines:
        return None
    outline = max(outlines, key=cv2.contourArea)
    x, y, width, height = cv2.boundingRect(outline)
    found = Box(segmentation.x + x, segmentation.y + y, width, height)
    hull = cv2.contourArea(cv2.convexHull(outline))
    is_inside = found.margin_within(image_box(*pixels.shape[1::-1])) >= 1 and min(x, y) > 0
    fits = not is_exact or float(iou(xyxy_array([found])[0], xyxy_array([box]))[0]) >= _LEAST_FIT
    solidity = _LEAST_SOLIDITY if is_exact else _LEAST_ROUGH_SOLIDITY
    if not (is_inside and fits and hull and cv2.contourArea(outline) >= solidity * hull):
        return None
    whole = np.zeros((side, side), np.float32)
    cv2.drawContours(whole, [outline], -1, 1.0, cv2.FILLED)
    opacity = cv2.GaussianBlur(whole, (0, 0), 0.4 + 0.008 * side)
    return Cutout(crop_square(pixels, box, segmentation.side, side), np.asarray(opacity))


def cutouts_of_fields(fields: Iterable[Labelled]) -> list[Cutout]:
    """Return the whole, single white cells of labelled, light-corrected fields."""
    found = []
    for field in fields:
        height, width = field.pixels.shape[:2]
        white = field.of_kind("wbc")
        corners = xyxy_array(white)
        for box in white:
            is_single = (iou(xyxy_array([box])[0], corners) > 0.02).sum() == 1
            if is_single and is_whole(box, width, height):
                found.append(cut_out(field.pixels, box))
    return [cutout for cutout in found if cutout is not None]


def cutouts_of_patients(settings: Settings, folds: Sequence[str]) -> list[Cutout]:
    """Return white cells of leukaemia patients, as many of each type, from crops without boxes."""
    data = open_set("deepapl", settings)
    rng = np.random.default_rng(4)
    found = []
    for label in _DEEPAPL_TYPES:
        examples = [e for e in data.of_split(*folds) if e.label == label]
        for index in rng.permutation(len(examples))[:_CROPS_A_LABEL]:
            pixels = set_white_point(data.read(examples[index]))
            found.append(cut_out(pixels, central_box(pixels), is_exact=False))
    return [cutout for cutout in found if cutout is not None]


def with_clump(field: Labelled, cutouts: Sequence[Cutout], rng: Generator) -> Labelled:
    """Return a light-corrected field with white cells pasted into it, most of them touching.

    The cells get the size and partly the colours of the field's white cells, any direction, and
    overlap by little. Red cells and platelets that they hide lose their boxes; the boxes of white
    cells stay.
    """
    pixels = field.pixels.copy()
    shape = pixels.shape[:2]
    white = field.of_kind("wbc")
    taken = np.zeros(shape, np.float32)
    for box in white:
        axes = max(round(box.width / 2), 1), max(round(box.height / 2), 1)
        middle = round(box.centre[0]), round(box.centre[1])
        cv2.ellipse(taken, middle, axes, 0, 0, 360, 1.0, cv2.FILLED)
    pasted = np.zeros(shape, np.float32)
    diameter = _diameter(field, rng)
    model = white[int(rng.integers(len(white)))] if white else None
    colours = None
    if model is not None and rng.random() < 0.6:
        crop = crop_square(pixels, model, 1.5 * model.longer_side, 64)
        colours = colour_statistics(crop)
    clump: list[tuple[float, float, float]] = []  # x, y, diameter
    if white and rng.random() < _TO_A_REAL_CELL:
        start = white[int(rng.integers(len(white)))]
        clump.append((*start.centre, start.diameter))
    boxes = []
    for _ in range(int(rng.integers(_CELLS[0], _CELLS[1] + 1))):
        cutout = _varied(cutouts[int(rng.integers(len(cutouts)))], diameter, rng)
        if colours is not None:
            cutout = replace(
                cutout, pixels=transfer_stain(cutout.pixels, colours, rng.uniform(0.2, 0.9))
            )
        centre = _free_place(cutout, clump, taken, rng)
        if centre is None:
            continue
        clump.append((*centre, cutout.diameter))
        boxes.append(_paste(cutout, centre, pixels, (taken, pasted)))
    kept = [
        row
        for row in field.boxes
        if row[0] == _WHITE or pasted[Box.from_xyxy(*row[1:5].tolist()).slices].mean() < _HIDDEN
    ]
    rows = [*kept, *(np.array([_WHITE, *box.xyxy]) for box in boxes)]
    return replace(field, pixels=pixels, boxes=np.array(rows, np.float32).reshape(-1, 5))


def _diameter(field: Labelled, rng: Generator) -> float:
    """Return the diameter of the cells to paste, like that of the field's own white cells."""
    white = [box.diameter for box in field.of_kind("wbc")]
    red = [_WHITE_OF_RED * box.diameter for box in field.of_kind("rbc")]
    shortest = min(field.pixels.shape[:2])
    typical = float(np.median(white or red or [0.2 * shortest]))
    return min(typical * float(np.exp(rng.normal(0, 0.15))), _LARGEST * shortest)


def _varied(cutout: Cutout, diameter: float, rng: Generator) -> Cutout:
    """Return a cut-out of about a diameter, turned and mirrored."""
    side = cutout.opacity.shape[0]
    scale = diameter * float(np.exp(rng.normal(0, 0.1))) / cutout.diameter
    size = max(round(side * scale * 1.1), 4)
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), rng.uniform(0, 360), scale)
    if rng.random() < 0.5:
        matrix[:, 0] *= -1
        matrix[:, 2] += -matrix[:, 0] * side
    matrix[:, 2] += (size - side) / 2
    pixels = cutout.pixels
    if scale < 0.5:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), 0.35 / scale), np.uint8)
    turned = cv2.warpAffine(
        pixels, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    opacity = cv2.warpAffine(cutout.opacity, matrix, (size, size), flags=cv2.INTER_LINEAR)
    return Cutout(np.asarray(turned, np.uint8), np.asarray(opacity, np.float32))


def _free_place(
    cutout: Cutout,
    clump: Sequence[tuple[float, float, float]],
    taken: NDArray[np.float32],
    rng: Generator,
) -> tuple[float, float] | None:
    """Return a centre (x, y) at which a cell touches the clump, or None when none was found."""
    height, width = taken.shape
    area = float(cutout.opacity.sum())
    touch = rng.uniform(0.005, _OVERLAP)
    for _ in range(12):
        if not clump:
            x, y = rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.9) * height
            if _covered(cutout, (x, y), taken)[0] < _OVERLAP * area:
                return x, y
            continue
        near_x, near_y, near_diameter = clump[int(rng.integers(len(clump)))]
        angle = rng.uniform(0, 2 * np.pi)
        reach = (near_diameter + cutout.diameter) / 2
        for distance in reach * np.arange(1.2, 0.6, -0.03):
            x, y = near_x + distance * np.cos(angle), near_y + distance * np.sin(angle)
            overlap, inside = _covered(cutout, (x, y), taken)
            if inside < _LEAST_INSIDE * area or overlap > 1.3 * _OVERLAP * area:
                break
            if overlap >= touch * area:
                return float(x), float(y)
    return None


def _windows(
    cutout: Cutout, centre: tuple[float, float], shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return rows and columns in the field, and the same in the cut-out."""
    windows = []
    for middle, side, limit in zip(centre[::-1], cutout.opacity.shape, shape, strict=False):
        first = round(middle - side / 2)
        low, high = min(max(first, 0), limit), max(min(first + side, limit), 0)
        windows.append((slice(low, max(high, low)), slice(low - first, max(high, low) - first)))
    return (windows[0][0], windows[1][0]), (windows[0][1], windows[1][1])


def _covered(
    cutout: Cutout, centre: tuple[float, float], taken: NDArray[np.float32]
) -> tuple[float, float]:
    """Return how much of a cell would lie on others, and inside the field (square pixels)."""
    there, here = _windows(cutout, centre, taken.shape)
    opacity = cutout.opacity[here]
    return float((opacity * taken[there]).sum()), float(opacity.sum())


def _paste(
    cutout: Cutout,
    centre: tuple[float, float],
    pixels: Pixels,
    masks: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> Box:
    """Draw a cell into the field and into both masks; return its box."""
    there, here = _windows(cutout, centre, pixels.shape)
    opacity = cutout.opacity[here]
    blended = opacity[..., None] * cutout.pixels[here] + (1 - opacity[..., None]) * pixels[there]
    pixels[there] = np.clip(blended + 0.5, 0, 255).astype(np.uint8)
    for mask in masks:
        mask[there] = np.maximum(mask[there], opacity)
    x, y, width, height = cv2.boundingRect((opacity > 0.5).astype(np.uint8))
    left, top = there[1].start + x, there[0].start + y
    return Box(left, top, max(width, 1), max(height, 1))


def clump_fields(
    fields: Sequence[Labelled], cutouts: Sequence[Cutout], count: int, seed: int
) -> list[Labelled]:
    """Return light-corrected fields, each with a composed clump of white cells.

    Raises DataError when no cell could be cut out.
    """
    if not cutouts:
        raise DataError("No white cell could be cut out of the fields.")

    def one(number: int) -> Labelled:
        rng = np.random.default_rng((seed, number))
        field = fields[int(rng.integers(len(fields)))]
        return with_clump(replace(field, pixels=flatten(field.pixels)), cutouts, rng)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, range(count)))


def flattened(fields: Iterable[Labelled]) -> list[Labelled]:
    """Return fields with even light."""
    return [replace(field, pixels=flatten(field.pixels)) for field in fields]


def crowded_fields(
    settings: Settings, fields: Sequence[Labelled], small: Sequence[Labelled]
) -> list[Labelled]:
    """Return training fields with composed clumps, at the usual and at low magnification."""
    cutouts = cutouts_of_fields(flattened(fields))
    cutouts += cutouts_of_patients(settings, _DEEPAPL_TRAIN)
    return [
        *clump_fields(fields, cutouts, _CLUMPS, seed=11),
        *clump_fields(small, cutouts_of_fields(small), _SMALL_CLUMPS, seed=12),
    ]


def crowded_holdout(settings: Settings, validation: Sequence[Labelled]) -> list[Labelled]:
    """Return validation fields with composed clumps of cells that no training image shows."""
    cutouts = cutouts_of_fields(flattened(validation))
    cutouts += cutouts_of_patients(settings, _DEEPAPL_HOLDOUT)
    return clump_fields(validation, cutouts, _HOLDOUT_CLUMPS, seed=13)
