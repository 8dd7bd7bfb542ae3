import numpy as np
import pytest

pytestmark = pytest.mark.training

SIDE = 128


@pytest.fixture(scope="module")
def tools():
    import tensorflow as tf

    from core.inference.detector import STRIDE
    from core.training.networks.detection_loss import MAX_BOXES, DetectionLoss, iou, positions
    from core.training.networks.mobilenet import DISTANCE_BINS

    return tf, DISTANCE_BINS, STRIDE, MAX_BOXES, DetectionLoss(3), iou, positions


def target(boxes, count):
    padded = np.full((1, count, 5), -1, np.float32)
    padded[0, : len(boxes)] = np.reshape(boxes, (-1, 5))
    return padded


def answer(tools, boxes, *, shift=0.0, sure=6.0):
    """The map of a network that finds exactly these boxes, moved by `shift` pixels."""
    _, bins, stride, *_ = tools
    cells = SIDE // stride
    maps = np.full((1, cells, cells, 3 + 4 * bins), 0, np.float32)
    maps[..., :3] = -sure
    for kind, x0, y0, x1, y1 in boxes:
        for row in range(cells):
            for column in range(cells):
                x, y = (column + 0.5) * stride, (row + 0.5) * stride
                if not (x0 < x < x1 and y0 < y < y1):
                    continue
                maps[0, row, column, int(kind)] = sure
                sides = (x - x0 - shift, y - y0, x1 + shift - x, y1 - y)
                for side, distance in enumerate(sides):
                    d = np.clip(distance / stride, 0, bins - 1.01)
                    first = 3 + side * bins
                    maps[0, row, column, first : first + bins] = -12.0
                    maps[0, row, column, first + int(d)] = np.log(max(1 - d % 1, 1e-5))
                    maps[0, row, column, first + int(d) + 1] = np.log(max(d % 1, 1e-5))
    return maps


BOXES = [(0, 8, 8, 72, 72), (2, 88, 80, 112, 112)]


def test_a_right_answer_costs_less_than_a_shifted_or_empty_one(tools):
    loss, count = tools[4], tools[3]
    truth = target(BOXES, count)
    right = float(loss(truth, answer(tools, BOXES)))
    shifted = float(loss(truth, answer(tools, BOXES, shift=10)))
    swapped = float(loss(truth, answer(tools, [(1, *BOXES[0][1:]), BOXES[1]])))
    assert right < 0.7 * shifted
    assert right < 0.7 * swapped


def test_a_picture_without_cells_gives_a_finite_loss(tools):
    loss, count = tools[4], tools[3]
    empty = target([], count)
    quiet = float(loss(empty, answer(tools, [])))
    loud = float(loss(empty, answer(tools, BOXES)))
    assert np.isfinite(quiet)
    assert quiet < loud


def test_kinds_without_boxes_cost_nothing_away_from_white_cells(tools):
    from core.training.networks.detection_loss import NO_BOX_ONLY_WHITE

    loss, count = tools[4], tools[3]
    white, stranger = BOXES[0], (88, 80, 112, 112)
    all_labelled = target([white], count)
    only_white = np.where(all_labelled == -1, NO_BOX_ONLY_WHITE, all_labelled)
    right = answer(tools, [white])
    with_red = answer(tools, [white, (1, *stranger)])
    with_white = answer(tools, [white, (0, *stranger)])
    as_red = answer(tools, [white])
    as_red[..., 1] = np.maximum(as_red[..., 1], as_red[..., 0])
    assert float(loss(all_labelled, with_red)) > 1.2 * float(loss(all_labelled, right))
    assert float(loss(only_white, with_red)) == pytest.approx(float(loss(only_white, right)))
    # A white cell without a box is wrong, and so is a white cell that is called red.
    assert float(loss(only_white, with_white)) > 1.2 * float(loss(only_white, right))
    assert float(loss(only_white, as_red)) > 1.2 * float(loss(only_white, right))


def test_complete_iou_is_one_for_equal_boxes_and_below_iou_otherwise(tools):
    tf, iou = tools[0], tools[5]
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 50, (200, 2))
    boxes = tf.constant(np.hstack([low, low + rng.uniform(2, 60, (200, 2))]), tf.float32)
    np.testing.assert_allclose(iou(boxes, boxes, complete=True), 1, atol=1e-4)
    others = tf.roll(boxes, 1, axis=0)
    assert np.all(iou(boxes, others, complete=True) <= iou(boxes, others) + 1e-5)


def test_positions_are_the_centres_of_output_cells(tools):
    centres = tools[6](2, 3).numpy()
    assert centres.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]
