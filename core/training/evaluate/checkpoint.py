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
from sklearn.metrics import roc_auc_score

from core.domain.intervals import Estimate
from core.domain.taxonomy import DEEPAPL_SEVEN, LEUKOCYTES, MATURE_FIVE, PBC_EIGHT
from core.evaluation.calibration import fit_temperature, softmax, uncertainty_threshold
from core.evaluation.metrics import (
    calibration_error,
    classification_metrics,
    mean_of_known,
    proportion,
)
from core.model_card import load_card
from core.settings import Settings, get_settings
from core.training.data.cell_sources import FOLDS, sources
from core.training.data.cells import (
    DETAILS,
    HEADS,
    SUBTYPES,
    TYPES,
    TrainingCells,
    central_crops,
)
from core.training.export import load_weights, shipped_network
from core.training.networks.mobilenet import wbc_network
from core.training.recipes.wbc import HELD_OUT_FOLD, SIZE

Logits = NDArray[np.float32]

LEAST_BLAST = 0.05
"""Probability of a blast from which on a cell is never confidently called a healthy type."""
HEALTHY = tuple(name for name in LEUKOCYTES if name != "immature_granulocyte")
_BATCH = 64
_IMPOSSIBLE = -30.0
"""Logit of the types that a network does not know."""


def outputs_of(network: Any, cells: TrainingCells, size: int) -> dict[str, Logits]:
    """Return mean logits over each crop and its two mirror images, n x outputs by head."""
    views = central_crops(cells, size).astype(np.float32)
    found = [
        network.predict(turned, batch_size=_BATCH, verbose=0)
        for turned in (views, views[:, :, ::-1], views[:, ::-1])
    ]
    return {name: np.mean([f[name] for f in found], axis=0) for name in found[0]}


def _padded(logits: Logits) -> Logits:
    """Return logits over `TYPES` of a network that knows the first of them."""
    missing = len(TYPES) - logits.shape[1]
    return np.pad(logits, ((0, 0), (0, missing)), constant_values=_IMPOSSIBLE)


def measure(
    network: Any, settings: Settings, cells: Path, size: int, fold: str = HELD_OUT_FOLD
) -> dict[str, Any]:
    """Return all figures of a network, ready for JSON.

    The temperature and the threshold of confidence are fitted on validation cells of PBC and of
    the Kaggle fields; everything else is measured on sources, patients or test splits that the
    training left out.
    """
    names = ("pbc_val", "kaggle_val", "pbc_test", f"deepapl_{fold}", "lisc", "cellavision")
    known = sources(settings, cells, names)
    found = {name: outputs_of(network, part, size) for name, part in known.items()}
    logits = {name: _padded(outputs["type"]) for name, outputs in found.items()}
    home = np.concatenate([logits["pbc_val"], logits["kaggle_val"]])
    truth = np.concatenate([known["pbc_val"].types, known["kaggle_val"].types])
    temperature = fit_temperature(home, truth)
    threshold = uncertainty_threshold(softmax(home, temperature), truth)
    probabilities = {name: softmax(values, temperature) for name, values in logits.items()}
    pbc, deepapl = known["pbc_test"], known[f"deepapl_{fold}"]
    mature = np.isin(pbc.types, [TYPES.index(name) for name in MATURE_FIVE])
    figures: dict[str, Any] = {
        "temperature": temperature,
        "threshold": threshold,
        "pbc_test": _scores(pbc, probabilities["pbc_test"], PBC_EIGHT),
        "wbcatt_test": _scores(pbc.chosen(mature), probabilities["pbc_test"][mature], MATURE_FIVE),
        "deepapl_fold": _scores(deepapl, probabilities[f"deepapl_{fold}"], DEEPAPL_SEVEN),
        "lisc": _scores(known["lisc"], probabilities["lisc"], MATURE_FIVE),
        "cellavision": _scores(known["cellavision"], probabilities["cellavision"], MATURE_FIVE),
        "blasts": blast_figures(deepapl, probabilities[f"deepapl_{fold}"], threshold),
    }
    if "subtype" in found["pbc_test"]:
        figures["subtypes"] = {
            "pbc_test": _subtype_recalls(pbc, found["pbc_test"]["subtype"]),
            "deepapl_fold": _subtype_recalls(deepapl, found[f"deepapl_{fold}"]["subtype"]),
        }
    return figures


def _scores(
    cells: TrainingCells, probabilities: NDArray[np.float64], labels: Sequence[str]
) -> dict[str, Any]:
    """Return balanced accuracy over `labels`, with and without the other types as answers."""
    columns = [TYPES.index(name) for name in labels]
    rows = np.isin(cells.types, columns) & (cells.weights > 0)
    truth, answers = cells.types[rows], probabilities[rows]
    named = answers.argmax(1)
    recalls = {
        name: float((named[truth == k] == k).mean()) if (truth == k).any() else None
        for name, k in zip(labels, columns, strict=True)
    }
    among = classification_metrics(
        [TYPES[k] for k in truth], answers, labels, all_labels=list(TYPES)
    )
    return {
        "n": int(rows.sum()),
        "accuracy": float((named == truth).mean()),
        "balanced": mean_of_known(list(recalls.values())),
        "balanced_among_labels": among.balanced_accuracy.value,
        "accuracy_among_labels": among.accuracy.value,
        "ece": calibration_error(answers, truth),
        "recalls": recalls,
        "confusion": [
            np.bincount(named[truth == k], minlength=len(TYPES)).tolist() for k in columns
        ],
    }


def blast_figures(
    cells: TrainingCells, probabilities: NDArray[np.float64], threshold: float
) -> dict[str, Any]:
    """Return how blasts are kept apart from other white cells, cell by cell and by patient.

    A cell is named with confidence when the top probability reaches `threshold`, and as a healthy
    type only while a blast is less likely than `LEAST_BLAST`.
    """
    blast = TYPES.index("blast")
    white = np.isin(cells.types, [TYPES.index(name) for name in (*LEUKOCYTES, "blast")])
    rows = white & (cells.weights > 0)
    truth, answers = cells.types[rows] == blast, probabilities[rows]
    named = answers.argmax(1)
    healthy = np.isin(named, [TYPES.index(name) for name in HEALTHY])
    confident = answers.max(1) >= threshold
    guarded = confident & ~(healthy & (answers[:, blast] >= LEAST_BLAST))
    smudges = probabilities[cells.types == TYPES.index("smudge_cell")]
    smudge_named = smudges.argmax(1) == TYPES.index("smudge_cell")
    errors = []
    for patient in np.unique(cells.groups[rows]):
        own = cells.groups[rows] == patient
        if own.sum() >= 20:
            errors.append(abs((named[own] == blast).mean() - truth[own].mean()))
    return {
        "auroc": float(roc_auc_score(truth, answers[:, blast])),
        "named_blast": proportion(int((named[truth] == blast).sum()), int(truth.sum())),
        "others_named_blast": proportion(int((named[~truth] == blast).sum()), int((~truth).sum())),
        "confidently_healthy": proportion(
            int((healthy & confident)[truth].sum()), int(truth.sum())
        ),
        "confidently_healthy_guarded": proportion(
            int((healthy & guarded)[truth].sum()), int(truth.sum())
        ),
        "others_confident_guarded": proportion(int(guarded[~truth].sum()), int((~truth).sum())),
        "smudge_cells_excluded": proportion(
            int((smudge_named | (smudges.max(1) < threshold)).sum()), len(smudges)
        ),
        "patient_blast_share_median_error": float(np.median(errors)) if errors else None,
        "patients": len(errors),
    }


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
        "blast_healthy": blasts["confidently_healthy"].value,
        "blast_healthy_guarded": blasts["confidently_healthy_guarded"].value,
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
