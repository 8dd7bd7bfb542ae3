"""Measures the detector: mean average precision, and the counts a user sees."""

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from operator import attrgetter
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from core.adaptation.own_set import measure_detector
from core.datasets.readers import Example, KindBox, open_set
from core.domain.boxes import Box
from core.domain.results import FieldImage, ImageProperties
from core.domain.taxonomy import CELL_KINDS
from core.evaluation.metrics import proportion
from core.evaluation.schema import (
    DetectionFigures,
    DetectorFigures,
    RedCellFigures,
    UnevenLightFigures,
)
from core.imaging.red_cells import (
    CELLS_OF_A_FIELD,
    measured_diameters,
    spread,
    whole_diameters,
)
from core.inference.pipeline import Analyzer
from core.settings import Settings
from core.training.evaluate.data import describe_sets
from core.training.evaluate.unseen import measure_unseen, synthetic_truth, uneven_light

_DECIMALS = {"x": 2, "y": 2, "width": 2, "height": 2, "score": 4}
"""Of kept boxes: thresholds have three decimals, so scores need more."""
_SETS = {"bccd_test": "bccd", "txl_test": "txl", "txl_test_corrected": "txl"}
_GROUP, _GROUPS = 10, 1000
_CORRECTIONS = Path(__file__).with_name("txl_test_corrections.csv")


def standard(settings: Settings) -> tuple[DetectorFigures, pd.DataFrame]:
    """Measure the test splits of BCCD and TXL-PBC, with their labels as published.

    `txl_test_corrected` is TXL-PBC with the plain label errors of `txl_test_corrections.csv`
    corrected: cells labelled twice, white cells labelled red and the other way round.
    """
    analyzer = Analyzer(settings)
    metrics: dict[str, DetectionFigures] = {}
    frames: list[pd.DataFrame] = []
    light: list[UnevenLightFigures] = []
    for name, set_name in _SETS.items():
        data = open_set(set_name, settings)
        examples = data.of_split("test")
        boxes_of = corrected if name == "txl_test_corrected" else attrgetter("boxes")
        images = ((e.member, data.read(e), boxes_of(e)) for e in tqdm(examples, desc=name))
        metrics[name], frame = measure_detector(name, images, analyzer.detector)
        frames.append(frame.round(_DECIMALS))
        if name != "txl_test":
            fields = [(data.read(e), _white_boxes(boxes_of(e))) for e in examples]
            light += uneven_light(analyzer, name, fields)
    light += uneven_light(analyzer, "Synthetic fields", synthetic_truth())
    measured = DetectorFigures(
        sets=metrics,
        unseen=measure_unseen(analyzer, settings),
        uneven_light=light,
        data=describe_sets("detector", settings),
    )
    return measured, pd.concat(frames, ignore_index=True)


def smear(settings: Settings) -> tuple[DetectorFigures, None]:
    """Measure diameters, size variation and platelets on the corrected TXL-PBC test split.

    BCCD's labels leave out too many red cells to be a measure. An image is normalised by its median
    as a field is; groups of ten images stand for samples.
    """
    analyzer, rng = Analyzer(settings), np.random.default_rng(0)
    data = open_set("txl", settings)
    pairs, medians, platelets = [], [], []
    for example in tqdm(data.of_split("test"), desc="smear"):
        pixels = data.read(example)
        height, width = pixels.shape[:2]
        labelled = corrected(example)
        found = analyzer.analyze(
            FieldImage(
                example.member,
                pixels,
                hashlib.sha256(pixels.tobytes()).hexdigest(),
                ImageProperties("WEBP", "RGB", 8, pixels.nbytes),
            )
        )
        if found.reject_reason is not None:
            continue
        truth = sum(box.kind == "platelet" for box in labelled)
        platelets.append((found.counts.kinds["platelet"], truth))
        sizes = (
            measured_diameters(found),
            whole_diameters([box for box in labelled if box.kind == "rbc"], (width, height)),
        )
        if min(map(len, sizes)) >= CELLS_OF_A_FIELD:
            medians.append([np.median(side) for side in sizes])
            pairs.append([side / np.median(side) for side in sizes])
    groups = [rng.choice(len(pairs), _GROUP, replace=False) for _ in range(_GROUPS)]
    variations = np.array(
        [
            [spread(np.concatenate([pairs[i][side] for i in group])) for side in (0, 1)]
            for group in groups
        ]
    )
    errors = variations[:, 0] - variations[:, 1]
    measured, truths = np.array(medians).T
    relative = 100 * (measured / truths - 1)
    counts = np.array(platelets)
    figures = RedCellFigures(
        set="txl_test_corrected",
        images=len(counts),
        red_cells=sum(len(labelled) for _, labelled in pairs),
        group=_GROUP,
        variation_labelled=float(variations[:, 1].mean()),
        variation_bias=float(errors.mean()),
        variation_error=float(np.percentile(np.abs(errors), 95)),
        diameter_bias=float(relative.mean()),
        diameter_error=float(np.percentile(np.abs(relative), 95)),
        platelets=int(counts[:, 1].sum()),
        platelets_found=int(counts[:, 0].sum()),
        platelets_exact=proportion(int((counts[:, 0] == counts[:, 1]).sum()), len(counts)),
    )
    return DetectorFigures(smear=[figures]), None


def _white_boxes(boxes: Sequence[KindBox]) -> list[Box]:
    return [Box(b.x, b.y, b.width, b.height) for b in boxes if b.kind == "wbc"]


@cache
def _corrections() -> dict[tuple[str, int], str]:
    with _CORRECTIONS.open(newline="") as stream:
        return {(row["file"], int(row["box"])): row["kind"] for row in csv.DictReader(stream)}


def corrected(example: Example) -> tuple[KindBox, ...]:
    """Return an example's boxes with the known label errors of the TXL-PBC test split corrected."""
    boxes = []
    for number, box in enumerate(example.boxes):
        kind = _corrections().get((example.member, number), box.kind)
        if kind in CELL_KINDS:
            boxes.append(replace(box, kind=kind))
    return tuple(boxes)
