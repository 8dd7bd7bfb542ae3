"""Finds white cells, red cells and platelets in images of any size and magnification."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from core.domain.boxes import (
    Box,
    diameters,
    suppress_between_groups,
    suppress_with_voting,
)
from core.domain.results import Pixels
from core.domain.taxonomy import CELL_KINDS, CellKind
from core.imaging.nuclei import nuclear_mask, nuclear_sides
from core.inference.runtime import Engine
from core.model_card import DetectorCard

STRIDE = 8
MULTIPLE = 32
RED_CELL_SIDE = (30.0, 110.0)
"""Sides in network pixels of red cells that are found well; outside, the image is rescaled."""
WANTED_RED_CELL = 52.0
SMALL_WHITE_CELL, SMALL_NUCLEUS = 30.0, 22.0
"""Sides in network pixels of white cells and nuclei that need a finer pass, where there are too few
red cells to measure by."""
WANTED_WHITE_CELL, WANTED_NUCLEUS = 40.0, 30.0
LARGEST_SIDE = 2048
MOST_ENLARGED = 1.75
"""Largest factor of a finer pass on the side of the image: nothing appears that was not there, and
on validation fields at low magnification red cells enlarged further pass for white ones."""
_LEAST_SCORE = 0.001
_SUPPRESSION_IOU = 0.5
_CROSS_KIND_IOU = 0.65
_VOTING_IOU = 0.7
_WHITE = CELL_KINDS.index("wbc")
_LIKELY = 0.5
_MOST_RESCALES = 3
_RULER_CANDIDATES = 12
"""Boxes before suppression that are enough to measure by; a red cell has several."""


@dataclass(frozen=True, slots=True)
class Detection:
    """A found cell before it is typed."""

    kind: CellKind
    box: Box
    score: float


class Detector:
    """The detector network with its scale search and suppression of duplicates."""

    def __init__(self, engine: Engine, card: DetectorCard) -> None:
        self._engine = engine
        self.thresholds = card.thresholds.by_name()
        self.input_side = card.input_width
        """Longest side in pixels of the image in the first forward pass."""

    def detect(
        self, pixels: Pixels, *, lowest: float | None = None, tta: bool = True
    ) -> tuple[Detection, ...]:
        """Return the cells of an H x W x 3 RGB image: by kind, then from top to bottom.

        `lowest` replaces the card's thresholds (for evaluation). The first forward pass scales the
        longest side to `input_side`. When its red cells are too small or too large for the network,
        another pass scales them to `WANTED_RED_CELL` pixels. With `tta` the boxes of the mirrored
        image are added before suppression; without it one large cell is still found.
        """
        longest = max(pixels.shape[:2])
        factor = self.input_side / longest
        scaled = _resized(pixels, factor)
        boxes, scores = self._forward(scaled, pixels.shape)
        for _ in range(_MOST_RESCALES):
            better = self._better_factor(boxes, scores, factor, scaled, longest)
            if better is None:
                break
            factor = better
            scaled = _resized(pixels, factor)
            boxes, scores = self._forward(scaled, pixels.shape)
        if tta:
            # The same size again: another one would cost the engine a new plan.
            more_boxes, more_scores = self._forward(scaled, pixels.shape, mirrored=True)
            boxes = np.concatenate([boxes, more_boxes])
            scores = np.concatenate([scores, more_scores])
        return self._select(boxes, scores, pixels.shape[:2], lowest)

    def _better_factor(
        self,
        boxes: NDArray[np.float32],
        scores: NDArray[np.float32],
        factor: float,
        scaled: Pixels,
        longest: int,
    ) -> float | None:
        """Return another scale factor where what the image holds needs one.

        The red cells are the ruler. Without them the white cells are, and where none is found
        either, the nuclei that their stain shows.
        """
        highest = max(min(LARGEST_SIDE, MOST_ENLARGED * longest) / longest, factor)
        red = scores[:, CELL_KINDS.index("rbc")] > self.thresholds["rbc"]
        white = scores[:, _WHITE] > self.thresholds["wbc"]
        if red.sum() >= _RULER_CANDIDATES:
            side = float(np.median(diameters(boxes[red]))) * factor
            if RED_CELL_SIDE[0] <= side <= RED_CELL_SIDE[1]:
                return None
            change = min(WANTED_RED_CELL / side, 4.0)
        elif white.any():
            side = float(np.median(diameters(boxes[white]))) * factor
            if side >= SMALL_WHITE_CELL:
                return None
            change = WANTED_WHITE_CELL / side
        elif (nuclei := nuclear_sides(nuclear_mask(scaled))).size:
            side = float(np.median(nuclei))
            if side >= SMALL_NUCLEUS:
                return None
            change = min(WANTED_NUCLEUS / side, 4.0)
        elif longest > 2 * self.input_side and not (scores > 0.5).any():
            # Nothing to measure by: the cells of large scans appear only at a larger scale.
            change = 2.0
        else:
            return None
        wanted = min(highest, factor * change)
        return None if abs(wanted / factor - 1) < 0.05 else wanted

    def _forward(
        self, scaled: Pixels, shape: tuple[int, ...], *, mirrored: bool = False
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return candidate boxes (n x 4, xyxy in an image of `shape`) and scores (n x kinds)."""
        height, width = shape[:2]
        new_h, new_w = scaled.shape[:2]
        frame = np.zeros((1, _round_up(new_h), _round_up(new_w), 3), np.float32)
        frame[0, :new_h, :new_w] = scaled[:, ::-1] if mirrored else scaled
        outputs = self._engine.run(frame)
        class_scores, ltrb = outputs["kinds"][0], outputs["sides"][0]
        rows, columns = np.nonzero(class_scores.max(-1) > _LEAST_SCORE)
        scores, distances = class_scores[rows, columns], ltrb[rows, columns]
        centres = (np.column_stack([columns, rows]) + 0.5) * STRIDE
        corners = np.hstack([centres - distances[:, :2], centres + distances[:, 2:]])
        corners[:, 0::2] = np.clip(corners[:, 0::2] * width / new_w, 0, width)
        corners[:, 1::2] = np.clip(corners[:, 1::2] * height / new_h, 0, height)
        if mirrored:
            corners[:, [0, 2]] = width - corners[:, [2, 0]]
        keep = (corners[:, 2:] - corners[:, :2]).min(1, initial=np.inf) >= 1
        return corners[keep].astype(np.float32), scores[keep]

    def _select(
        self,
        corners: NDArray[np.float32],
        scores: NDArray[np.float32],
        shape: tuple[int, int],
        lowest: float | None,
    ) -> tuple[Detection, ...]:
        found = [
            suppress_with_voting(
                corners[scores[:, index] >= threshold],
                scores[scores[:, index] >= threshold, index],
                max_iou=_SUPPRESSION_IOU,
                voting_iou=_VOTING_IOU,
            )
            for index, threshold in enumerate(
                self.thresholds[kind] if lowest is None else lowest for kind in CELL_KINDS
            )
        ]
        xyxy = np.concatenate([boxes for boxes, _ in found])
        confidence = np.concatenate([confidences for _, confidences in found])
        kinds = np.repeat(np.arange(len(CELL_KINDS)), [len(boxes) for boxes, _ in found])
        # Overlapping boxes of two kinds: keep the more confident one, but never drop a likely
        # white cell.
        likely_white = (kinds == _WHITE) & (confidence >= _LIKELY)
        order = np.lexsort([-confidence, ~likely_white])
        in_order = xyxy[order], kinds[order].tolist()
        kept = order[suppress_between_groups(*in_order, max_iou=_CROSS_KIND_IOU)]
        height, width = shape
        xyxy = xyxy.clip(0, (width, height, width, height))
        detections = [
            Detection(
                CELL_KINDS[kinds[index]],
                Box.from_xyxy(*xyxy[index].tolist()),
                float(confidence[index]),
            )
            for index in kept
        ]
        # White cells first, each kind in reading order: this is how cells are numbered.
        return tuple(sorted(detections, key=lambda d: (CELL_KINDS.index(d.kind), d.box.y, d.box.x)))


def _resized(pixels: Pixels, factor: float) -> Pixels:
    height, width = pixels.shape[:2]
    size = max(round(width * factor), 8), max(round(height * factor), 8)
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=method), np.uint8)


def _round_up(side: int) -> int:
    return math.ceil(side / MULTIPLE) * MULTIPLE
