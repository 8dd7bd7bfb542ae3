import cv2
import numpy as np
import pytest

from core.datasets.readers import open_set
from core.domain.boxes import iou
from core.inference.detector import MOST_ENLARGED, STRIDE, WANTED_WHITE_CELL, Detector
from core.model_card import load_card


@pytest.fixture(scope="module")
def labelled(pack):
    data = open_set("txl")
    return [(data.read(e), e.boxes) for e in data.of_split("test")[:24]]


def corners(box):
    return np.array([box.x, box.y, box.x + box.width, box.y + box.height], np.float32)


def found_share(detector: Detector, fields, kind):
    hits = total = 0
    for pixels, boxes in fields:
        found = [corners(d.box) for d in detector.detect(pixels) if d.kind == kind]
        for box in boxes:
            if box.kind == kind:
                total += 1
                hits += bool(found) and iou(corners(box), np.array(found)).max() >= 0.5
    return hits / total


@pytest.mark.parametrize(("kind", "wanted"), [("wbc", 0.9), ("rbc", 0.85)])
def test_finds_the_labelled_cells(analyzer, labelled, kind, wanted):
    assert found_share(analyzer.detector, labelled, kind) >= wanted


def test_boxes_lie_in_the_image_and_come_in_reading_order(analyzer, labelled):
    for pixels, _ in labelled[:6]:
        height, width = pixels.shape[:2]
        found = analyzer.detector.detect(pixels)
        assert found
        for d in found:
            assert d.box.x >= 0
            assert d.box.y >= 0
            assert d.box.x + d.box.width <= width + 1e-3
            assert d.box.y + d.box.height <= height + 1e-3
        kinds = [d.kind for d in found]
        assert kinds == sorted(kinds, key=["wbc", "rbc", "platelet"].index)
        white = [d.box.y for d in found if d.kind == "wbc"]
        assert white == sorted(white)


@pytest.mark.parametrize("factor", [0.6, 2.0, 3.0])
def test_white_cells_are_found_at_other_magnifications(analyzer, labelled, factor):
    same = 0
    for pixels, _ in labelled[:10]:
        scaled = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        counts = [
            sum(d.kind == "wbc" for d in analyzer.detector.detect(p)) for p in (pixels, scaled)
        ]
        same += counts[0] == counts[1]
    assert same >= 9


def test_small_cells_of_a_wide_field_get_a_closer_look(analyzer, labelled):
    pixels = labelled[0][0]
    tile = cv2.resize(pixels, (160, 160), interpolation=cv2.INTER_AREA)
    wide = np.tile(tile, (5, 5, 1))
    single = sum(d.kind == "wbc" for d in analyzer.detector.detect(tile))
    assert single >= 1
    found = sum(d.kind == "wbc" for d in analyzer.detector.detect(wide))
    assert 0.8 * 25 * single <= found <= 1.2 * 25 * single


def test_nothing_is_found_where_nothing_is(analyzer):
    assert analyzer.detector.detect(np.full((240, 320, 3), 230, np.uint8)) == ()


class Recorder:
    """An engine that keeps the sizes of its frames and finds one white cell of a given side."""

    def __init__(self, side=0.0):
        self.side, self.widths = side, []

    def run(self, frame):
        height, width = frame.shape[1] // STRIDE, frame.shape[2] // STRIDE
        self.widths.append(frame.shape[2])
        kinds = np.zeros((1, height, width, 3), np.float32)
        if self.side:
            kinds[0, height // 2, width // 2, 0] = 0.9
        zoom = frame.shape[2] / self.widths[0]
        return {"kinds": kinds, "sides": np.full((1, height, width, 4), zoom * self.side / 2)}


def passes(pixels, side=0.0):
    """Return the widths of all forward passes over an image without red cells."""
    engine = Recorder(side)
    Detector(engine, load_card("detector")).detect(pixels, tta=False)
    return engine.widths


def with_nuclei(radius):
    pixels = np.full((384, 384, 3), 235, np.uint8)
    for x in range(60, 384, 110):
        cv2.circle(pixels, (x, 3 * x % 384), radius, (110, 60, 150), cv2.FILLED)
    return pixels


def test_small_white_cells_get_a_finer_pass():
    glass = np.full((384, 384, 3), 235, np.uint8)
    first, second = passes(glass, side=25)
    assert first == 384
    assert second == pytest.approx(384 * WANTED_WHITE_CELL / 25, abs=32)
    assert passes(glass, side=60) == [384]


def test_small_nuclei_that_no_pass_found_get_a_finer_pass():
    first, second, *_ = passes(with_nuclei(8))
    assert first == 384
    assert second > 1.5 * first
    assert passes(with_nuclei(30)) == [384]


@pytest.mark.parametrize("longest", [200, 384, 900])
def test_a_finer_pass_enlarges_an_image_by_little(longest):
    widths = passes(np.full((longest, longest, 3), 235, np.uint8), side=8)
    assert max(widths) <= max(384, MOST_ENLARGED * longest + 32)
