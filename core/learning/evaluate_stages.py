"""Measures the ALL field model: held-out folds, and the same under another stain."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from core.inference.analyzer import Analyzer
from core.inference.card import MODEL_FILE, load_card
from core.inference.classifier import softmax
from core.inference.engine import LiteRTEngine
from core.inference.stage import stage_logits
from core.learning.evaluate_cells import measure_folder
from core.learning.field_data import FOLDS, all_fields, of_folds, stain_jittered
from core.learning.metrics import classification_metrics
from core.results import Pixels
from core.settings import Settings
from core.taxonomy import STAGES

_LABELS = list(STAGES)


def standard(settings: Settings) -> tuple[dict[str, Any], pd.DataFrame]:
    """Let each fold's model answer for the fold it did not see. Returns metrics, predictions."""
    fields = all_fields(settings)
    card = load_card("all_stage", settings)
    pictures: dict[str, list[Pixels]] = {
        "taleqani_folds_stain_jitter": stain_jittered(list(fields.pixels)),
        "taleqani_folds": list(fields.pixels),
    }
    frames, metrics = [], {}
    truth = [str(e.label) for e in fields.examples]
    for name, pixels in pictures.items():
        probabilities = np.zeros((len(fields), len(_LABELS)))
        for fold in tqdm(FOLDS, desc=name):
            path = settings.models / "all_stage" / "folds" / fold / MODEL_FILE
            engine = LiteRTEngine(path.read_bytes(), interpreters=1)
            for row in np.nonzero(of_folds(fields, fold))[0]:
                logits = stage_logits(engine, pixels[row], card.input_width)
                probabilities[row] = softmax(logits, card.temperature)
        metrics[name] = classification_metrics(truth, probabilities, _LABELS)
        frames.append(_frame(name, [e.member for e in fields.examples], truth, probabilities))
    return {"sets": metrics}, pd.concat(frames, ignore_index=True)


def _frame(
    name: str, files: list[str], truth: list[str], probabilities: NDArray[np.float64]
) -> pd.DataFrame:
    frame = pd.DataFrame(probabilities, columns=[f"p_{label}" for label in _LABELS])
    frame.insert(0, "truth", truth)
    frame.insert(0, "file", files)
    frame.insert(0, "set", name)
    return frame


def folder(path: Path, settings: Settings) -> dict[str, Any]:
    """Measure fields in `path/<stage>/*` with the final model."""
    answer = Analyzer(settings).stage
    return {"model": "all_stage", "sets": measure_folder(path, tuple(STAGES), answer, settings)}
