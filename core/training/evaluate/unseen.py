"""Measures the detector on images unlike those of its training, most of them without boxes."""

from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from core.datasets.readers import open_set
from core.domain.boxes import Box, iou, xyxy_array
from core.domain.results import Pixels
from core.evaluation.corruptions import CORRUPTIONS, UNEVEN_LIGHT
from core.evaluation.metrics import proportion, wilson_estimate
from core.evaluation.schema import (
    BoxesFound,
    FieldsFound,
    NucleiFound,
    SyntheticFields,
    SyntheticRow,
    UnevenLightFigures,
    UnseenFigures,
)
from core.imaging.illumination import flatten
from core.imaging.nuclei import nuclear_mask
from core.inference.pipeline import Analyzer
from core.settings import Settings
from core.synthetic.fields import SyntheticField, make_field
from core.training.data.clumps import crowded_holdout
from core.training.data.detection_fields import Labelled, hits_of, real_fields, small_cell_fields

ALL_FIELDS_EVERY = 12
"""Of the ALL fields every twelfth is measured."""
SMALL_CELL_IOU, CLUMP_IOU = 0.3, 0.5
"""IoU from which a box is a cell's: a pixel more or less changes that of 22 px a lot."""
SYNTHETIC_FIELDS = 40
_SYNTHETIC_SEED = 90_000
"""Training draws its synthetic fields from other seeds."""
_NUCLEUS_SHARE = 1 / 400
"""Of the field; the nuclei of ALL fields fill 1/200 and more."""
_LEAST_SOLIDITY = 0.9
_LEAST_IOU = 0.5
_LEAST_NUCLEAR = 0.2
"""Share of a box that a nucleus fills at least; lymphocytes reach .6, eosinophils .3."""


def single_nuclei(mask: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Return the centres (x, y) of nuclei that stand alone, whole and convex in the field."""
    height, width = mask.shape
    outlines, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    centres = []
    for outline in outlines:
        x, y, w, h = cv2.boundingRect(outline)
        inside = x > 0 and y > 0 and x + w < width and y + h < height
        area = cv2.contourArea(outline)
        if not inside or area < _NUCLEUS_SHARE * height * width:
            continue
        if area >= _LEAST_SOLIDITY * cv2.contourArea(cv2.convexHull(outline)):
            centres.append((x + w / 2, y + h / 2))
    return centres


def _nuclear_share(box: Box, mask: NDArray[np.bool_]) -> float:
    part = mask[box.slices]
    return float(part.mean()) if part.size else 0.0


def _white_cells(analyzer: Analyzer, pixels: Pixels) -> list[Box]:
    return [d.box for d in analyzer.detector.detect(pixels) if d.kind == "wbc"]


def fields_with_a_white_cell(analyzer: Analyzer, settings: Settings) -> FieldsFound:
    """Count the plain Kaggle test fields, each of a white cell, in which one is found."""
    data = open_set("kaggle", settings)
    examples = data.of_split("test_simple")
    found = sum(
        bool(_white_cells(analyzer, data.read(e))) for e in tqdm(examples, desc="Kaggle fields")
    )
    return FieldsFound(n=len(examples), found=wilson_estimate(found, len(examples)))


def against_nuclei(analyzer: Analyzer, fields: Iterable[Pixels]) -> NucleiFound:
    """Compare found white cells with the nuclei that their colour shows.

    Recall: single nuclei whose centre is in a found box. Precision: boxes that hold a nucleus.
    """
    fields = list(fields)
    nuclei = met = boxes = right = 0
    for pixels in tqdm(fields, desc="nuclei"):
        mask, found = nuclear_mask(pixels), _white_cells(analyzer, pixels)
        centres = single_nuclei(mask)
        nuclei += len(centres)
        met += sum(any(box.contains(*centre) for box in found) for centre in centres)
        boxes += len(found)
        right += sum(_nuclear_share(box, mask) >= _LEAST_NUCLEAR for box in found)
    return NucleiFound(
        n=len(fields),
        nuclei=nuclei,
        recall=proportion(met, nuclei),
        precision=proportion(right, boxes),
    )


def synthetic_fields(analyzer: Analyzer) -> list[SyntheticRow]:
    """Measure synthetic fields as they are and under each corruption.

    White cells: recall and precision, a box and a cell meeting when the cell's centre is in it.
    Red cells: median over the fields of the counting error.
    """
    fields = [make_field(_SYNTHETIC_SEED + k) for k in range(SYNTHETIC_FIELDS)]
    changes = {"Unchanged": np.asarray, **CORRUPTIONS}
    return [
        _synthetic_row(analyzer, name, [(f, change(f.pixels)) for f in fields])
        for name, change in tqdm(changes.items(), desc="synthetic fields")
    ]


def boxes_found(
    analyzer: Analyzer, fields: Sequence[Labelled], least_iou: float, title: str
) -> BoxesFound:
    """Match found white cells with labelled ones, the more confident first, one to one."""
    cells, hits = 0, []
    for field in tqdm(fields, desc=title):
        truth = field.of_kind("wbc")
        found = [d for d in analyzer.detector.detect(field.pixels) if d.kind == "wbc"]
        hits += hits_of(sorted(found, key=lambda d: -d.score), truth, least_iou)
        cells += len(truth)
    return BoxesFound(
        n=len(fields),
        cells=cells,
        least_iou=least_iou,
        recall=proportion(sum(hits), cells),
        precision=proportion(sum(hits), len(hits)),
    )


def _synthetic_row(
    analyzer: Analyzer, corruption: str, pairs: Sequence[tuple[SyntheticField, Pixels]]
) -> SyntheticRow:
    cells = met = boxes = right = 0
    errors = []
    for field, pixels in pairs:
        scale = pixels.shape[1] / field.pixels.shape[1]
        truth = [
            (scale * c.box.centre[0], scale * c.box.centre[1])
            for c in field.cells
            if c.kind == "wbc"
        ]
        detections = analyzer.detector.detect(pixels)
        found = [d.box for d in detections if d.kind == "wbc"]
        cells += len(truth)
        met += sum(any(box.contains(*centre) for box in found) for centre in truth)
        boxes += len(found)
        right += sum(any(box.contains(*centre) for centre in truth) for box in found)
        reds = sum(c.kind == "rbc" for c in field.cells)
        counted = sum(d.kind == "rbc" for d in detections)
        errors.append(abs(counted - reds) / max(reds, 1))
    return SyntheticRow(
        corruption=corruption,
        recall=proportion(met, cells),
        precision=proportion(right, boxes),
        rbc_count_error=float(np.median(errors)),
    )


def white_cells_found(analyzer: Analyzer, pixels: Pixels, cells: Sequence[Box]) -> list[bool]:
    """Return which of a field's white cells the app finds, at IoU .5 after the light correction."""
    found = xyxy_array(_white_cells(analyzer, flatten(pixels)))
    return [bool((iou(box, found) >= _LEAST_IOU).any()) for box in xyxy_array(cells)]


def uneven_light(
    analyzer: Analyzer, name: str, fields: Sequence[tuple[Pixels, Sequence[Box]]]
) -> list[UnevenLightFigures]:
    """Measure fields with the boxes of their white cells under each kind of uneven light."""

    def found(change: Callable[[Pixels], Pixels]) -> NDArray[np.bool_]:
        answers = [white_cells_found(analyzer, change(pixels), cells) for pixels, cells in fields]
        return np.concatenate(answers).astype(bool)

    unchanged = found(np.asarray)
    rows = []
    for corruption, change in tqdm(UNEVEN_LIGHT.items(), desc=f"uneven light, {name}"):
        changed = found(change)
        rows.append(
            UnevenLightFigures(
                set=name,
                corruption=corruption,
                cells=len(changed),
                found=proportion(int(changed.sum()), len(changed)),
                kept=proportion(int((changed & unchanged).sum()), int(unchanged.sum())),
            )
        )
    return rows


def synthetic_truth() -> list[tuple[Pixels, list[Box]]]:
    """Return the synthetic fields with the boxes of their white cells."""
    fields = (make_field(_SYNTHETIC_SEED + k) for k in range(SYNTHETIC_FIELDS))
    return [(f.pixels, [c.box for c in f.cells if c.kind == "wbc"]) for f in fields]


def measure_unseen(analyzer: Analyzer, settings: Settings) -> UnseenFigures:
    """Return the detector's figures on Kaggle, ALL, small-cell, crowded and synthetic fields."""
    data = open_set("taleqani", settings)
    fields = (data.read(e) for e in data.examples[::ALL_FIELDS_EVERY])
    _, validation = real_fields(settings)
    return UnseenFigures(
        kaggle_test_simple=fields_with_a_white_cell(analyzer, settings),
        taleqani=against_nuclei(analyzer, fields),
        small_cells=boxes_found(
            analyzer, small_cell_fields(settings, "val"), SMALL_CELL_IOU, "small cells"
        ),
        clumps=boxes_found(analyzer, crowded_holdout(settings, validation), CLUMP_IOU, "clumps"),
        synthetic=SyntheticFields(n=SYNTHETIC_FIELDS, rows=synthetic_fields(analyzer)),
    )
