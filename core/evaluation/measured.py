"""The measured accuracy of the shipped models in a few rows, from `models/*/metrics.json`."""

import json
from typing import Any, NamedTuple

from core.settings import Settings, get_settings


class Figure(NamedTuple):
    """One measured share of 1 with its 95 % limits (Wilson)."""

    model: str
    what: str
    measure: str
    images: int
    value: float
    low: float
    high: float


# Model, set and what it is: other laboratories first, the one the model was trained on last.
_ROWS = (
    ("wbc", "cellavision", "Cells of a laboratory never trained on (CellaVision blog), 5 types"),
    ("wbc", "kaggle_test_simple", "Cells found in fields of a second laboratory (Kaggle), 4 types"),
    ("wbc", "pbc_test", "Cells of the main training laboratory (PBC), 8 types"),
    ("detector", "bccd_test", "White cells counted in fields of BCCD"),
    ("detector", "txl_test_corrected", "White cells counted in fields of TXL-PBC, labels mended"),
    ("all_stage", "taleqani_folds_stain_jitter", "ALL fields (Taleqani), stain changed at random"),
    ("all_stage", "taleqani_folds_closer", "ALL fields (Taleqani), magnified"),
    ("all_stage", "taleqani_folds", "ALL fields (Taleqani), grouped folds"),
)


def measured_figures(settings: Settings | None = None) -> list[Figure]:
    """Return the figures that were measured; sets that were not are left out."""
    folder = (settings or get_settings()).models
    metrics: dict[str, dict[str, Any]] = {}
    for name in {model for model, _, _ in _ROWS}:
        path = folder / name / "metrics.json"
        metrics[name] = json.loads(path.read_text())["sets"] if path.is_file() else {}
    return [
        _figure(model, what, metrics[model][name])
        for model, name, what in _ROWS
        if name in metrics[model]
    ]


def _figure(model: str, what: str, figures: dict[str, Any]) -> Figure:
    if model == "detector":
        measure, images, share = "Count exact", figures["images"], figures["wbc_count_exact"]
    else:
        measure, images, share = "Accuracy", figures["n"], figures["accuracy"]
    return Figure(model, what, measure, images, share["value"], share["low"], share["high"])
