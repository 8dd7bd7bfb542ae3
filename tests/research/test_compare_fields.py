"""The detector's parts are told apart and measured each on its own fields."""

import numpy as np
import pytest

from core.datasets.readers import open_set
from core.evaluation.comparisons import load_comparisons

pytestmark = pytest.mark.training


def test_a_row_measures_every_part_on_its_own_fields(
    pack, settings_with_detector, tmp_path, monkeypatch, analyzer
):
    del pack
    from research import compare_fields

    # The shipped detector stands for the trained one: training it takes minutes.
    monkeypatch.setattr(compare_fields, "_trained", lambda *_: (analyzer.detector, 60.0))
    monkeypatch.setattr(compare_fields, "FIELDS", ("txl_360",))
    row = compare_fields.compare_parts("txl_360", settings_with_detector, tmp_path)
    data = open_set("txl")
    sides = [max(data.read(e).shape) for e in data.of_split("test")]
    own = row.sets["txl_360"]
    assert own.images == sum(side < 400 for side in sides)
    assert own.wbc_recall.value > 0.8
    written = load_comparisons("detector", settings_with_detector)
    assert written.fields["txl_360"].sets == row.sets


def test_images_of_one_source_are_one_part():
    from research.compare_fields import part_of

    parts = {(363, 360): "txl_360", (575, 575): "txl_575", (480, 640): "bccd", (416, 416): "bccd"}
    for shape, part in parts.items():
        assert part_of(np.zeros((*shape, 3), np.uint8)) == part
