"""Measures whether the ALL model's class activation maps lie on cells."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from core.datasets.readers import open_set
from core.domain.boxes import Box
from core.domain.results import FieldImage, ImageProperties, Pixels
from core.evaluation.schema import CamFigures
from core.inference.field_classifier import FieldClassifier
from core.inference.pipeline import Analyzer
from core.settings import Settings

EVERY = 12
"""Of the ALL fields every twelfth is measured."""


def shares_in_boxes(
    cam: NDArray[np.float32], boxes: Sequence[Box], width: int, height: int
) -> tuple[float, float]:
    """Return the proportions of the map and of the image's area inside any box.

    `cam` (h x w) covers the image of width x height pixels. The first proportion is 0 for an
    empty map.
    """
    inside = np.zeros((height, width), bool)
    for box in boxes:
        inside[box.slices] = True
    spread = cv2.resize(cam, (width, height), interpolation=cv2.INTER_LINEAR)
    total = float(spread.sum())
    return (float(spread[inside].sum()) / total if total else 0.0, float(inside.mean()))


def _cam(grader: FieldClassifier, pixels: Pixels) -> NDArray[np.float32]:
    properties = ImageProperties("PNG", "RGB", 8, pixels.size)
    result = grader.predict(FieldImage("field", pixels, "", properties), force=True)
    if result.cam is None:
        raise ValueError("a graded field has a class activation map")
    return result.cam


def cam_on_cells(analyzer: Analyzer, settings: Settings) -> CamFigures:
    """Compare the class activation map inside white cells with the area that they cover.

    A map spread evenly would have the same share as the area. Means over the fields in which a
    white cell is found; the final model, which was trained on these fields.
    """
    data = open_set("taleqani", settings)
    examples = data.examples[::EVERY]
    shares = []
    for example in tqdm(examples, desc="class activation maps"):
        pixels = data.read(example)
        boxes = [d.box for d in analyzer.detector.detect(pixels) if d.kind == "wbc"]
        if boxes:
            height, width = pixels.shape[:2]
            cam = _cam(analyzer.field_classifier, pixels)
            shares.append(shares_in_boxes(cam, boxes, width, height))
    inside, area = np.mean(shares, axis=0)
    return CamFigures(
        n=len(shares),
        without_cells=len(examples) - len(shares),
        inside=float(inside),
        area=float(area),
    )
