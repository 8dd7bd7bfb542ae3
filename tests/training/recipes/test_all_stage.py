"""A few fields, publish, load, predict."""

import numpy as np
import pytest

from core.datasets.readers import open_set
from core.domain.taxonomy import STAGES
from core.inference.field_classifier import stage_input, tta_views, without_corner
from core.inference.runtime import LiteRTEngine
from core.model_card import load_card, read_checked
from core.settings import get_settings
from core.training.data.all_fields import FOLD_HEADS, FOLDS, Fields

pytestmark = pytest.mark.training

SIZE = 96


@pytest.fixture
def fields(pack):
    """Give one field of each class and fold."""
    del pack
    data = open_set("taleqani")
    examples = list({(e.split, e.label): e for e in data.examples}.values())
    return Fields(
        tuple(examples),
        np.stack([without_corner(data.read(e)) for e in examples]),
        np.array([list(STAGES).index(e.label) for e in examples]),
    )


def test_a_published_network_grades_fields_out_of_its_file(fields, tmp_path, monkeypatch):
    from core.training.data import quality_control
    from core.training.recipes import all_stage

    monkeypatch.setattr(all_stage, "all_fields", lambda _: fields)
    monkeypatch.setattr(all_stage, "SIZE", SIZE)
    stained = {"stained": all_stage.AUGMENTATIONS["stained"]}
    monkeypatch.setattr(all_stage, "AUGMENTATIONS", stained)
    monkeypatch.setattr(quality_control, "VIEWS", 6)
    settings = get_settings().model_copy(update={"models": tmp_path})
    trained = all_stage.train(settings, tmp_path / "run", epochs=0.1)
    all_stage.publish(trained, settings, "9.9.9")
    assert (tmp_path / "run" / f"fold_{FOLDS[0]}" / "history.csv").exists()
    assert (tmp_path / "all_stage" / FOLD_HEADS).exists()
    card = load_card("all_stage", settings)
    assert (card.version, card.input_width) == ("9.9.9", SIZE)
    engine = LiteRTEngine(read_checked(card, settings))
    view = tta_views(stage_input(fields.pixels[0], SIZE))[0]
    outputs = engine.run(view[None].astype(np.float32))
    assert outputs["stage"].shape == (1, len(STAGES))
    assert {"smear", "all_field", "evidence"} <= outputs.keys()
