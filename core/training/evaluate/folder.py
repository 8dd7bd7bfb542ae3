"""Measures a set of one's own: pictures in a folder for each label."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from core.datasets.readers import labelled_files
from core.domain.results import CropResult, FieldImage, StageResult
from core.errors import DataError, InputError
from core.evaluation.metrics import classification_metrics
from core.imaging.read import read_images
from core.settings import Settings


def measure_folder(
    path: Path,
    labels: Sequence[str],
    answer: Callable[[FieldImage], CropResult | StageResult],
    settings: Settings,
) -> dict[str, Any]:
    """Return the metrics over `path/<label>/*`; unreadable files are counted apart.

    Raises DataError when there are no pictures or none can be read.
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
        raise DataError("None of the files is a picture that can be read.")
    present = [key for key in labels if key in set(truth)]
    metrics = classification_metrics(truth, np.array(rows), present, all_labels=list(labels))
    return {path.name: metrics | {"unreadable": unreadable}}
