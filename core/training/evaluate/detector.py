"""Measures the detector: mean average precision, and the counts a user sees."""

import csv
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from operator import attrgetter
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from core.datasets.readers import Example, KindBox, open_set, yolo_boxes
from core.domain.results import Pixels
from core.domain.taxonomy import CELL_KINDS
from core.errors import DataError, InputError
from core.evaluation.detection import detection_metrics
from core.evaluation.schema import DetectionFigures, DetectorFigures
from core.imaging.read import read_images
from core.inference.detector import Detector
from core.inference.pipeline import Analyzer
from core.settings import Settings
from core.training.evaluate.data import describe_sets
from core.training.evaluate.unseen import measure_unseen

LOWEST_SCORE = 0.005
"""Average precision needs the weak candidates too."""
_DECIMALS = {"x": 2, "y": 2, "width": 2, "height": 2, "score": 4}
"""Of kept boxes: thresholds have three decimals, so scores need more."""
_SETS = {"bccd_test": "bccd", "txl_test": "txl", "txl_test_corrected": "txl"}
_CORRECTIONS = Path(__file__).with_name("txl_test_corrections.csv")

Truth = tuple[str, Pixels, tuple[KindBox, ...]]
"""File, image and its true boxes."""


def measure(
    name: str, images: Iterable[Truth], total: int, detector: Detector
) -> tuple[DetectionFigures, pd.DataFrame]:
    """Return the figures of one set and its true and predicted boxes (in pixels)."""
    truths, predictions = [], []
    sizes: dict[str, tuple[int, int]] = {}
    for file, pixels, boxes in tqdm(images, total=total, desc=name):
        sizes[file] = (pixels.shape[1], pixels.shape[0])
        truths += [(file, b.kind, b.x, b.y, b.width, b.height) for b in boxes]
        predictions += [
            (file, d.kind, *d.box.xywh, d.score)
            for d in detector.detect(pixels, lowest=LOWEST_SCORE)
        ]
    columns = ["file", "kind", "x", "y", "width", "height"]
    truth_frame = pd.DataFrame(truths, columns=columns)
    prediction_frame = pd.DataFrame(predictions, columns=[*columns, "score"])
    metrics = detection_metrics(
        truth_frame, prediction_frame, sizes, thresholds=detector.thresholds
    )
    joined = pd.concat(
        [truth_frame.assign(source="truth"), prediction_frame.assign(source="prediction")],
        ignore_index=True,
    ).assign(set=name)
    return metrics, joined[["set", "file", "source", *columns[1:], "score"]]


def standard(settings: Settings) -> tuple[DetectorFigures, pd.DataFrame]:
    """Measure the test splits of BCCD and TXL-PBC, with their labels as published.

    `txl_test_corrected` is TXL-PBC with the plain label errors of `txl_test_corrections.csv`
    corrected: cells labelled twice, white cells labelled red and the other way round.
    """
    analyzer = Analyzer(settings)
    metrics: dict[str, DetectionFigures] = {}
    frames = []
    for name, set_name in _SETS.items():
        data = open_set(set_name, settings)
        examples = data.of_split("test")
        boxes_of = corrected if name == "txl_test_corrected" else attrgetter("boxes")
        images = ((e.member, data.read(e), boxes_of(e)) for e in examples)
        metrics[name], frame = measure(name, images, len(examples), analyzer.detector)
        frames.append(frame.round(_DECIMALS))
    measured = DetectorFigures(
        sets=metrics,
        unseen=measure_unseen(analyzer, settings),
        data=describe_sets("detector", settings),
    )
    return measured, pd.concat(frames, ignore_index=True)


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


def folder(path: Path, settings: Settings) -> DetectorFigures:
    """Measure `path/images/*` against YOLO boxes in `path/labels/*.txt`.

    Images without a label file have no cells; unreadable images are left out. Raises DataError
    without images, or when labels cannot be read.
    """
    detector = Analyzer(settings).detector
    files = sorted(f for f in (path / "images").glob("*") if f.is_file())
    if not files:
        raise DataError("No images found: expected the folders images and labels.")

    def images() -> Iterable[Truth]:
        for file in files:
            try:
                # Labels are those of one image.
                image = read_images(file.read_bytes(), file.name, settings=settings)[0]
            except InputError:
                continue
            labels = path / "labels" / f"{file.stem}.txt"
            text = labels.read_text() if labels.exists() else ""
            try:
                boxes = yolo_boxes(text, image.width, image.height)
            except ValueError as error:
                raise DataError(
                    f"The labels in {labels.name} cannot be read. Each line needs a class (0 white "
                    "cell, 1 red cell, 2 platelet) and four numbers: centre x, y, width, height."
                ) from error
            yield file.name, image.pixels, boxes

    metrics, _ = measure(path.name, images(), len(files), detector)
    return DetectorFigures(model="detector", sets={path.name: metrics})
