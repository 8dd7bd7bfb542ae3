"""How often the model's calls were right on measured sets: the error that limits do not hold.

It stands beside the limits of a differential, which are sampling error only, and is not mixed in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd

from core.domain.decision import decide
from core.domain.intervals import Estimate
from core.errors import ModelError
from core.evaluation.metrics import proportion
from core.evaluation.report import ClassifierReport, load_report
from core.evaluation.schema import DetectorFigures
from core.evaluation.sets import evaluation_set
from core.settings import Settings

HOME_SET, OTHER_SET = "pbc_test", "cellavision"
"""The set with all types, of the source trained on; and one of another source."""


@dataclass(frozen=True, slots=True)
class CallAccuracy:
    """Shares of right calls on one set, in percent with Wilson limits.

    By type it is the positive predictive value, which depends on how frequent the types are in
    the set: of a rare type in a sample fewer calls are right.
    """

    name: str
    """Of the set."""
    calls: int
    """Cells of the set that were classified; the uncertain ones count nowhere."""
    overall: Estimate | None
    by_type: Mapping[str, Estimate]
    """For the types that were called at all."""


def accuracy_of(version: str, settings: Settings) -> tuple[CallAccuracy, ...]:
    """Return the accuracy of a version of the cell classifier at home and elsewhere.

    Empty when that version is not the installed one, or its figures are not there.
    """
    try:
        # The file is large: it is read once, and again only when `evaluate` wrote it anew.
        written = (settings.models / "wbc" / "predictions.csv.gz").stat().st_mtime_ns
        return _accuracy(version, settings.models, written)
    except (ModelError, OSError):
        return ()


@lru_cache(maxsize=4)
def _accuracy(version: str, models: Path, written: int) -> tuple[CallAccuracy, ...]:
    del written
    report = load_report("wbc", Settings(models=models))
    if report.card.version != version:
        return ()
    return tuple(call_accuracy(report, key) for key in (HOME_SET, OTHER_SET))


def smear_error(version: str | None, settings: Settings) -> str:
    """Say how far red cells and platelets are off where they were measured, in sentences.

    Empty when that version of the detector is not the installed one, or was not measured.
    """
    path = settings.models / "detector" / "metrics.json"
    try:
        figures = _detector_figures(path, path.stat().st_mtime_ns)
    except (OSError, ValueError):
        return ""
    return "" if figures.version != version else smear_text(figures)


@lru_cache(maxsize=4)
def _detector_figures(path: Path, written: int) -> DetectorFigures:
    del written
    return DetectorFigures.model_validate_json(path.read_text())


def smear_text(figures: DetectorFigures) -> str:
    """Say what was measured of red cells and platelets; empty without it."""
    return " ".join(
        f"On {own.images} labelled images ({evaluation_set(own.set).name}): size variation of "
        f"{own.group} images {own.variation_labelled:.1f} % as labelled, measured "
        f"{own.variation_bias:+.1f} points off on average and within {own.variation_error:.1f} "
        "points in 95 % of such samples; median "
        f"diameter of an image within {own.diameter_error:.1f} %; {own.platelets_found} platelets "
        f"found where {own.platelets} are labelled, the exact number in "
        f"{100 * own.platelets_exact.value:.0f} % of the images."
        for own in figures.smear
        if own.platelets_exact is not None
    )


def accuracy_text(accuracy: Sequence[CallAccuracy]) -> str:
    """Say in part of a sentence how many calls were right on each set, with limits."""
    parts = [
        f"{measured.overall.text(' %')} of {measured.calls:,} calls right on {measured.name}"
        for measured in accuracy
        if measured.overall is not None
    ]
    return "; ".join(parts) or "it was not measured for these models"


def call_accuracy(report: ClassifierReport, key: str) -> CallAccuracy:
    """Measure the calls on a set as they count in a differential: those above the threshold.

    Raises ModelError when the set has no predictions.
    """
    labels = report.card.labels
    scored = report.scored(key, labels)
    columns = [f"p_{label}" for label in labels]
    counted = [
        decide(dict(zip(labels, row, strict=True)), report.decision) == "classified"
        for row in scored[columns].to_numpy()
    ]
    calls = scored[counted]
    by_type = {
        str(label): estimate
        for label, rows in calls.groupby("prediction")
        if (estimate := _right(rows)) is not None
    }
    return CallAccuracy(
        name=evaluation_set(key).name,
        calls=len(calls),
        overall=_right(calls),
        by_type={label: by_type[label] for label in labels if label in by_type},
    )


def _right(rows: pd.DataFrame) -> Estimate | None:
    right = proportion(float(rows["correct"].sum()), len(rows))
    return right and Estimate(100 * right.value, 100 * right.low, 100 * right.high)
