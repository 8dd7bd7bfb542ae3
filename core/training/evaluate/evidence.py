"""Measures whether the ALL model's evidence maps lie on cells."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from core.datasets.readers import open_set
from core.domain.boxes import Box
from core.domain.results import FieldImage, ImageProperties, Pixels
from core.inference.field_classifier import StageGrader
from core.inference.pipeline import Analyzer
from core.settings import Settings

EVERY = 12
"""Of the ALL fields every twelfth is measured."""


def shares_in_boxes(
    evidence: NDArray[np.float32], boxes: Sequence[Box], width: int, height: int
) -> tuple[float, float]:
    """Return the share of the evidence inside any box, and the share of the picture's area.

    `evidence` (h x w) covers the picture of width x height pixels, as `evidence_map` gives it.
    The first share is 0 for a map without evidence.
    """
    inside = np.zeros((height, width), bool)
    for box in boxes:
        inside[box.slices] = True
    spread = cv2.resize(evidence, (width, height), interpolation=cv2.INTER_LINEAR)
    total = float(spread.sum())
    return (float(spread[inside].sum()) / total if total else 0.0, float(inside.mean()))


def _evidence(grader: StageGrader, pixels: Pixels) -> NDArray[np.float32]:
    properties = ImageProperties("PNG", "RGB", 8, pixels.size)
    result = grader.grade(FieldImage("field", pixels, "", properties), anyway=True)
    if result.cam is None:
        raise ValueError("a graded field has evidence")
    return result.cam


def evidence_on_cells(analyzer: Analyzer, settings: Settings) -> dict[str, Any]:
    """Compare the evidence inside found white cells with the area that they cover.

    Evidence spread evenly would have the same share as the area. Means over the fields in which
    a white cell is found; the final model, which has trained on these fields.
    """
    data = open_set("taleqani", settings)
    examples = data.examples[::EVERY]
    shares = []
    for example in tqdm(examples, desc="evidence"):
        pixels = data.read(example)
        boxes = [d.box for d in analyzer.detector.detect(pixels) if d.kind == "wbc"]
        if boxes:
            height, width = pixels.shape[:2]
            evidence = _evidence(analyzer.stage_grader, pixels)
            shares.append(shares_in_boxes(evidence, boxes, width, height))
    inside, area = np.mean(shares, axis=0)
    return {
        "n": len(shares),
        "without_cells": len(examples) - len(shares),
        "evidence": float(inside),
        "area": float(area),
    }
