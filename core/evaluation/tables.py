"""Figures of the models as tables and text for pages."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from core.evaluation.report import ModelReport, label_name
from core.evaluation.sets import evaluation_set


def percent(estimate: Mapping[str, float | None], digits: int = 1) -> str:
    """Write a share with its 95 % limits, such as `97.9 % (97.3-98.3)`."""
    value, low, high = (estimate[part] for part in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return "no images"
    return f"{100 * value:.{digits}f} % ({100 * low:.{digits}f}-{100 * high:.{digits}f})"


def class_table(figures: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row a class: its name, images, and figures with 95 % limits as text."""
    rows = [
        {
            "Class": label_name(label),
            "Images": own["support"],
            "Precision": percent(own["precision"]),
            "Recall": percent(own["recall"]),
            "F1": percent(own["f1"]),
            "ROC AUC": own["roc_auc"],
            "Average precision": own["average_precision"],
        }
        for label, own in figures["per_class"].items()
    ]
    return pd.DataFrame(rows)


def kind_table(figures: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row a kind of cell: boxes and figures of the detector, limits as text."""
    rows = [
        {
            "Cell": label_name(kind),
            "True boxes": own["truths"],
            "Boxes found": own["predictions"],
            "Score threshold": own["threshold"],
            "Precision": percent(own["precision"]),
            "Recall": percent(own["recall"]),
            "mAP50": own["map50"],
            "mAP50-95": own["map50_95"],
        }
        for kind, own in figures["per_kind"].items()
    ]
    return pd.DataFrame(rows)


def sets_table(report: ModelReport) -> pd.DataFrame:
    """Return one row a set of a classifier, other laboratories first."""
    rows = []
    for key in report.sets:
        own = report.figures(key)
        rows.append(
            {
                "Set": evaluation_set(key).name,
                "Images": f"{own['n']:,}",
                "Accuracy": percent(own["accuracy"]),
                "Macro F1": percent(own["macro_f1"]),
                "ECE": f"{100 * own['ece']:.1f} %",
            }
        )
    return pd.DataFrame(rows)


def detector_sets_table(report: ModelReport) -> pd.DataFrame:
    """Return one row a set of the detector."""
    rows = []
    for key in report.sets:
        own = report.figures(key)
        error = own["rbc_count_error"]
        rows.append(
            {
                "Set": evaluation_set(key).name,
                "Images": f"{own['images']:,}",
                "mAP50": f"{own['map50']:.3f}",
                "mAP50-95": f"{own['map50_95']:.3f}",
                "WBC count exact": percent(own["wbc_count_exact"]),
                "RBC count error": "none" if error is None else f"{100 * error:.1f} %",
            }
        )
    return pd.DataFrame(rows)
