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
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.domain.decision import DecisionThresholds, decide
from core.domain.taxonomy import DEEPAPL_SEVEN, MATURE_FIVE, PBC_EIGHT
from core.evaluation.blasts import HEALTHY, blast_figures
from core.evaluation.calibration import fit_temperature, softmax, uncertainty_threshold
from core.evaluation.metrics import classification_metrics, proportion
from core.evaluation.schema import BlastFigures, ClassifierFigures, SubtypeFigures
from core.model_card import load_card
from core.settings import Settings, get_settings
from core.training.data.all_fields import FOLDS
from core.training.data.cell_sources import sources
from core.training.data.cells import DETAILS, HEADS, SUBTYPES, TYPES, TrainingCells, central_crops
from core.training.export import load_weights, shipped_network
from core.training.networks.mobilenet import wbc_network
from core.training.recipes.wbc import HELD_OUT_FOLD, SIZE

Logits = NDArray[np.float32]

LEAST_BLAST = 0.05
"""Probability of a blast from which on a cell is never confidently called a healthy type."""
_BATCH = 64
_OVER_ALL = ", all types"
"""Ends the name of a set that is scored with all types as answers, not those it has alone."""


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
    """Return all figures of a network, ready for JSON, in the form of `metrics.json`.

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
    sets = {}
    for name, (source, labels) in measured.items():
        rows = known[source].weights * np.isin(known[source].types, _indices(labels)) > 0
        named = [TYPES[k] for k in known[source].types[rows]]
        answers = probabilities[source][rows]
        sets[name] = classification_metrics(named, answers, labels, all_labels=TYPES)
        sets[f"{name}{_OVER_ALL}"] = classification_metrics(named, answers, TYPES)
    figures = ClassifierFigures(
        sets=sets,
        blasts={"deepapl_fold": _blasts(known[left_out], probabilities[left_out], threshold)},
        subtypes={
            name: _subtypes(known[source], outputs[source])
            for name, source in (("pbc_test", "pbc_test"), ("deepapl_fold", left_out))
        },
    )
    return {"temperature": temperature, "threshold": threshold, **figures.json_object()}


def _indices(labels: Sequence[str]) -> list[int]:
    return [TYPES.index(name) for name in labels]


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


def _subtypes(cells: TrainingCells, outputs: dict[str, Logits]) -> dict[str, SubtypeFigures]:
    """Return how often each subtype that the cells have is told."""
    truth = cells.details[:, list(DETAILS).index("subtype")]
    right = outputs["subtype"].argmax(1) == truth
    of_type = outputs["type"].argmax(1) == cells.types
    return {
        name: SubtypeFigures(
            n=int(own.sum()),
            right=proportion(int(right[own].sum()), int(own.sum())),
            right_of_type=proportion(int((right & of_type)[own].sum()), int(of_type[own].sum())),
        )
        for k, name in enumerate(SUBTYPES)
        if (own := truth == k).any()
    }


def summary(figures: dict[str, Any]) -> dict[str, float]:
    """Return the figures that are compared between checkpoints."""
    sets, blasts = figures["sets"], figures["blasts"]["deepapl_fold"]
    balanced = {name: sets[name]["balanced_accuracy"]["value"] for name in sets}
    return {
        "pbc": sets[f"pbc_test{_OVER_ALL}"]["accuracy"]["value"],
        "wbcatt": sets[f"wbcatt_test{_OVER_ALL}"]["accuracy"]["value"],
        "deepapl": balanced[f"deepapl_fold{_OVER_ALL}"],
        "auroc": blasts["auroc"],
        "blast_healthy": blasts["certain_healthy"]["value"],
        "lisc": balanced[f"lisc{_OVER_ALL}"],
        "lisc_five": balanced["lisc"],
        "cellavision": balanced[f"cellavision{_OVER_ALL}"],
        "cellavision_five": balanced["cellavision"],
        "cellavision_ece": sets[f"cellavision{_OVER_ALL}"]["ece"],
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
    file.write_text(json.dumps(figures, indent=1) + "\n")
    row = {name: round(value, 4) for name, value in summary(figures).items()}
    sys.stdout.write(f"{file.parent.name} {json.dumps(row)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
