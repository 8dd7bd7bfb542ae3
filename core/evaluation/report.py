"""What is known of each shipped model: its card, figures, predictions and training history.

Everything is read from `models/<name>/`, where `python -m core evaluate` and training wrote it;
no model is loaded and nothing is measured here.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
import pandas as pd

from core.domain.decision import DecisionThresholds, decide
from core.domain.taxonomy import UNANSWERED, label_name
from core.errors import ModelError
from core.evaluation.detection import above, count_pairs, detection_curves
from core.evaluation.metrics import score_predictions
from core.evaluation.schema import ClassifierFigures, DetectorFigures
from core.evaluation.sets import EVALUATION_SETS, evaluation_set
from core.model_card import ClassifierThresholds, ModelCard, ModelName, load_card
from core.settings import Settings, get_settings

MODEL_TITLES: dict[ModelName, str] = {
    "wbc": "White cell types",
    "all_stage": "ALL stage",
    "detector": "Detector",
}
UNCERTAIN = "uncertain"
"""In place of the type of a cell that a reviewer has to name."""
PATIENTS_FILE = "patients.csv.gz"
"""Beside a model: what networks say of patients that they did not see, joined over folds."""
PATIENTS_SET = "deepapl"
"""Key of the set of these predictions."""
RUNS = "runs"
"""Folder beside a model with the predictions of earlier versions and other trainings."""
_BOX_COLUMNS = ["file", "kind", "x", "y", "width", "height"]


def label_phrase(label: str) -> str:
    """Name a label inside a sentence: `early pre-B ALL`, `monocyte`."""
    name = label_name(label)
    return name[:1].lower() + name[1:]


@dataclass(frozen=True, slots=True, eq=False)
class ModelReport:
    """All that was written about one model."""

    card: ModelCard
    metrics: ClassifierFigures | DetectorFigures
    predictions: pd.DataFrame
    history: pd.DataFrame
    """One row an epoch: epoch, phase, loss, val_loss, ..., learning_rate, seconds."""

    @property
    def decision(self) -> DecisionThresholds:
        """What makes a prediction of this classifier count."""
        assert isinstance(self.card.thresholds, ClassifierThresholds)
        return self.card.thresholds.decision

    @property
    def sets(self) -> tuple[str, ...]:
        """Keys of the measured sets, other sources first."""
        order = list(EVALUATION_SETS)
        return tuple(
            sorted(self.metrics.sets, key=lambda k: order.index(k) if k in order else len(order))
        )

    def _rows(self, key: str) -> pd.DataFrame:
        rows = self.predictions[self.predictions["set"] == key]
        if rows.empty:
            raise ModelError(
                f"There are no predictions of the set {key}. "
                f"Run `python -m core evaluate {self.card.name}` again."
            )
        return rows


@dataclass(frozen=True, slots=True, eq=False)
class ClassifierReport(ModelReport):
    """What was written about the cell classifier or the ALL classifier."""

    metrics: ClassifierFigures

    def scored(self, key: str, labels: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the predictions of a set, scored over the set's labels or others.

        Columns: file, truth, prediction, confidence, correct, p_<label>.
        """
        rows = self._rows(key)
        return score_predictions(rows, labels or self.metrics.sets[key].labels)

    def counted(self, key: str) -> pd.DataFrame:
        """Return each image of a set as the app counts it.

        Columns: file, patient (None where the set names none), truth, counted: the predicted type,
        or `UNCERTAIN`.
        """
        labels = self.card.labels
        scored = score_predictions(self._rows(key), labels)
        rows = scored[[f"p_{label}" for label in labels]].to_numpy()
        uncertain = [
            decide(dict(zip(labels, row, strict=True)), self.decision) == "uncertain"
            for row in rows
        ]
        cells = scored[["file", "truth"]].assign(
            counted=scored["prediction"].mask(np.array(uncertain), UNCERTAIN), patient=None
        )
        if pattern := evaluation_set(key).patient:
            cells["patient"] = cells["file"].str.extract(pattern)[0]
        return cells


@dataclass(frozen=True, slots=True, eq=False)
class DetectorReport(ModelReport):
    """What was written about the detector."""

    metrics: DetectorFigures

    def boxes(self, key: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the true and the predicted boxes of a set, the latter with a score."""
        rows = self._rows(key)
        truth = rows.loc[rows["source"] == "truth", _BOX_COLUMNS]
        found = rows.loc[rows["source"] == "prediction", [*_BOX_COLUMNS, "score"]]
        return truth.reset_index(drop=True), found.reset_index(drop=True)

    def curves(self, key: str) -> pd.DataFrame:
        """Return precision over recall at IoU .5: kind, recall, precision, score."""
        truth, found = self.boxes(key)
        return detection_curves(truth, found, _files(truth, found))

    def counts(self, key: str, kind: str) -> pd.DataFrame:
        """Return file, truth, found: cells of a kind in every image that has any box."""
        truth, found = self.boxes(key)
        thresholds = {k: own.threshold for k, own in self.metrics.sets[key].per_kind.items()}
        return count_pairs(truth, above(found, thresholds), _files(truth, found), kind)


def _files(*frames: pd.DataFrame) -> list[str]:
    return sorted(set().union(*(frame["file"] for frame in frames)))


@overload
def load_report(
    name: Literal["wbc", "all_stage"], settings: Settings | None = None
) -> ClassifierReport: ...


@overload
def load_report(name: Literal["detector"], settings: Settings | None = None) -> DetectorReport: ...


@overload
def load_report(
    name: ModelName, settings: Settings | None = None
) -> ClassifierReport | DetectorReport: ...


def load_report(
    name: ModelName, settings: Settings | None = None
) -> ClassifierReport | DetectorReport:
    """Read a model's card, metrics, predictions and history.

    Raises ModelError, with the command that makes it, when one is missing or damaged.
    """
    settings = settings or get_settings()
    folder = settings.models / name
    card = load_card(name, settings)
    needed = {"set", "file", *([*_BOX_COLUMNS, "source"] if name == "detector" else ["truth"])}
    try:
        written = (folder / "metrics.json").read_text()
        predictions = pd.read_csv(folder / "predictions.csv.gz")
        history = pd.read_csv(folder / "history.csv")
        report: ClassifierReport | DetectorReport
        if name == "detector":
            measured = DetectorFigures.model_validate_json(written)
            report = DetectorReport(card, measured, predictions, history)
        else:
            figures = ClassifierFigures.model_validate_json(written)
            report = ClassifierReport(card, figures, predictions, history)
    except FileNotFoundError as error:
        missing = str(error.filename).rsplit("/", 1)[-1]
        command = f"train {name}" if missing == "history.csv" else f"evaluate {name}"
        raise ModelError(
            f"{missing} of the model {name} is missing. Make it with `python -m core {command}`."
        ) from error
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(_damaged(name)) from error
    if not report.metrics.sets or not needed <= set(predictions.columns) or history.empty:
        raise ModelError(_damaged(name))
    return report


def earlier_runs(name: ModelName, settings: Settings | None = None) -> dict[str, pd.DataFrame]:
    """Return the predictions of earlier versions of a model by title, without damaged files."""
    runs = {}
    for path in sorted(((settings or get_settings()).models / name / RUNS).glob("*.csv.gz")):
        with suppress(ValueError, OSError, EOFError):
            runs[path.name.removesuffix(".csv.gz")] = checked_predictions(pd.read_csv(path))
    return runs


def patients_left_out(settings: Settings | None = None) -> pd.DataFrame | None:
    """Return the predictions of `PATIENTS_FILE`, None where there is no such file.

    Raises ModelError when the file is damaged.
    """
    path = (settings or get_settings()).models / "wbc" / PATIENTS_FILE
    try:
        return checked_predictions(pd.read_csv(path))
    except FileNotFoundError:
        return None
    except (ValueError, OSError, EOFError) as error:
        raise ModelError(
            "The predictions of patients who were left out are damaged. "
            "Make them again with `python -m research patients deepapl`."
        ) from error


def checked_predictions(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of predictions of a classifier; raise ValueError when one is missing."""
    columns = [c for c in predictions.columns if c.startswith("p_")]
    if not columns or not {"set", "file", "truth"} <= set(predictions.columns):
        raise ValueError("the columns set, file, truth and p_<label> are needed")
    chosen = predictions[["set", "file", "truth", *columns]]
    return chosen.astype({"set": str, "file": str, "truth": str} | dict.fromkeys(columns, float))


def _damaged(name: str) -> str:
    return (
        f"The figures of the model {name} are damaged. "
        f"Make them again with `python -m core evaluate {name}`."
    )


def behind_cell(scored: pd.DataFrame, truth: str, prediction: str) -> pd.DataFrame:
    """Return the images behind one cell of the confusion matrix, most confident first."""
    chosen = scored[(scored["truth"] == truth) & (scored["prediction"] == prediction)]
    return chosen.sort_values("confidence", ascending=False, kind="stable", ignore_index=True)


def count_errors(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the images whose cells were counted wrong, largest error first."""
    wrong = pairs[pairs["truth"] != pairs["found"]]
    order = (wrong["found"] - wrong["truth"]).abs().sort_values(ascending=False, kind="stable")
    return wrong.loc[order.index].reset_index(drop=True)


def worst_errors(scored: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return the wrong answers the model was most confident of."""
    wrong = scored[~scored["correct"] & (scored["prediction"] != UNANSWERED)]
    return wrong.nlargest(most, "confidence").reset_index(drop=True)
