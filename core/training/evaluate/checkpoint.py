"""Measures a checkpoint of the cell classifier on cells that it was not trained on.

`python -m core.training.evaluate.checkpoint FOLDER...` writes the figures of each folder's
`weights.npz` to `figures.json` beside it. `--shipped` measures the shipped classifier the same
way, on the same light-corrected crops.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.domain.decision import DecisionThresholds, decide
from core.domain.intervals import Estimate
from core.domain.taxonomy import DEEPAPL_SEVEN, MATURE_FIVE, PBC_EIGHT
from core.evaluation.blasts import HEALTHY, blast_figures
from core.evaluation.calibration import fit_temperature, softmax, uncertainty_threshold
from core.evaluation.metrics import classification_metrics, proportion
from core.evaluation.schema import BlastFigures
from core.model_card import load_card
from core.settings import Settings, get_settings
from core.training.data.cell_sources import FOLDS, sources
from core.training.data.cells import DETAILS, HEADS, SUBTYPES, TYPES, TrainingCells, central_crops
from core.training.export import load_weights, shipped_network
from core.training.networks.mobilenet import wbc_network
from core.training.recipes.wbc import HELD_OUT_FOLD, SIZE

Logits = NDArray[np.float32]

LEAST_BLAST = 0.05
"""Probability of a blast from which on a cell is never confidently called a healthy type."""
_BATCH = 64


def outputs_of(network: Any, cells: TrainingCells, size: int) -> dict[str, Logits]:
    """Return mean logits over each crop and its two mirror images, n x outputs by head."""
    views = central_crops(cells, size).astype(np.float32)
    found = [
        network.predict(turned, batch_size=_BATCH, verbose=0)
        for turned in (views, views[:, :, ::-1], views[:, ::-1])
    ]
    return {name: np.mean([f[name] for f in found], axis=0) for name in found[0]}


def measure(
    network: Any, settings: Settings, cells: Path, size: int, fold: str = HELD_OUT_FOLD
) -> dict[str, Any]:
    """Return all figures of a network, ready for JSON.

    The temperature and the threshold of confidence are fitted on validation cells of PBC and of
    the Kaggle fields; everything else is measured on sources, patients or test splits that the
    training left out.
    """
    measured = {
        "pbc_test": ("pbc_test", PBC_EIGHT),
        "wbcatt_test": ("pbc_test", MATURE_FIVE),
        "deepapl_fold": (f"deepapl_{fold}", DEEPAPL_SEVEN),
        "lisc": ("lisc", MATURE_FIVE),
        "cellavision": ("cellavision", MATURE_FIVE),
    }
    home = ("pbc_val", "kaggle_val")
    names = dict.fromkeys([*home, *(source for source, _ in measured.values())])
    known = sources(settings, cells, tuple(names))
    outputs = {name: outputs_of(network, part, size) for name, part in known.items()}
    logits = np.concatenate([outputs[name]["type"] for name in home])
    truth = np.concatenate([known[name].types for name in home])
    temperature = fit_temperature(logits, truth)
    threshold = uncertainty_threshold(softmax(logits, temperature), truth)
    probabilities = {name: softmax(own["type"], temperature) for name, own in outputs.items()}
    left_out = measured["deepapl_fold"][0]
    figures: dict[str, Any] = {"temperature": temperature, "threshold": threshold}
    for name, (source, labels) in measured.items():
        figures[name] = _scores(known[source], probabilities[source], labels)
    blasts = _blasts(known[left_out], probabilities[left_out], threshold)
    figures["blasts"] = blasts.json_object()
    figures["subtypes"] = {
        name: _subtype_recalls(known[source], outputs[source]["subtype"])
        for name, source in (("pbc_test", "pbc_test"), ("deepapl_fold", left_out))
    }
    return figures


def _scores(
    cells: TrainingCells, probabilities: NDArray[np.float64], labels: Sequence[str]
) -> dict[str, Any]:
    """Return figures over cells of `labels`, with and without the other types as answers."""
    rows = cells.weights * np.isin(cells.types, [TYPES.index(name) for name in labels]) > 0
    truth, answers = [TYPES[k] for k in cells.types[rows]], probabilities[rows]
    whole = classification_metrics(truth, answers, TYPES)
    among = classification_metrics(truth, answers, labels, all_labels=TYPES)
    return {
        "n": whole.n,
        "accuracy": whole.accuracy.value,
        "balanced": whole.balanced_accuracy.value,
        "balanced_among_labels": among.balanced_accuracy.value,
        "accuracy_among_labels": among.accuracy.value,
        "ece": whole.ece,
        "recalls": {name: whole.per_class[name].recall for name in labels},
        "confusion": whole.confusion,
    }


def _blasts(
    cells: TrainingCells, probabilities: NDArray[np.float64], threshold: float
) -> BlastFigures:
    """Return how blasts are kept apart from other white cells, cell by cell and by patient.

    A cell is named with certainty when the top probability reaches `threshold`, and as a healthy
    type only while a blast is less likely than `LEAST_BLAST`.
    """
    rows = cells.weights > 0
    answers = probabilities[rows]
    rivals = {name: {"blast": LEAST_BLAST} for name in HEALTHY}
    thresholds = DecisionThresholds(threshold, rivals=rivals)
    return blast_figures(
        [TYPES[k] for k in cells.types[rows]],
        [TYPES[k] for k in answers.argmax(1)],
        [decide(dict(zip(TYPES, own, strict=True)), thresholds) for own in answers],
        answers[:, TYPES.index("blast")],
        cells.groups[rows].tolist(),
    )


def _subtype_recalls(cells: TrainingCells, logits: Logits) -> dict[str, Estimate | None]:
    truth = cells.details[:, list(DETAILS).index("subtype")]
    return {
        name: proportion(int((logits[truth == k].argmax(1) == k).sum()), int((truth == k).sum()))
        for k, name in enumerate(SUBTYPES)
        if (truth == k).any()
    }


def summary(figures: dict[str, Any]) -> dict[str, float]:
    """Return the figures that are compared between checkpoints."""
    blasts = figures["blasts"]
    return {
        "pbc": figures["pbc_test"]["accuracy"],
        "wbcatt": figures["wbcatt_test"]["accuracy"],
        "deepapl": figures["deepapl_fold"]["balanced"],
        "auroc": blasts["auroc"],
        "blast_healthy": blasts["certain_healthy"]["value"],
        "lisc": figures["lisc"]["balanced"],
        "lisc_five": figures["lisc"]["balanced_among_labels"],
        "cellavision": figures["cellavision"]["balanced"],
        "cellavision_five": figures["cellavision"]["balanced_among_labels"],
        "cellavision_ece": figures["cellavision"]["ece"],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    settings = get_settings()
    parser.add_argument("folders", nargs="*", type=Path, help="folders with weights.npz")
    parser.add_argument("--cells", type=Path, default=settings.runs / "wbc_cells")
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--fold", choices=FOLDS, default=HELD_OUT_FOLD)
    parser.add_argument("--shipped", type=Path, help="file for the shipped classifier's figures")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO)
    for folder in chosen.folders:
        network = wbc_network(len(TYPES), HEADS)
        load_weights(network, folder)
        figures = measure(network, settings, chosen.cells, chosen.size, chosen.fold)
        _write(folder / "figures.json", figures)
    if chosen.shipped:
        network, size = shipped_network("wbc", settings), load_card("wbc", settings).input_width
        _write(chosen.shipped, measure(network, settings, chosen.cells, size, chosen.fold))


def _write(file: Path, figures: dict[str, Any]) -> None:
    file.write_text(json.dumps(figures, indent=1, default=asdict) + "\n")
    row = {name: round(value, 4) for name, value in summary(figures).items()}
    sys.stdout.write(f"{file.parent.name} {json.dumps(row)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
