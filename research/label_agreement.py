"""Corrects DeepAPL's rare classes by the agreement of networks that did not see the patient.

`python -m research labels deepapl` asks two networks of every cell whose label is often wrong by
eye: the one without DeepAPL, of `research patients deepapl`, and the one without the cell's fold,
trained with the labels of the hospital. It writes `core/training/data/deepapl_corrections.csv`,
which is read for training alone: cells that are measured keep the labels of their hospital.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.evaluation.calibration import softmax
from core.settings import Settings
from core.training.data.all_fields import FOLDS
from core.training.data.cell_sources import CORRECTIONS, sources
from core.training.data.cells import DETAILS, SUBTYPES, TYPES, TrainingCells
from core.training.evaluate.checkpoint import outputs_of
from core.training.recipes.wbc import SIZE
from research.left_out import Length, network_without_fold, network_without_source

DOUBTED = ("eosinophil", "basophil", "neutrophil_band")
"""Classes of which a third or more look wrong. Plasma cells and promonocytes are doubted too, but
a network without DeepAPL has never seen one and cannot speak for them."""
CERTAIN = 0.8
"""Probability that both networks must give another type before it takes the label's place."""
_SUBTYPE = list(DETAILS).index("subtype")


def correct_labels(settings: Settings, run: Path, length: Length) -> pd.DataFrame:
    """Write the corrections of all folds and return them. Trains what the run folder lacks."""
    outside = network_without_source("deepapl", settings, run, length)
    parts = []
    for fold in FOLDS:
        cells = sources(settings, run / "cells", [f"deepapl_{fold}"])[f"deepapl_{fold}"]
        doubted = np.isin([member.split("/")[0] for member in cells.members], DOUBTED)
        cells = cells.chosen(doubted)
        networks = (outside, network_without_fold(fold, settings, run, length, corrected=False))
        parts.append(agreed(cells, [outputs_of(network, cells, SIZE) for network in networks]))
    corrections = pd.concat(parts).sort_values("path")
    corrections.to_csv(CORRECTIONS, index=False, lineterminator="\n")
    return corrections


def agreed(cells: TrainingCells, answers: list[dict[str, NDArray[np.float32]]]) -> pd.DataFrame:
    """Return path, type and subtype of each cell as the networks agree on them.

    `answers` are the logits of each network by head. The label's type stays when every network
    names it, another takes its place when every network names that one with at least `CERTAIN`;
    otherwise the type is empty: the cell is not learnt. The subtype stays only when every network
    names it too.
    """
    columns = [_row(cells, k, [_of_cell(own, k) for own in answers]) for k in range(len(cells))]
    return pd.DataFrame(columns, columns=["path", "type", "subtype"])


def _of_cell(answers: dict[str, NDArray[np.float32]], row: int) -> dict[str, NDArray[np.float64]]:
    return {name: softmax(answers[name][row], 1.0) for name in ("type", "subtype")}


def _row(cells: TrainingCells, row: int, answers: list[dict[str, Any]]) -> tuple[str, str, str]:
    label, subtype = int(cells.types[row]), int(cells.details[row, _SUBTYPE])
    named = {int(own["type"].argmax()) for own in answers}
    certain = min(float(own["type"].max()) for own in answers) >= CERTAIN
    kept_type = kept_subtype = ""
    if named == {label} or (len(named) == 1 and certain):
        kept_type = TYPES[named.pop()]
    if kept_type == TYPES[label] and {int(own["subtype"].argmax()) for own in answers} == {subtype}:
        kept_subtype = SUBTYPES[subtype]
    return str(cells.members[row]), kept_type, kept_subtype
