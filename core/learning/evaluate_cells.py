"""Measures the single-cell classifier, on crops and on fields through the detector."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, f1_score
from tqdm import tqdm

from core.errors import DataError, InputError
from core.imaging.read import read_image
from core.inference.analyzer import Analyzer, subject_of_crop, subject_of_field
from core.inference.classifier import Subject
from core.learning.datasets import DataSet, Example, open_set
from core.learning.evaluate_data import describe_sets
from core.learning.evaluate_sites import measure_adaptation
from core.learning.metrics import classification_metrics, proportion
from core.learning.shifts import SHIFTS
from core.results import CropResult, FieldImage, Pixels, StageResult
from core.settings import Settings
from core.taxonomy import ATTRIBUTES, CELL_TYPES, KAGGLE_FOUR, MATURE_FIVE

Chooser = Callable[[Pixels], Subject | None]

_SETS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "cellavision": ("cellavision", "test", MATURE_FIVE),
    "kaggle_test_simple": ("kaggle", "test_simple", KAGGLE_FOUR),
    "kaggle_test": ("kaggle", "test", KAGGLE_FOUR),
    "pbc_test": ("pbc", "test", tuple(CELL_TYPES)),
    "wbcatt_test": ("pbc", "test", MATURE_FIVE),
}


SHIFTED_EVERY = 12
"""Of the PBC test cells every twelfth is measured under every shift."""


def _probabilities(analyzer: Analyzer, pixels: Pixels, choose: Chooser) -> list[float]:
    subject = choose(pixels)
    if subject is None:
        # No white cell found: no type has any probability, which counts as an error.
        return [0.0] * len(CELL_TYPES)
    values = analyzer.classifier.answer(pixels, subject).probabilities
    return [values[key] for key in CELL_TYPES]


def _predict(
    analyzer: Analyzer, data: DataSet, examples: Sequence[Example], choose: Chooser, name: str
) -> pd.DataFrame:
    def one(example: Example) -> list[float]:
        return _probabilities(analyzer, data.read(example), choose)

    with ThreadPoolExecutor(2) as pool:
        rows = list(tqdm(pool.map(one, examples), total=len(examples), desc=name))
    frame = pd.DataFrame(rows, columns=[f"p_{key}" for key in CELL_TYPES])
    frame.insert(0, "truth", [e.label for e in examples])
    frame.insert(0, "file", [e.member for e in examples])
    frame.insert(0, "set", name)
    return frame


def _scores(frame: pd.DataFrame, labels: Sequence[str]) -> dict[str, Any]:
    columns = [f"p_{key}" for key in CELL_TYPES]
    return classification_metrics(
        frame["truth"].tolist(),
        frame[columns].to_numpy(float),
        list(labels),
        all_labels=list(CELL_TYPES),
    )


def standard(settings: Settings) -> tuple[dict[str, Any], pd.DataFrame]:
    """Measure the standard sets. Returns the metrics by set and all predictions."""
    analyzer = Analyzer(settings)
    detector = analyzer.detector
    frames: dict[str, pd.DataFrame] = {}
    for name, (set_name, split, labels) in _SETS.items():
        if name == "wbcatt_test":
            # WBCAtt's test split is the mature part of PBC's: the same predictions.
            mature = frames["pbc_test"]["truth"].isin(labels)
            frames[name] = frames["pbc_test"][mature].assign(set=name)
            continue
        data = open_set(set_name, settings)

        def choose(pixels: Pixels, *, is_field: bool = set_name == "kaggle") -> Subject | None:
            if is_field:
                return subject_of_field(pixels, detector)
            return subject_of_crop(pixels, detector)

        frames[name] = _predict(analyzer, data, data.of_split(split), choose, name)
    metrics = {name: _scores(frames[name], _SETS[name][2]) for name in _SETS}
    measured = {
        "sets": metrics,
        "shifts": shifted(analyzer, settings),
        "adaptation": measure_adaptation(analyzer, settings),
        "data": describe_sets("wbc", settings),
    }
    return measured, pd.concat(frames.values(), ignore_index=True)


def shifted(analyzer: Analyzer, settings: Settings) -> dict[str, Any]:
    """Measure every twelfth PBC test cell as it is and under each synthetic shift."""
    data = open_set("pbc", settings)
    examples = data.of_split("test")[::SHIFTED_EVERY]
    truth = [str(e.label) for e in examples]

    def right(change: Callable[[Pixels], Pixels], name: str) -> int:
        def one(example: Example) -> str:
            pixels = change(data.read(example))
            return analyzer.classifier.answer(
                pixels, subject_of_crop(pixels, analyzer.detector)
            ).type

        with ThreadPoolExecutor(2) as pool:
            said = list(tqdm(pool.map(one, examples), total=len(examples), desc=name))
        return sum(a == b for a, b in zip(truth, said, strict=True))

    total = len(examples)
    plain = right(np.asarray, "unchanged")
    rows = [
        {"shift": name, "accuracy": proportion(hits, total), "drop": (plain - hits) / total}
        for name, change in SHIFTS.items()
        for hits in (right(change, name),)
    ]
    return {"set": "pbc_test", "n": total, "unchanged": proportion(plain, total), "rows": rows}


def attributes(settings: Settings) -> tuple[dict[str, Any], None]:
    """Measure the eleven attributes on WBCAtt's test split: accuracy and macro-F1 of each."""
    analyzer = Analyzer(settings)
    data = open_set("pbc", settings)
    examples = [e for e in data.of_split("test") if e.attributes]

    def one(example: Example) -> Mapping[str, str]:
        pixels = data.read(example)
        subject = subject_of_crop(pixels, analyzer.detector)
        return analyzer.classifier.answer(pixels, subject).attributes

    with ThreadPoolExecutor(2) as pool:
        answers = list(tqdm(pool.map(one, examples), total=len(examples), desc="attributes"))
    scores = {}
    for name in ATTRIBUTES:
        truth = [e.attributes[name] for e in examples]
        said = [answer[name] for answer in answers]
        scores[name] = {
            "accuracy": float(accuracy_score(truth, said)),
            "macro_f1": float(f1_score(truth, said, average="macro")),
        }
    mean = {
        key: float(np.mean([s[key] for s in scores.values()])) for key in ("accuracy", "macro_f1")
    }
    return {"attributes": {"n": len(examples), "mean": mean, "per_attribute": scores}}, None


def folder_files(folder: Path, labels: Iterable[str]) -> list[tuple[Path, str]]:
    """Return the files in `folder/<label>/` with their label. Raises DataError without any."""
    found = [
        (path, label)
        for label in labels
        for path in sorted((folder / label).glob("*"))
        if path.is_file()
    ]
    if not found:
        raise DataError(f"No pictures found: expected folders named {', '.join(labels)}.")
    return found


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
    for file, label in tqdm(folder_files(path, labels), desc=path.name):
        try:
            image = read_image(file.read_bytes(), file.name, settings=settings)
        except InputError:
            unreadable += 1
            continue
        probabilities = answer(image).probabilities
        truth.append(label)
        rows.append([probabilities.get(key, 0.0) for key in labels])
    if not rows:
        raise DataError("None of the files is a picture that can be read.")
    present = [key for key in labels if key in set(truth)]
    metrics = classification_metrics(truth, np.array(rows), present, all_labels=list(labels))
    return {path.name: metrics | {"unreadable": unreadable}}


def folder(path: Path, settings: Settings) -> dict[str, Any]:
    """Measure single-cell pictures in `path/<type>/*`."""
    answer = Analyzer(settings).classify
    return {"model": "wbc", "sets": measure_folder(path, tuple(CELL_TYPES), answer, settings)}
