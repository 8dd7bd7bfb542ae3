"""A doubted label stays, is replaced or is dropped by what networks say that did not see it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.settings import get_settings
from core.training.data.cells import DETAILS, SUBTYPES, TYPES, TrainingCells

pytestmark = pytest.mark.training
SUBTYPE = list(DETAILS).index("subtype")


def cells_of(*classes):
    """Return one cell of each class, a folder of the set with its type and subtype."""
    count = len(classes)
    details = np.full((count, len(DETAILS)), -1)
    details[:, SUBTYPE] = [SUBTYPES.index(sub) if sub else -1 for _, _, sub in classes]
    return TrainingCells(
        crops=np.zeros((count, 1, 1, 3), np.uint8),
        types=np.array([TYPES.index(name) for _, name, _ in classes]),
        details=details,
        weights=np.zeros(count, np.float32),
        unscaled=np.ones(count, np.float32),
        members=np.array([f"{folder}/{k}.webp" for k, (folder, _, _) in enumerate(classes)]),
        groups=np.full(count, ""),
    )


def answers(*named, subtype="band"):
    """Return logits of one network: for each cell a type and its probability."""
    logits = np.zeros((len(named), len(TYPES)), np.float32)
    for row, (name, probability) in enumerate(named):
        odds = probability * (len(TYPES) - 1) / (1 - probability)
        logits[row, TYPES.index(name)] = np.log(odds)
    subtypes = np.zeros((len(named), len(SUBTYPES)), np.float32)
    subtypes[:, SUBTYPES.index(subtype)] = 5
    return {"type": logits, "subtype": subtypes}


EOSINOPHIL = ("eosinophil", "eosinophil", None)
BAND = ("neutrophil_band", "neutrophil", "band")


def test_types_stay_go_or_change_by_agreement():
    from research.label_agreement import agreed

    cells = cells_of(EOSINOPHIL, EOSINOPHIL, EOSINOPHIL, EOSINOPHIL)
    first = answers(
        ("eosinophil", 0.4), ("neutrophil", 0.9), ("neutrophil", 0.9), ("neutrophil", 0.9)
    )
    second = answers(
        ("eosinophil", 0.9), ("neutrophil", 0.85), ("neutrophil", 0.7), ("monocyte", 0.9)
    )
    found = agreed(cells, [first, second])
    assert found["type"].tolist() == ["eosinophil", "neutrophil", "", ""]
    assert found["subtype"].tolist() == ["", "", "", ""]
    assert found["path"].tolist() == cells.members.tolist()


def test_a_subtype_stays_only_where_all_networks_name_it():
    from research.label_agreement import agreed

    cells, sure = cells_of(BAND), ("neutrophil", 0.9)
    assert agreed(cells, [answers(sure), answers(sure)])["subtype"].tolist() == ["band"]
    other = answers(sure, subtype="segmented")
    found = agreed(cells, [answers(sure), other])
    assert (found["type"].tolist(), found["subtype"].tolist()) == (["neutrophil"], [""])


def test_each_cell_is_judged_by_networks_that_did_not_see_its_patient(tmp_path, monkeypatch):
    from research import label_agreement
    from research.left_out import Length

    by_fold = {}
    for k in range(5):
        cells = cells_of(EOSINOPHIL, ("blast", "blast", None))
        members = np.array([f"eosinophil/{k}.webp", f"blast/{k}.webp"])
        by_fold[f"deepapl_{k}"] = replace(cells, members=members)
    asked = []
    monkeypatch.setattr(
        label_agreement, "sources", lambda _settings, _folder, names: {n: by_fold[n] for n in names}
    )
    monkeypatch.setattr(
        label_agreement, "network_without_source", lambda source, *_: f"without {source}"
    )
    monkeypatch.setattr(
        label_agreement,
        "network_without_fold",
        lambda fold, *_, corrected: f"without fold {fold}, {corrected}",
    )

    def outputs(network, cells, _size):
        asked.append((network, cells.members.tolist()))
        return answers(("eosinophil", 0.9))

    monkeypatch.setattr(label_agreement, "outputs_of", outputs)
    monkeypatch.setattr(label_agreement, "CORRECTIONS", tmp_path / "corrections.csv")
    label_agreement.correct_labels(get_settings(), tmp_path, Length())
    expected = [
        (network, [f"eosinophil/{k}.webp"])
        for k in range(5)
        for network in ("without deepapl", f"without fold {k}, False")
    ]
    assert asked == expected
    written = pd.read_csv(tmp_path / "corrections.csv", keep_default_na=False)
    assert written["type"].tolist() == ["eosinophil"] * 5
