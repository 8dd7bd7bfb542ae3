"""Networks on ALL fields: each fold is graded by a network that did not see it."""

import numpy as np
import pytest

from core.datasets.readers import open_set
from core.domain.taxonomy import STAGES
from core.evaluation.comparisons import load_comparisons
from core.evaluation.tables import architectures_table

pytestmark = pytest.mark.training


def test_every_fold_is_graded_once(pack, settings_with_detector, tmp_path, monkeypatch):
    del pack
    from core.inference.field_classifier import without_corner
    from core.training.data.all_fields import Fields
    from research import compare_stages

    data = open_set("taleqani", settings_with_detector)
    examples = data.examples[::60]
    fields = Fields(
        examples,
        np.stack([without_corner(data.read(e)) for e in examples]),
        np.array([tuple(STAGES).index(str(e.label)) for e in examples]),
    )
    monkeypatch.setattr(compare_stages, "all_fields", lambda _: fields)
    trained = []
    train = compare_stages._train

    def noted(network, own, rows, *others):
        trained.append(set(rows.tolist()))
        train(network, own, rows, *others)

    monkeypatch.setattr(compare_stages, "_train", noted)
    tiny = compare_stages.Protocol(epochs=1, size=32, folds=("0", "4"))
    row = compare_stages.compare_stages("convnet", settings_with_detector, tmp_path, tiny)
    held_out = [{k for k, e in enumerate(examples) if e.split == fold} for fold in ("0", "4")]
    assert row.sets["taleqani"].n == sum(map(len, held_out))
    assert [own & rows for own, rows in zip(held_out, trained, strict=True)] == [set(), set()]
    assert row.protocol.endswith("measured on folds 0, 4")
    written = load_comparisons("all_stage", settings_with_detector).architectures
    table = architectures_table(written)
    assert table.loc[0, "Network"] == "Plain convolutional network"
    assert any(column.endswith("accuracy") for column in table)
