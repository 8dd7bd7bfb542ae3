"""Measures the ALL field model: held-out folds, another stain, evidence, and the input gate."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from core.inference.analyzer import Analyzer
from core.inference.card import load_card, read_checked
from core.inference.classifier import softmax
from core.inference.engine import LiteRTEngine
from core.learning.evaluate_cells import measure_folder
from core.learning.evaluate_data import describe_sets
from core.learning.evaluate_evidence import evidence_on_cells
from core.learning.evaluate_gate import measure_gate
from core.learning.field_data import (
    all_fields,
    held_out_logits,
    stain_jittered,
    tone_swapped,
)
from core.learning.metrics import classification_metrics
from core.results import Pixels
from core.settings import Settings
from core.taxonomy import STAGES

_LABELS = list(STAGES)


def standard(settings: Settings) -> tuple[dict[str, Any], pd.DataFrame]:
    """Let each fold's head answer for the fold it did not see; they share one trunk.

    Every fourth field is measured with its look changed, all of them as they are. The input
    gate is an output of the same network and measured here too.
    """
    fields = all_fields(settings)
    card = load_card("all_stage", settings)
    everyone, some = np.arange(len(fields)), np.arange(0, len(fields), 4)
    pictures: dict[str, tuple[NDArray[np.int64], Sequence[Pixels]]] = {
        "taleqani_folds_stain_jitter": (some, stain_jittered(list(fields.pixels))),
        "taleqani_folds_tone_swapped": (some, tone_swapped(fields)),
        "taleqani_folds": (everyone, list(fields.pixels)),
    }
    engine = LiteRTEngine(read_checked(card, settings))
    held_out = held_out_logits(engine, card.input_width, settings)
    frames, metrics = [], {}
    for name, (rows, pixels) in pictures.items():

        def answer(row: int, pixels: Sequence[Pixels] = pixels) -> NDArray[np.float64]:
            logits = held_out(pixels[row], fields.examples[row].split)
            return softmax(logits, card.temperature)

        with ThreadPoolExecutor(2) as pool:
            answers = list(tqdm(pool.map(answer, rows), total=len(rows), desc=name))
        chosen = [fields.examples[row] for row in rows]
        truth, probabilities = [str(e.label) for e in chosen], np.stack(answers)
        metrics[name] = classification_metrics(truth, probabilities, _LABELS)
        frames.append(_frame(name, [e.member for e in chosen], truth, probabilities))
    analyzer = Analyzer(settings)
    measured = {
        "sets": metrics,
        "evidence": evidence_on_cells(analyzer, settings),
        "gate": measure_gate(analyzer, settings),
        "data": describe_sets("all_stage", settings),
    }
    return measured, pd.concat(frames, ignore_index=True)


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
