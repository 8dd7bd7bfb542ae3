"""Figures of the models as tables and text for pages."""

import pandas as pd

from core.domain.intervals import Estimate
from core.domain.taxonomy import label_name
from core.evaluation.report import ClassifierReport, DetectorReport
from core.evaluation.schema import ClassificationFigures, DetectionFigures
from core.evaluation.sets import evaluation_set


def percent(share: Estimate | None, digits: int = 1) -> str:
    """Write a proportion with its 95 % limits, such as `97.9 % (97.3-98.3)`."""
    if share is None:
        return "no images"
    value, low, high = (f"{100 * part:.{digits}f}" for part in (share.value, share.low, share.high))
    return f"{value} % ({low}-{high})"


def percent_or_none(value: float | None) -> str:
    """Write a fraction of 1 in percent, `none` where it does not exist."""
    return "none" if value is None else f"{100 * value:.1f} %"


def three_digits(value: float | None) -> str:
    """Write a figure with three digits, `none` where it does not exist."""
    return "none" if value is None else f"{value:.3f}"


def class_table(figures: ClassificationFigures) -> pd.DataFrame:
    """Return one row a class: its name, images, and figures with 95 % limits as text."""
    rows = [
        {
            "Class": label_name(label),
            "Images": own.support,
            "Precision": percent(own.precision),
            "Recall": percent(own.recall),
            "F1": percent(own.f1),
            "ROC AUC": own.roc_auc,
            "Average precision": own.average_precision,
        }
        for label, own in figures.per_class.items()
    ]
    return pd.DataFrame(rows)


def kind_table(figures: DetectionFigures) -> pd.DataFrame:
    """Return one row a kind of cell: boxes and figures of the detector, limits as text."""
    rows = [
        {
            "Cell": label_name(kind),
            "True boxes": own.truths,
            "Boxes found": own.predictions,
            "Score threshold": own.threshold,
            "Precision": percent(own.precision),
            "Recall": percent(own.recall),
            "mAP50": own.map50,
            "mAP50-95": own.map50_95,
        }
        for kind, own in figures.per_kind.items()
    ]
    return pd.DataFrame(rows)


def sets_table(report: ClassifierReport) -> pd.DataFrame:
    """Return one row a set of a classifier, other laboratories first."""
    rows = []
    for key in report.sets:
        own = report.metrics.sets[key]
        rows.append(
            {
                "Set": evaluation_set(key).name,
                "Images": f"{own.n:,}",
                "Accuracy": percent(own.accuracy),
                "Macro F1": percent(own.macro_f1),
                "ECE": f"{100 * own.ece:.1f} %",
            }
        )
    return pd.DataFrame(rows)


def detector_sets_table(report: DetectorReport) -> pd.DataFrame:
    """Return one row a set of the detector."""
    rows = []
    for key in report.sets:
        own = report.metrics.sets[key]
        rows.append(
            {
                "Set": evaluation_set(key).name,
                "Images": f"{own.images:,}",
                "mAP50": three_digits(own.map50),
                "mAP50-95": three_digits(own.map50_95),
                "WBC count exact": percent(own.wbc_count_exact),
                "RBC count error": percent_or_none(own.rbc_count_error),
            }
        )
    return pd.DataFrame(rows)
