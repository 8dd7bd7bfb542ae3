"""Finds white cells, red cells and platelets in pictures of any size and magnification."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from core.domain.results import Box, Pixels
from core.domain.taxonomy import CELL_KINDS, CellKind
from core.inference.runtime import Engine
from core.model_card import ModelCard

STRIDE = 8
MULTIPLE = 32
RED_CELL_SIDE = (30.0, 110.0)
"""Red cells of this size in network pixels are found well; outside it a second look is taken."""
WANTED_RED_CELL = 52.0
LARGEST_SIDE = 2048
_LEAST_SCORE = 0.001
_SUPPRESSION_IOU = 0.5
_CROSS_KIND_IOU = 0.65
_VOTING_IOU = 0.7
_WHITE = CELL_KINDS.index("wbc")
_LIKELY = 0.5
_FURTHER_LOOKS = 3
_RULER_CANDIDATES = 12
"""Boxes before suppression; a red cell has several."""


@dataclass(frozen=True, slots=True)
class Detection:
    """A found cell before it is typed."""

    kind: CellKind
    box: Box
    score: float


class Detector:
    """The detector network with its scale search and suppression of duplicates."""

    def __init__(self, engine: Engine, card: ModelCard) -> None:
        self._engine = engine
        self.thresholds: dict[str, float] = {kind: card.thresholds[kind] for kind in CELL_KINDS}
        self.first_side = card.input_width
        """Longest side in pixels of the first look at a picture."""

    def detect(
        self, pixels: Pixels, *, lowest: float | None = None, confirmed: bool = True
    ) -> tuple[Detection, ...]:
        """Return the cells of an H x W x 3 RGB picture: by kind, then from top to bottom.

        `lowest` replaces the card's thresholds (for evaluation). The picture is looked at with
        its longest side at `first_side`; when its red cells turn out too small or too large for
        the network, again at the scale that brings them to `WANTED_RED_CELL` pixels. What it sees
        there is put together with what it sees in the mirrored picture; without `confirmed` this
        last look is left out, which is enough to find one large cell.
        """
        longest = max(pixels.shape[:2])
        factor = self.first_side / longest
        scaled = _resized(pixels, factor)
        boxes, scores = self._look(scaled, pixels.shape)
        for _ in range(_FURTHER_LOOKS):
            better = self._better_factor(boxes, scores, factor, longest)
            if better is None:
                break
            factor = better
            scaled = _resized(pixels, factor)
            boxes, scores = self._look(scaled, pixels.shape)
        if confirmed:
            # The same size again: another one would cost the engine a new plan.
            more_boxes, more_scores = self._look(scaled, pixels.shape, mirrored=True)
            boxes = np.concatenate([boxes, more_boxes])
            scores = np.concatenate([scores, more_scores])
        return self._select(boxes, scores, pixels.shape[:2], lowest)

    def _better_factor(
        self, boxes: NDArray[np.float32], scores: NDArray[np.float32], factor: float, longest: int
    ) -> float | None:
        """Return another factor when the red cells, or the lack of them, ask for one."""
        highest = min(LARGEST_SIDE, 4 * longest) / longest
        red = scores[:, CELL_KINDS.index("rbc")] > self.thresholds["rbc"]
        if red.sum() < _RULER_CANDIDATES:
            # Nothing to measure by: large scans show red cells only when looked at more closely.
            is_wide = longest > 2 * self.first_side and not (scores > 0.5).any()
            return min(highest, 2 * factor) if is_wide and factor < 0.99 * highest else None
        side = float(np.median(_sides(boxes[red]))) * factor
        if RED_CELL_SIDE[0] <= side <= RED_CELL_SIDE[1]:
            return None
        wanted = min(highest, factor * min(WANTED_RED_CELL / side, 4.0))
        return None if abs(wanted / factor - 1) < 0.05 else wanted

    def _look(
        self, scaled: Pixels, shape: tuple[int, ...], *, mirrored: bool = False
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return candidate boxes (n x 4 corners in a picture of `shape`) and scores (n x kinds)."""
        height, width = shape[:2]
        new_h, new_w = scaled.shape[:2]
        frame = np.zeros((1, _round_up(new_h), _round_up(new_w), 3), np.float32)
        frame[0, :new_h, :new_w] = scaled[:, ::-1] if mirrored else scaled
        outputs = self._engine.run(frame)
        kinds, sides = outputs["kinds"][0], outputs["sides"][0]
        rows, columns = np.nonzero(kinds.max(-1) > _LEAST_SCORE)
        scores, distances = kinds[rows, columns], sides[rows, columns]
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
        found: list[tuple[float, int, NDArray[np.float32]]] = []
        for index, kind in enumerate(CELL_KINDS):
            threshold = self.thresholds[kind] if lowest is None else lowest
            chosen = scores[:, index] >= threshold
            found += [
                (score, index, box)
                for score, box in _suppress(corners[chosen], scores[chosen, index])
            ]
        # Between two kinds the surer one stays, but no white cell that is likely goes for another.
        found.sort(key=lambda item: (item[1] != _WHITE or item[0] < _LIKELY, -item[0]))
        kept: list[tuple[float, int, NDArray[np.float32]]] = []
        for item in found:
            others = [k for k in kept if k[1] != item[1]]
            if not others or iou(item[2], np.array([k[2] for k in others])).max() < (
                _CROSS_KIND_IOU
            ):
                kept.append(item)
        height, width = shape
        detections = []
        for score, index, (x0, y0, x1, y1) in kept:
            x, y = max(float(x0), 0.0), max(float(y0), 0.0)
            box = Box(x, y, min(float(x1), width) - x, min(float(y1), height) - y)
            detections.append(Detection(CELL_KINDS[index], box, float(score)))
        # White cells first, each kind in reading order: this is how cells are numbered.
        return tuple(sorted(detections, key=lambda d: (CELL_KINDS.index(d.kind), d.box.y, d.box.x)))


def _resized(pixels: Pixels, factor: float) -> Pixels:
    height, width = pixels.shape[:2]
    size = max(round(width * factor), 8), max(round(height * factor), 8)
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=method), np.uint8)


def _round_up(side: int) -> int:
    return math.ceil(side / MULTIPLE) * MULTIPLE


def _sides(corners: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((corners[:, 2:] - corners[:, :2]).mean(1))


def iou(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the intersection over union of one corner box with n others."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    inner = np.maximum(sides[:, 0], 0) * np.maximum(sides[:, 1], 0)
    both = _area(boxes) + _area(box[None])
    return np.asarray(inner / np.maximum(both - inner, 1e-9))


def _area(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def _suppress(
    corners: NDArray[np.float32], scores: NDArray[np.float32]
) -> list[tuple[float, NDArray[np.float32]]]:
    """Keep the best box of every cell, its corners averaged over the boxes that agree with it.

    Non-maximum suppression with box voting (Gidaris and Komodakis 2015, ICCV).
    """
    if len(corners) == 0:
        return []
    as_rectangles = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])
    kept = cv2.dnn.NMSBoxes(as_rectangles.tolist(), scores.tolist(), 0.0, _SUPPRESSION_IOU)
    result = []
    for index in np.asarray(kept).ravel():
        overlap = iou(corners[index], corners)
        weight = np.where(overlap > _VOTING_IOU, scores * overlap, 0)[:, None]
        result.append((float(scores[index]), (corners * weight).sum(0) / weight.sum()))
    return result
