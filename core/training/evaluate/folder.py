"""Measures a user's own set: a folder of images for each label."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from core.datasets.readers import labelled_files
from core.domain.results import CropResult, FieldImage, StageResult
from core.errors import DataError, InputError
from core.evaluation.metrics import classification_metrics
from core.evaluation.schema import ClassificationFigures
from core.imaging.read import read_images
from core.settings import Settings


def measure_folder(
    path: Path,
    labels: Sequence[str],
    answer: Callable[[FieldImage], CropResult | StageResult],
    settings: Settings,
) -> dict[str, ClassificationFigures]:
    """Return the metrics over `path/<label>/*`; unreadable files are counted apart.

    Raises DataError when there are no images or none can be read.
    """
    truth, rows, unreadable = [], [], 0
    for file, label in tqdm(labelled_files(path, labels), desc=path.name):
        try:
            images = read_images(file.read_bytes(), file.name, settings=settings)
        except InputError:
            unreadable += 1
            continue
        for image in images:
            probabilities = answer(image).probabilities
            truth.append(label)
            rows.append([probabilities.get(key, 0.0) for key in labels])
    if not rows:
        raise DataError("None of the files is an image that can be read.")
    present = [key for key in labels if key in set(truth)]
    metrics = classification_metrics(truth, np.array(rows), present, all_labels=list(labels))
    return {path.name: metrics.model_copy(update={"unreadable": unreadable})}
