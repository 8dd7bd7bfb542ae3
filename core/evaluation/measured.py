"""The measured accuracy of the shipped models in a few rows, from `models/*/metrics.json`."""

from typing import NamedTuple

from core.domain.intervals import Estimate
from core.evaluation.schema import ClassifierFigures, DetectorFigures
from core.settings import get_settings


class Figure(NamedTuple):
    """One measured proportion."""

    model: str
    what: str
    measure: str
    images: int
    share: Estimate
    """A fraction of 1 with 95 % limits (Wilson)."""


# Model, set and what it is: other laboratories first, the one the model was trained on last.
_ROWS = (
    ("wbc", "cellavision", "Cells of a laboratory never trained on (CellaVision blog), 5 types"),
    ("wbc", "kaggle_test_simple", "Cells found in fields of a second laboratory (Kaggle), 4 types"),
    ("wbc", "pbc_test", "Cells of the main training laboratory (PBC), 8 types"),
    ("detector", "bccd_test", "White cells counted in fields of BCCD"),
    (
        "detector",
        "txl_test_corrected",
        "White cells counted in TXL-PBC fields, labels corrected",
    ),
    ("all_stage", "taleqani_folds_stain_jitter", "ALL fields (Taleqani), stain changed at random"),
    ("all_stage", "taleqani_folds_closer", "ALL fields (Taleqani), magnified"),
    ("all_stage", "taleqani_folds", "ALL fields (Taleqani), grouped folds"),
)


def measured_figures() -> list[Figure]:
    """Return the figures that were measured; sets that were not are left out."""

    def written(model: str) -> str:
        path = get_settings().models / model / "metrics.json"
        return path.read_text() if path.is_file() else "{}"

    classified = {
        model: ClassifierFigures.model_validate_json(written(model)).sets
        for model in ("wbc", "all_stage")
    }
    detected = DetectorFigures.model_validate_json(written("detector")).sets
    figures = []
    for model, name, what in _ROWS:
        if model == "detector":
            if (own := detected.get(name)) and (exact := own.wbc_count_exact):
                figures.append(Figure(model, what, "Count exact", own.images, exact))
        elif scores := classified[model].get(name):
            figures.append(Figure(model, what, "Accuracy", scores.n, scores.accuracy))
    return figures
