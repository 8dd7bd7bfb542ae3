"""The cells that small comparisons train on and measure with: few of each type and source."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.datasets.readers import Example, open_set
from core.settings import Settings
from core.training.data.cell_sources import cells_of, shipped_detector
from core.training.data.cells import TrainingCells

SEED = 17


def sampled(examples: Sequence[Example], each: int) -> list[Example]:
    """Return up to `each` examples of every label, drawn at random and always the same."""
    by_label: dict[str, list[Example]] = {}
    for example in examples:
        by_label.setdefault(str(example.label), []).append(example)
    rng = np.random.default_rng(SEED)
    return [own[k] for _, own in sorted(by_label.items()) for k in rng.permutation(len(own))[:each]]


def source_cells(settings: Settings, run: Path, name: str, split: str, each: int) -> TrainingCells:
    """Return cells of one source as the shipped detector finds them, kept in a run folder."""
    folder = run / f"{name}_{split}_{each}"
    if not (folder / "groups.npy").exists():
        data = open_set(name, settings)
        examples = sampled(data.of_split(split), each)
        cells_of(data, examples, shipped_detector(settings)).save(folder)
    return TrainingCells.load(folder)
