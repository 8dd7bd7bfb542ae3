"""What is known of each shipped model: its card, figures, predictions and training history.

Everything is read from `models/<name>/`, where `python -m core evaluate` and training wrote it;
no model is loaded and nothing is measured here.
"""

import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from core.errors import ModelError
from core.inference.card import ModelCard, ModelName, load_card
from core.learning.metrics import UNANSWERED, score_predictions
from core.settings import Settings, get_settings
from core.taxonomy import CELL_TYPES, KIND_COLOURS, KIND_NAMES, STAGES, UNDETERMINED_COLOUR

MODEL_TITLES: dict[ModelName, str] = {
    "wbc": "White-cell types",
    "all_stage": "ALL classes",
    "detector": "Cell detector",
}
_BOX_COLUMNS = ["file", "kind", "x", "y", "width", "height"]


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """A set that models are measured on, and what its figures cannot say."""

    name: str
    note: str
    archive: str
    """Zip in the data folder whose members are the files named in predictions."""


# In the order of pages: other laboratories first, home last.
EVALUATION_SETS: dict[str, EvaluationSet] = {
    "cellavision": EvaluationSet(
        "CellaVision cells, another laboratory",
        "100 single cells from a teaching collection, many of them atypical. Its labels were not "
        "checked and a few are debatable. Nothing of it was trained on.",
        "cellavision_cells.zip",
    ),
    "kaggle_test_simple": EvaluationSet(
        "Kaggle fields, originals",
        "71 unaugmented fields (13 eosinophil, 6 lymphocyte, 4 monocyte, 48 neutrophil), typed "
        "through the detector. About a dozen labels are disputed. The training half of this "
        "collection was trained on.",
        "kaggle_blood_cells.zip",
    ),
    "kaggle_test": EvaluationSet(
        "Kaggle fields, TEST",
        "Rotated, sheared and mirrored copies of only 71 originals (13 eosinophil, 6 lymphocyte, "
        "4 monocyte, 48 neutrophil), typed through the detector. The limits treat copies as "
        "independent and are too narrow; about a dozen labels are disputed. The training half of "
        "this collection was trained on.",
        "kaggle_blood_cells.zip",
    ),
    "pbc_test": EvaluationSet(
        "PBC test cells",
        "Healthy donors, one analyser and one stain, the same as in training. The split is by "
        "image: donors are not named, so cells of one donor lie on both sides.",
        "pbc.zip",
    ),
    "wbcatt_test": EvaluationSet(
        "WBCAtt test cells",
        "The five mature types of PBC in WBCAtt's official split. The split is by image: donors "
        "are not named, so cells of one donor lie on both sides.",
        "pbc.zip",
    ),
    "taleqani_folds_stain_jitter": EvaluationSet(
        "Taleqani folds, stain changed",
        "The same fields with stain colours shifted at random: tone differs by class in this set, "
        "and this score shows how much the model leans on it. Folds are grouped by near-duplicates "
        "because patients are not named.",
        "taleqani_all.zip",
    ),
    "taleqani_folds": EvaluationSet(
        "Taleqani folds",
        "Each field is graded by the model that was not trained on its fold. Patients are not "
        "named; folds are grouped by near-duplicates and neighbouring file numbers in their place. "
        "Stain tone differs by class. One laboratory only.",
        "taleqani_all.zip",
    ),
    "bccd_test": EvaluationSet(
        "BCCD test fields",
        "Labels as published: many boxes at the borders are missing, which counts right detections "
        "there as wrong.",
        "bccd.zip",
    ),
    "txl_test": EvaluationSet(
        "TXL-PBC test fields",
        "Labels as published, with known errors: two images annotated twice, three white cells "
        "labelled as red. A perfect detector with one box a cell reaches mAP50 .980.",
        "txl_pbc.zip",
    ),
}


def evaluation_set(key: str) -> EvaluationSet:
    """Return what is known of a set; a set of one's own has its key for a name."""
    return EVALUATION_SETS.get(key, EvaluationSet(key, "", ""))


def label_name(label: str) -> str:
    """Name a cell type, a stage or a kind of cell as pages do."""
    if label in CELL_TYPES:
        return CELL_TYPES[label].name
    if label in STAGES:
        return STAGES[label].name
    if label == UNANSWERED:
        return "No cell found"
    return {str(kind): name for kind, name in KIND_NAMES.items()}.get(label, label)


def label_colour(label: str) -> str:
    """Return the colour of a cell type, a stage or a kind of cell."""
    if label in CELL_TYPES:
        return CELL_TYPES[label].colour
    if label in STAGES:
        return STAGES[label].colour
    kinds = {str(kind): colour for kind, colour in KIND_COLOURS.items()}
    return kinds.get(label, UNDETERMINED_COLOUR)


@dataclass(frozen=True, slots=True, eq=False)
class ModelReport:
    """All that was written about one model."""

    card: ModelCard
    metrics: Mapping[str, Any]
    predictions: pd.DataFrame
    history: pd.DataFrame
    """One row an epoch: epoch, phase, loss, val_loss, ..., learning_rate, seconds."""

    @property
    def sets(self) -> tuple[str, ...]:
        """Keys of the measured sets, other laboratories first."""
        order = list(EVALUATION_SETS)
        return tuple(
            sorted(self.metrics["sets"], key=lambda k: order.index(k) if k in order else len(order))
        )

    def figures(self, key: str) -> Mapping[str, Any]:
        """Return the figures of a set as `core.learning` measured them."""
        figures: Mapping[str, Any] = self.metrics["sets"][key]
        return figures

    def scored(self, key: str) -> pd.DataFrame:
        """Return the classifier's predictions of a set, scored over the set's labels.

        Columns: file, truth, prediction, confidence, correct, p_<label>.
        """
        return score_predictions(self._rows(key), self.figures(key)["labels"])

    def boxes(self, key: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the true and the predicted boxes of a set, the latter with a score."""
        rows = self._rows(key)
        truth = rows.loc[rows["source"] == "truth", _BOX_COLUMNS]
        found = rows.loc[rows["source"] == "prediction", [*_BOX_COLUMNS, "score"]]
        return truth.reset_index(drop=True), found.reset_index(drop=True)

    def _rows(self, key: str) -> pd.DataFrame:
        rows = self.predictions[self.predictions["set"] == key]
        if rows.empty:
            raise ModelError(
                f"There are no predictions of the set {key}. "
                f"Run `python -m core evaluate {self.card.name}` again."
            )
        return rows


def load_report(name: ModelName, settings: Settings | None = None) -> ModelReport:
    """Read a model's card, metrics, predictions and history.

    Raises ModelError, with the command that makes it, when one is missing or damaged.
    """
    settings = settings or get_settings()
    folder = settings.models / name
    card = load_card(name, settings)
    needed = {"set", "file", *([*_BOX_COLUMNS, "source"] if name == "detector" else ["truth"])}
    try:
        metrics = json.loads((folder / "metrics.json").read_text())
        predictions = pd.read_csv(folder / "predictions.csv.gz")
        history = pd.read_csv(folder / "history.csv")
    except FileNotFoundError as error:
        missing = str(error.filename).rsplit("/", 1)[-1]
        command = f"train {name}" if missing == "history.csv" else f"evaluate {name}"
        raise ModelError(
            f"{missing} of the model {name} is missing. Make it with `python -m core {command}`."
        ) from error
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(_damaged(name)) from error
    if not metrics.get("sets") or not needed <= set(predictions.columns) or history.empty:
        raise ModelError(_damaged(name))
    return ModelReport(card, metrics, predictions, history)


def _damaged(name: str) -> str:
    return (
        f"The figures of the model {name} are damaged. "
        f"Make them again with `python -m core evaluate {name}`."
    )


def behind_cell(scored: pd.DataFrame, truth: str, prediction: str) -> pd.DataFrame:
    """Return the images behind one cell of the confusion matrix, most confident first."""
    chosen = scored[(scored["truth"] == truth) & (scored["prediction"] == prediction)]
    return chosen.sort_values("confidence", ascending=False, kind="stable", ignore_index=True)


def worst_errors(scored: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return the wrong answers the model was surest of."""
    wrong = scored[~scored["correct"] & (scored["prediction"] != UNANSWERED)]
    return wrong.nlargest(most, "confidence").reset_index(drop=True)


def read_pictures(
    key: str, files: Iterable[str], settings: Settings | None = None
) -> dict[str, bytes]:
    """Return the encoded pictures of a set that are on this machine, by file name."""
    archive = (settings or get_settings()).data / evaluation_set(key).archive
    if not archive.is_file():
        return {}
    with zipfile.ZipFile(archive) as members:
        present = set(members.namelist())
        return {file: members.read(file) for file in files if file in present}


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
