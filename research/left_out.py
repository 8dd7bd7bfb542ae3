"""Trainings of the shipped recipe without one source, or without the patients of one fold.

`python -m research source NAME` trains the cell classifier from ImageNet without a source, shorter
than the shipped one, and measures it on every source. LISC is left out of every training, as of the
shipped one, so that it can measure each of them. `python -m research patients deepapl` trains
a network without each fold of DeepAPL, joins what each says of the patients that it did not see,
and keeps that beside the model. The networks of the folds share a start: the one trained without
DeepAPL. With `--kept` what was kept is scored again, without training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.domain.decision import decide
from core.domain.taxonomy import DEEPAPL_SEVEN, KAGGLE_FOUR, MATURE_FIVE, PBC_EIGHT
from core.errors import ModelError
from core.evaluation.blasts import blast_figures
from core.evaluation.calibration import fit_temperature, softmax
from core.evaluation.comparisons import PatientsRow, ScoredCells, SourcesRow, load_comparisons
from core.evaluation.metrics import classification_metrics, prediction_frame
from core.evaluation.report import PATIENTS_FILE, PATIENTS_SET, patients_left_out
from core.evaluation.sets import evaluation_set
from core.model_card import load_card
from core.settings import Settings
from core.training.data.all_fields import FOLDS
from core.training.data.cell_sources import sources
from core.training.data.cells import TYPES, TrainingCells
from core.training.evaluate.checkpoint import outputs_of
from core.training.evaluate.run import write_predictions
from core.training.evaluate.wbc import DECIMALS
from core.training.export import shipped_network
from core.training.loop import seconds_of
from core.training.recipes.wbc import (
    BATCH,
    HELD_OUT_FOLD,
    SIZE,
    STEPS,
    TRAINING_FOLDS,
    Options,
    train,
)
from research.compare_cells import RECIPE, scored
from research.comparisons import write_row

SOURCES = ("pbc", "kaggle", "lisc", "deepapl")
"""Sources of typed cells that the recipe can train on."""
_DEEPAPL, _LISC = "deepapl", "lisc"
_MEASURED: dict[str, tuple[str, Sequence[str]]] = {
    "cellavision": ("cellavision", MATURE_FIVE),
    "deepapl": (f"deepapl_{HELD_OUT_FOLD}", DEEPAPL_SEVEN),
    "kaggle": ("kaggle_val", KAGGLE_FOUR),
    "lisc": (_LISC, MATURE_FIVE),
    "pbc": ("pbc_test", PBC_EIGHT),
}
"""Cells that no training saw, and the types that they are scored over."""


@dataclass(frozen=True, slots=True)
class Length:
    """How long the networks are trained, as fractions of the recipe's number of epochs."""

    source: float = 0.2
    fold: float = 0.15
    """On top of the network without DeepAPL."""
    steps: int = STEPS

    def scaled(self, factor: float) -> "Length":
        """Return the lengths times a factor."""
        return Length(self.source * factor, self.fold * factor, self.steps)


def compare_source(without: str, settings: Settings, run: Path, length: Length) -> SourcesRow:
    """Train without a source, measure on every source, and keep the row."""
    options = _without(without, run, length)
    network = network_without_source(without, settings, run, length)
    temperature = load_card("wbc", settings).temperature
    names = [name for name, _ in _MEASURED.values()]
    cells = sources(settings, options.cells_folder(settings), names)
    scores: dict[str, ScoredCells] = {}
    own_temperature = None
    for key, (name, labels) in _MEASURED.items():
        measured = cells[name].of_types(labels)
        measured = measured.chosen(measured.weights > 0)
        logits = outputs_of(network, measured, options.size)["type"]
        scores[key] = scored(_names(measured), softmax(logits, temperature), labels, TYPES)
        if key == without:
            own_temperature = fit_temperature(logits, measured.types)
    row = SourcesRow(
        protocol=_sentence(options, "ImageNet"),
        recipe=RECIPE,
        trained_on=[key for key in SOURCES if key not in options.without],
        training_seconds=seconds_of(_folder_without(without, run, length)),
        temperature=own_temperature,
        sets=scores,
    )
    write_row(settings.models / "wbc", "sources", without, row)
    return row


def network_without_source(source: str, settings: Settings, run: Path, length: Length) -> Any:
    """Return the network that is trained from ImageNet without a source."""
    folder = _folder_without(source, run, length)
    return train(settings, folder, _without(source, run, length)).network


def network_without_fold(
    fold: str, settings: Settings, run: Path, length: Length, *, corrected: bool = True
) -> Any:
    """Return a network that did not see the DeepAPL patients of a fold.

    With `corrected` doubted labels of the other folds are corrected in its training.
    The shipped one did not see those of `HELD_OUT_FOLD`; the others go on from the network without
    DeepAPL, which must have been trained into the run folder.
    """
    if fold == HELD_OUT_FOLD:
        return shipped_network("wbc", settings)
    options = _fold_options(fold, run, length, corrected=corrected)
    return train(settings, _fold_folder(fold, run, length, corrected=corrected), options).network


# A finished run is not trained again: its folder says what it was.
def _folder_without(source: str, run: Path, length: Length) -> Path:
    return run / f"without_{source}_{length.source:g}x{length.steps}"


def _fold_folder(fold: str, run: Path, length: Length, *, corrected: bool = True) -> Path:
    labels = "" if corrected else "_uncorrected"
    return run / f"fold_{fold}_{length.fold:g}x{length.steps}{labels}"


def _fold_options(fold: str, run: Path, length: Length, *, corrected: bool = True) -> Options:
    return Options(
        epochs=length.fold,
        folds=tuple(other for other in FOLDS if other != fold),
        without=(_LISC,),
        start=str(_folder_without(_DEEPAPL, run, length)),
        corrected=corrected,
        cells=run / "cells",
        steps=length.steps,
    )


def compare_patients(settings: Settings, run: Path, length: Length) -> PatientsRow:
    """Join what networks say of DeepAPL patients that they did not see; keep it and its row.

    The shipped network did not see those of `HELD_OUT_FOLD`. Trains what the run folder lacks.
    """
    network_without_source(_DEEPAPL, settings, run, length)
    temperature = load_card("wbc", settings).temperature
    frames = []
    for fold in FOLDS:
        network = network_without_fold(fold, settings, run, length)
        name = f"{_DEEPAPL}_{fold}"
        cells = sources(settings, run / "cells", [name])[name]
        cells = cells.chosen(cells.weights > 0)
        probabilities = softmax(outputs_of(network, cells, SIZE)["type"], temperature)
        frames.append(
            prediction_frame(
                PATIENTS_SET,
                cells.members.tolist(),
                _names(cells),
                probabilities.round(DECIMALS),
                TYPES,
            )
        )
    predictions = pd.concat(frames, ignore_index=True)
    write_predictions(predictions, settings.models / "wbc" / PATIENTS_FILE)
    row = PatientsRow(
        protocol=_sentence(_fold_options(FOLDS[0], run, length), "the network without DeepAPL as")
        + f"; fold {HELD_OUT_FOLD} by the shipped network",
        recipe=RECIPE,
        training_seconds=sum(
            seconds_of(_fold_folder(fold, run, length)) for fold in FOLDS if fold != HELD_OUT_FOLD
        ),
        folds=list(FOLDS),
        temperature=temperature,
        **_figures(predictions, settings, temperature),
    )
    write_row(settings.models / "wbc", "patients", _DEEPAPL, row)
    return row


def score_kept_patients(settings: Settings) -> PatientsRow:
    """Score the kept predictions again, with temperature and thresholds of the card; keep the row.

    It keeps the revision of its trainings.

    Raises ModelError when nothing was kept.
    """
    predictions = patients_left_out(settings)
    before = load_comparisons("wbc", settings).patients.get(_DEEPAPL)
    if predictions is None or before is None:
        raise ModelError("No predictions of patients were kept: run the comparison without --kept.")
    row = before.model_copy(update=_figures(predictions, settings, before.temperature))
    write_row(settings.models / "wbc", "patients", _DEEPAPL, row, before.git_revision)
    return row


def _figures(predictions: pd.DataFrame, settings: Settings, temperature: float) -> dict[str, Any]:
    """Return the fields of `PatientsRow` that predictions, of a `temperature`, tell."""
    card = load_card("wbc", settings)
    thresholds = card.thresholds.decision
    logits = np.log(np.maximum(predictions[[f"p_{name}" for name in TYPES]].to_numpy(), 1e-9))
    probabilities = softmax(temperature * logits, card.temperature)
    truth = predictions["truth"].to_numpy()
    patients = predictions["file"].str.extract(evaluation_set(PATIENTS_SET).patient)[0]
    of_seven = np.isin(truth, DEEPAPL_SEVEN)
    return {
        "patients": patients.nunique(),
        "figures": classification_metrics(
            truth[of_seven], probabilities[of_seven], DEEPAPL_SEVEN, all_labels=TYPES
        ),
        "blasts": blast_figures(
            truth,
            [TYPES[k] for k in probabilities.argmax(1)],
            [decide(dict(zip(TYPES, own, strict=True)), thresholds) for own in probabilities],
            probabilities[:, TYPES.index("blast")],
            patients,
        ),
    }


def _without(source: str, run: Path, length: Length) -> Options:
    """Return the options of a training without a source.

    Without DeepAPL all of Taleqani is trained on: no fold of it is measured.
    """
    return Options(
        epochs=length.source,
        folds=FOLDS if source == _DEEPAPL else TRAINING_FOLDS,
        without=tuple(dict.fromkeys((_LISC, source))),
        start="imagenet",
        cells=run / "cells",
        steps=length.steps,
    )


def _names(cells: TrainingCells) -> list[str]:
    return [TYPES[k] for k in cells.types]


def _sentence(options: Options, start: Any) -> str:
    """Describe a training for the file and the page."""
    views = sum(stage.epochs for stage in options.stages) * options.steps * BATCH
    return f"the shipped recipe, {views:,} augmented crops of {options.size} px, {start} start"
