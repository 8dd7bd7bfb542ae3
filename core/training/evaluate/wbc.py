"""Measures the single-cell classifier, on crops and on fields through the detector."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, f1_score
from tqdm.contrib.concurrent import thread_map

from core.datasets.readers import DataSet, Example, open_set
from core.domain.results import Pixels
from core.domain.taxonomy import ATTRIBUTES, CELL_TYPES, KAGGLE_FOUR, MATURE_FIVE
from core.evaluation.metrics import classification_metrics, prediction_frame, proportion
from core.inference.cell_classifier import CellAnswer, Subject
from core.inference.pipeline import Analyzer, subject_of_crop, subject_of_field
from core.settings import Settings
from core.training.evaluate.corruptions import Said, measure_shifts
from core.training.evaluate.data import describe_sets
from core.training.evaluate.folder import measure_folder
from core.training.evaluate.site_profiles import measure_adaptation

Chooser = Callable[[Pixels], Subject | None]

# Set, split and the types it is scored over.
_SETS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "cellavision": ("cellavision", "test", MATURE_FIVE),
    "kaggle_test_simple": ("kaggle", "test_simple", KAGGLE_FOUR),
    "kaggle_test": ("kaggle", "test", KAGGLE_FOUR),
    "pbc_test": ("pbc", "test", tuple(CELL_TYPES)),
}
SHIFTED_EVERY = 12
"""Of the PBC test cells every twelfth is measured under every shift."""


def _predict(
    analyzer: Analyzer, data: DataSet, examples: Sequence[Example], choose: Chooser, name: str
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the predictions, and the share of the cells whose look is unfamiliar."""

    def one(example: Example) -> CellAnswer | None:
        pixels = data.read(example)
        subject = choose(pixels)
        return None if subject is None else analyzer.classifier.answer(pixels, subject)

    answers = thread_map(one, examples, max_workers=2, desc=name)
    # No white cell found: no type has any probability, which counts as an error.
    nothing = dict.fromkeys(CELL_TYPES, 0.0)
    values = [nothing if answer is None else answer.probabilities for answer in answers]
    frame = prediction_frame(
        name,
        [e.member for e in examples],
        [str(e.label) for e in examples],
        np.array([[own[key] for key in CELL_TYPES] for own in values]),
        tuple(CELL_TYPES),
    )
    familiar = [answer.in_distribution for answer in answers if answer is not None]
    return frame, proportion(familiar.count(False), len(familiar))


def _scores(frame: pd.DataFrame, labels: Sequence[str]) -> dict[str, Any]:
    columns = [f"p_{key}" for key in CELL_TYPES]
    return classification_metrics(
        frame["truth"].tolist(),
        frame[columns].to_numpy(float),
        labels,
        all_labels=list(CELL_TYPES),
    )


def standard(settings: Settings) -> tuple[dict[str, Any], pd.DataFrame]:
    """Measure the standard sets. Returns the metrics by set and all predictions."""
    analyzer = Analyzer(settings)
    frames: dict[str, pd.DataFrame] = {}
    scores: dict[str, Any] = {}
    unfamiliar: dict[str, Any] = {}
    for name, (set_name, split, labels) in _SETS.items():
        data = open_set(set_name, settings)
        find = subject_of_field if set_name == "kaggle" else subject_of_crop
        choose = partial(find, detector=analyzer.detector)
        frames[name], unfamiliar[name] = _predict(
            analyzer, data, data.of_split(split), choose, name
        )
        scores[name] = _scores(frames[name], labels)
    # WBCAtt's test split is the mature part of PBC's: the same predictions.
    mature = frames["pbc_test"]["truth"].isin(MATURE_FIVE)
    frames["wbcatt_test"] = frames["pbc_test"][mature].assign(set="wbcatt_test")
    scores["wbcatt_test"] = _scores(frames["wbcatt_test"], MATURE_FIVE)
    measured = {
        "sets": scores,
        "unfamiliar": unfamiliar,
        "shifts": shifted(analyzer, settings),
        "adaptation": measure_adaptation(analyzer, settings),
        "data": describe_sets("wbc", settings),
    }
    return measured, pd.concat(frames.values(), ignore_index=True)


def shifted(analyzer: Analyzer, settings: Settings) -> dict[str, Any]:
    """Measure every twelfth PBC test cell as it is and under each synthetic shift."""
    data = open_set("pbc", settings)
    examples = data.of_split("test")[::SHIFTED_EVERY]

    def answer(pixels: Pixels, _number: int) -> Said:
        subject = subject_of_crop(pixels, analyzer.detector)
        said = analyzer.classifier.answer(pixels, subject)
        return Said(said.type, said.status == "classified", said.in_distribution)

    truth = [str(example.label) for example in examples]
    return measure_shifts("pbc_test", truth, lambda k: data.read(examples[k]), answer)


def attributes(settings: Settings) -> tuple[dict[str, Any], None]:
    """Measure the eleven attributes on WBCAtt's test split: accuracy and macro-F1 of each."""
    analyzer = Analyzer(settings)
    data = open_set("pbc", settings)
    examples = [e for e in data.of_split("test") if e.attributes]

    def one(example: Example) -> Mapping[str, str]:
        pixels = data.read(example)
        subject = subject_of_crop(pixels, analyzer.detector)
        return analyzer.classifier.answer(pixels, subject).attributes

    answers = thread_map(one, examples, max_workers=2, desc="attributes")
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


def folder(path: Path, settings: Settings) -> dict[str, Any]:
    """Measure single-cell pictures in `path/<type>/*`."""
    answer = Analyzer(settings).classify
    return {"model": "wbc", "sets": measure_folder(path, tuple(CELL_TYPES), answer, settings)}
