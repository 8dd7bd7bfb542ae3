"""Measures the detector: mean average precision, and the counts a user sees."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from operator import attrgetter
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from core.adaptation.own_set import measure_detector
from core.datasets.readers import Example, KindBox, open_set
from core.domain.boxes import Box
from core.domain.taxonomy import CELL_KINDS
from core.evaluation.schema import DetectionFigures, DetectorFigures, UnevenLightFigures
from core.inference.pipeline import Analyzer
from core.settings import Settings
from core.training.evaluate.data import describe_sets
from core.training.evaluate.unseen import measure_unseen, synthetic_truth, uneven_light

_DECIMALS = {"x": 2, "y": 2, "width": 2, "height": 2, "score": 4}
"""Of kept boxes: thresholds have three decimals, so scores need more."""
_SETS = {"bccd_test": "bccd", "txl_test": "txl", "txl_test_corrected": "txl"}
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
