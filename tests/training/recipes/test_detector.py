from dataclasses import replace

import numpy as np
import pytest

from core.domain.boxes import Box
from core.domain.taxonomy import CELL_KINDS
from core.errors import ModelError
from core.inference.detector import Detection, Detector
from core.inference.runtime import LiteRTEngine
from core.model_card import load_card, read_checked
from core.settings import get_settings
from core.training.data.detection_fields import Labelled, corner_rows
from core.training.loop import Stage
from core.training.recipes.detector import best_thresholds

pytestmark = pytest.mark.training

TRUE = [("wbc", Box(10, 10, 40, 40)), ("wbc", Box(100, 10, 40, 40)), ("rbc", Box(60, 60, 20, 20))]


class Found:
    """A detector that finds the same cells in every field."""

    def __init__(self, *detections):
        self._detections = detections

    def detect(self, _pixels, *, lowest):
        return tuple(d for d in self._detections if d.score >= lowest)


@pytest.fixture
def field():
    return Labelled(np.zeros((160, 160, 3), np.uint8), corner_rows(TRUE))


def test_a_threshold_lies_halfway_between_the_last_hit_and_the_next_false_alarm(field):
    detector = Found(
        Detection("wbc", Box(11, 10, 40, 40), 0.9),
        Detection("wbc", Box(101, 10, 40, 40), 0.6),
        Detection("wbc", Box(10, 110, 40, 40), 0.3),
        Detection("rbc", Box(60, 60, 20, 20), 0.8),
        Detection("platelet", Box(0, 0, 9, 9), 0.7),
    )
    thresholds = best_thresholds(detector, [field])
    assert thresholds.keys() == set(CELL_KINDS)
    assert thresholds["wbc"] == pytest.approx(0.45, abs=0.002)
    assert thresholds["rbc"] == pytest.approx((0.8 + 0.05) / 2, abs=0.002)


def test_a_cell_found_twice_is_one_hit(field):
    twice = Found(
        Detection("wbc", Box(10, 10, 40, 40), 0.9),
        Detection("wbc", Box(12, 10, 40, 40), 0.5),
        Detection("rbc", Box(60, 60, 20, 20), 0.8),
        Detection("platelet", Box(0, 0, 9, 9), 0.7),
    )
    assert best_thresholds(twice, [field])["wbc"] == pytest.approx(0.7, abs=0.002)


def test_red_cells_of_a_field_without_their_boxes_choose_nothing(field):
    detector = Found(
        Detection("wbc", Box(11, 10, 40, 40), 0.9),
        Detection("rbc", Box(60, 60, 20, 20), 0.8),
        Detection("rbc", Box(10, 110, 20, 20), 0.9),
        Detection("platelet", Box(0, 0, 9, 9), 0.7),
    )
    only_white = replace(field, boxes=field.boxes[field.boxes[:, 0] == 0], only_white=True)
    alone = best_thresholds(detector, [field])
    assert best_thresholds(detector, [field, only_white, only_white]) == alone


def test_a_detector_that_finds_nothing_of_a_kind_is_refused(field):
    with pytest.raises(ModelError, match="no red cell at all"):
        best_thresholds(Found(Detection("wbc", Box(10, 10, 40, 40), 0.9)), [field])


def test_a_published_detector_finds_boxes_out_of_its_file(labelled_fields, tmp_path, monkeypatch):
    from core.training.recipes import detector

    # Two steps find nothing: thresholds below the prior of the untrained heads.
    thresholds = dict.fromkeys(CELL_KINDS, 0.015)
    stages = {Stage("heads", 2, 1e-3, None, 128): detector.Mix()}
    training, validation = labelled_fields[:8], labelled_fields[8:]
    monkeypatch.setattr(detector, "real_fields", lambda _: (training, validation))
    monkeypatch.setattr(detector, "synthetic_fields", lambda _: training[:1])
    monkeypatch.setattr(detector, "small_cell_fields", lambda *_: training[:1])
    monkeypatch.setattr(detector, "crowded_fields", lambda *_: training[:1])
    monkeypatch.setattr(detector, "threshold_fields", lambda *_: validation)
    monkeypatch.setattr(detector, "STAGES", stages)
    monkeypatch.setattr(detector, "best_thresholds", lambda *_: thresholds)
    settings = get_settings().model_copy(update={"models": tmp_path})
    detector.publish(detector.train(settings, tmp_path / "run"), settings, "9.9.9")
    card = load_card("detector", settings)
    assert (card.version, card.thresholds.by_name()) == ("9.9.9", thresholds)
    found = Detector(LiteRTEngine(read_checked(card, settings)), card).detect(
        validation[0].pixels, lowest=0.0
    )
    assert found
    assert {one.kind for one in found} <= set(CELL_KINDS)
