"""The cells that small comparisons train on and measure with: few of each type and laboratory."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from core.datasets.readers import Example, open_set
from core.domain.taxonomy import MATURE_FIVE
from core.inference.pipeline import subject_of_crop, subject_of_field
from core.settings import Settings
from core.training.data.cells import Cells, cells_of, load_cells, save_cells, shipped_detector

SEED = 17


def sampled(examples: Sequence[Example], each: int, seed: int = SEED) -> list[Example]:
    """Return up to `each` examples of every label, drawn at random and always the same."""
    by_label: dict[str, list[Example]] = {}
    for example in examples:
        by_label.setdefault(str(example.label), []).append(example)
    rng = np.random.default_rng(seed)
    return [own[k] for _, own in sorted(by_label.items()) for k in rng.permutation(len(own))[:each]]


def laboratory_cells(settings: Settings, run: Path, name: str, split: str, each: int) -> Cells:
    """Return cells of one laboratory as the shipped detector finds them, kept in a run folder.

    Fields of the Kaggle set in which it finds no white cell are left out.
    """
    path = run / f"{name}_{split}_{each}.npz"
    if not path.exists():
        data = open_set(name, settings)
        find = subject_of_field if name == "kaggle" else subject_of_crop
        choose = partial(find, detector=shipped_detector(settings))
        save_cells(path, cells_of(data, sampled(data.of_split(split), each), choose))
    return load_cells(path)


def mature(cells: Cells) -> Cells:
    """Keep the mature types, which are the first ones of the taxonomy."""
    return cells.chosen(cells.types < len(MATURE_FIVE))
