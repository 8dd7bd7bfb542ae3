"""Measures a model on a user's own labelled images, with the figures of the standard sets.

The page Model metrics and `python -m core evaluate MODEL --data DIR` both call `measure_own_set`.
Images of a classifier lie in folders named after their type or stage (`neutrophil/1.png`), fields
for the detector in `images/` with YOLO boxes in `labels/` (0 white cell, 1 red cell, 2 platelet).
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from core.datasets.readers import KindBox, yolo_boxes
from core.domain.results import Pixels
from core.domain.taxonomy import CELL_TYPES, LEUKOCYTES, STAGES
from core.errors import DataError, InputError
from core.evaluation.blasts import blast_figures
from core.evaluation.detection import detection_metrics
from core.evaluation.metrics import classification_metrics, prediction_frame
from core.evaluation.report import ClassifierReport, DetectorReport
from core.evaluation.schema import ClassifierFigures, DetectionFigures, DetectorFigures
from core.imaging.read import read_images
from core.inference.detector import Detector
from core.inference.pipeline import Analyzer
from core.model_card import ModelName, load_card

File = tuple[PurePosixPath, Callable[[], bytes]]
"""Path inside the folder and how to read it."""
Track = Callable[[Sequence[Any]], Iterable[Any]]
"""Passes a sequence on and shows how far it was read."""
Truth = tuple[str, Pixels, tuple[KindBox, ...]]
"""File, image and its true boxes."""

LOWEST_SCORE = 0.005
"""Average precision needs the weak candidates too."""


def measure_own_set(
    name: ModelName,
    title: str,
    files: Iterable[File],
    analyzer: Analyzer,
    track: Track = tqdm,
) -> ClassifierReport | DetectorReport:
    """Return figures and predictions on one set, called `title`.

    Unreadable files are left out, of a classifier counted. Raises DataError without images, or when
    labels cannot be read.
    """
    shown = [(path, read) for path, read in files if not path.name.startswith(".")]
    if name == "detector":
        return _detected(title, shown, analyzer, track)
    return _classified(name, title, shown, analyzer, track)


def _classified(
    name: ModelName,
    title: str,
    files: Sequence[File],
    analyzer: Analyzer,
    track: Track,
) -> ClassifierReport:
    labels = tuple(CELL_TYPES if name == "wbc" else STAGES)
    answer = analyzer.classify if name == "wbc" else analyzer.stage
    labelled = [(path, read) for path, read in files if path.parent.name in labels]
    if not labelled:
        raise DataError(f"No images found: expected folders named {', '.join(labels)}.")
    answers, truth, names, unreadable = [], [], [], 0
    for path, read in track(labelled):
        try:
            images = read_images(read(), path.name)
        except InputError:
            unreadable += 1
            continue
        answers += [answer(image) for image in images]
        truth += [path.parent.name] * len(images)
        names += [str(path)] * len(images)
    if not answers:
        raise DataError("None of the files is an image that can be read.")
    rows = np.array([[own.probabilities.get(key, 0.0) for key in labels] for own in answers])
    present = [key for key in labels if key in set(truth)]
    figures = classification_metrics(truth, rows, present, all_labels=labels)
    blasts = {}
    if "blast" in present and set(present) & set(LEUKOCYTES) > {"blast"}:
        # The set names no patients: there are no shares to compare.
        best = [labels[k] for k in rows.argmax(1)]
        statuses = [own.status for own in answers]
        column = rows[:, labels.index("blast")]
        blasts[title] = blast_figures(truth, best, statuses, column, names)
    card = load_card(name)
    measured = ClassifierFigures(
        model=name,
        version=card.version,
        sets={title: figures.model_copy(update={"unreadable": unreadable})},
        blasts=blasts,
    )
    predictions = prediction_frame(title, names, truth, rows, labels)
    return ClassifierReport(card, measured, predictions, pd.DataFrame())


def _detected(
    title: str, files: Sequence[File], analyzer: Analyzer, track: Track
) -> DetectorReport:
    fields = [(path, read) for path, read in files if path.parent.name == "images"]
    labels = {path.stem: read for path, read in files if path.parent.name == "labels"}
    if not fields:
        raise DataError("No images found: expected the folders images and labels.")

    def images() -> Iterable[Truth]:
        for path, read in track(fields):
            try:
                # Labels are those of one image.
                image = read_images(read(), path.name)[0]
            except InputError:
                continue
            try:
                text = labels[path.stem]().decode() if path.stem in labels else ""
                boxes = yolo_boxes(text, image.width, image.height)
            except ValueError as error:
                raise DataError(
                    f"The labels in {path.stem}.txt cannot be read. Each line needs a class "
                    "(0 white cell, 1 red cell, 2 platelet) and four numbers: centre x, y, width, "
                    "height."
                ) from error
            yield path.name, image.pixels, boxes

    figures, predictions = measure_detector(title, images(), analyzer.detector)
    card = load_card("detector")
    measured = DetectorFigures(model="detector", version=card.version, sets={title: figures})
    return DetectorReport(card, measured, predictions, pd.DataFrame())


def measure_detector(
    name: str, images: Iterable[Truth], detector: Detector
) -> tuple[DetectionFigures, pd.DataFrame]:
    """Return the figures of one set and its true and predicted boxes (in pixels).

    Raises DataError without images.
    """
    truths, predictions = [], []
    sizes: dict[str, tuple[int, int]] = {}
    for file, pixels, boxes in images:
        sizes[file] = (pixels.shape[1], pixels.shape[0])
        truths += [(file, b.kind, b.x, b.y, b.width, b.height) for b in boxes]
        predictions += [
            (file, d.kind, *d.box.xywh, d.score)
            for d in detector.detect(pixels, lowest=LOWEST_SCORE)
        ]
    if not sizes:
        raise DataError("None of the files is an image that can be read.")
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
