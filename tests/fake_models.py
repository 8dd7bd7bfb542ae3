"""Writes made-up model folders, realistic in shape, for tests of what reads them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from core.domain.taxonomy import CELL_TYPES, KAGGLE_FOUR, MATURE_FIVE, STAGES
from core.evaluation.detection import detection_metrics
from core.evaluation.metrics import classification_metrics
from core.evaluation.schema import ClassificationFigures

FOLDERS = {
    "immature_granulocyte": "ig",
    **{key: key for key in CELL_TYPES if key != "immature_granulocyte"},
}
# Labels, images and strength of the answers.
WBC_SETS = {
    "cellavision": (MATURE_FIVE, 100, 2.4),
    "kaggle_test_simple": (KAGGLE_FOUR, 71, 3.2),
    "pbc_test": (tuple(CELL_TYPES), 900, 4.6),
}


def _file(key: str, label: str, number: int) -> str:
    if key == "cellavision":
        return f"images/{number % 100 + 1:03d}.webp"
    return f"{FOLDERS.get(label, label)}/{number}.webp"


def _card(name: str, labels: list[str]) -> dict:
    return {
        "name": name,
        "version": "1.2.3",
        "task": "A task in one sentence",
        "architecture": "MobileNetV2",
        "labels": labels,
        "input_width": 160,
        "input_height": 160,
        "preprocessing": "RGB 0..255 as float32",
        "temperature": 1.31,
        "thresholds": {
            "detector": dict.fromkeys(labels, 0.4),
            "wbc": {"uncertain": 0.8, "cellness": 0.5},
            "all_stage": {"uncertain": 0.8, "smear": -1.5, "all_field": -1.5},
        }[name],
        "training_data": ["PBC train split (CC BY 4.0)", "Kaggle TRAIN (MIT)"],
        "data_fingerprint": "pbc 0123456789abcdef",
        "git_revision": "0123456789ab",
        "trained_on": "2026-01-31",
        "sha256": "0" * 64,
        "file_bytes": 8_912_484,
        "licence": "MIT",
        "intended_use": "Research and teaching.",
        "limits": ["One stain only.", "Not for diagnosis."],
    }


def _write(folder: Path, card: dict, sets: dict, predictions: pd.DataFrame) -> None:
    folder.mkdir(parents=True)
    name = card["name"]
    (folder / "card.json").write_text(json.dumps(card))
    metrics = {
        "model": name,
        "version": card["version"],
        "sets": {key: own.json_object() for key, own in sets.items()},
    }
    metrics["generated_by"] = f"python -m core evaluate {name}"
    (folder / "metrics.json").write_text(json.dumps(metrics, allow_nan=False))
    predictions.to_csv(folder / "predictions.csv.gz", index=False, float_format="%.5f")
    _history(name).to_csv(folder / "history.csv", index=False)


def _history(name: str) -> pd.DataFrame:
    epochs = np.arange(1, 31)
    rng = np.random.default_rng(1)
    loss = 1.9 * np.exp(-epochs / 7) + 0.05
    measures = {}
    if name != "detector":
        measures["accuracy"] = 1 - 0.4 * np.exp(-epochs / 5)
        measures["val_accuracy"] = measures["accuracy"] - 0.01 + rng.normal(0, 0.004, 30)
    return pd.DataFrame(
        {
            "epoch": epochs,
            "phase": ["frozen"] * 6 + ["unfrozen"] * 24,
            "loss": loss,
            "val_loss": loss * 1.1 + rng.normal(0, 0.02, 30).clip(-0.01),
            **measures,
            "learning_rate": 1e-3 * np.cos(epochs / 31 * np.pi / 2) ** 2,
            "seconds": 80.0,
        }
    )


def _classified(key, all_labels, labels, n, strength) -> tuple[ClassificationFigures, pd.DataFrame]:
    rng = np.random.default_rng(len(key))
    weights = rng.uniform(0.3, 1, len(labels))
    truth = [labels[i] for i in rng.choice(len(labels), n, p=weights / weights.sum())]
    logits = rng.normal(size=(n, len(all_labels)))
    logits[np.arange(n), [all_labels.index(t) for t in truth]] += strength
    probabilities = np.exp(1.3 * logits)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    if key.startswith("kaggle"):
        probabilities[:2] = 0  # the detector found no cell in these fields
    frame = pd.DataFrame(probabilities, columns=[f"p_{label}" for label in all_labels])
    frame.insert(0, "truth", truth)
    frame.insert(0, "file", [_file(key, label, i) for i, label in enumerate(truth)])
    frame.insert(0, "set", key)
    return classification_metrics(truth, probabilities, labels, all_labels=all_labels), frame


def _write_classifier(root: Path, name: str, all_labels: list[str], sets: dict) -> None:
    measured = {key: _classified(key, all_labels, *described) for key, described in sets.items()}
    _write(
        root / name,
        _card(name, all_labels),
        {key: metrics for key, (metrics, _) in measured.items()},
        pd.concat([frame for _, frame in measured.values()]),
    )


def _write_detector(root: Path) -> None:
    rng = np.random.default_rng(5)
    truths, found, files = [], [], [f"images/test/{i}.webp" for i in range(60)]
    for file in files:
        for kind, most, side in (("wbc", 4, 90), ("rbc", 22, 45), ("platelet", 5, 18)):
            for _ in range(rng.integers(kind != "platelet", most)):
                box = np.array([*rng.uniform(0, 250, 2), side, side])
                truths.append((file, kind, *box))
                if rng.random() < 0.95:
                    moved = box + rng.normal(0, side / 25, 4)
                    found.append((file, kind, *moved, rng.beta(8, 2)))
            if rng.random() < 0.3:
                found.append((file, kind, *rng.uniform(0, 250, 2), side, side, rng.beta(2, 3)))
    columns = ["file", "kind", "x", "y", "width", "height"]
    truth = pd.DataFrame(truths, columns=columns)
    prediction = pd.DataFrame(found, columns=[*columns, "score"])
    card = _card("detector", ["wbc", "rbc", "platelet"])
    metrics = detection_metrics(truth, prediction, files, thresholds=card["thresholds"])
    rows = pd.concat([truth.assign(source="truth"), prediction.assign(source="prediction")])
    _write(root / "detector", card, {"txl_test": metrics}, rows.assign(set="txl_test"))


def write_models(root: Path) -> Path:
    """Write the folders of all three models and return their parent."""
    _write_classifier(root, "wbc", list(CELL_TYPES), WBC_SETS)
    stages = list(STAGES)
    _write_classifier(
        root,
        "all_stage",
        stages,
        {"taleqani_folds": (stages, 400, 4.3)},
    )
    _write_detector(root)
    return root
