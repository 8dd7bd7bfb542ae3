import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.datasets.readers import open_set
from core.settings import get_settings

pytestmark = pytest.mark.training


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    scale=st.floats(0.4, 2.0),
    x=st.integers(20, 180),
    y=st.integers(20, 130),
)
def test_boxes_move_with_their_cells(seed, scale, x, y):
    from core.training.data.detection_batches import place
    from core.training.data.detection_fields import Labelled

    pixels = np.zeros((200, 260, 3), np.uint8)
    pixels[y : y + 40, x : x + 50] = (255, 255, 255)
    source = Labelled(pixels, np.array([[0, x, y, x + 50, y + 40]], np.float32))
    rng = np.random.default_rng(seed)
    placed = place(source, 320, rng, scale=scale, centre=((x + 25) / 260, (y + 20) / 200))
    (kind, x0, y0, x1, y1) = placed.boxes[0]
    assert kind == 0
    inside = placed.pixels[round(y0) + 3 : round(y1) - 2, round(x0) + 3 : round(x1) - 2]
    assert inside.min() > 100
    assert abs((x0 + x1) / 2 - 160) < 1.5
    assert abs((y0 + y1) / 2 - 160) < 1.5


def test_no_test_picture_reaches_training(pack):
    from core.training.data.detection_fields import NEAR_DUPLICATE_BITS, hashes, real_fields

    training, validation = real_fields(get_settings())
    assert len(training) > 1_000
    assert 60 < len(validation) < 130
    # Kaggle's plain test fields and BCCD show the same slides: the guard must have had work.
    kaggle, bccd = open_set("kaggle"), open_set("bccd")
    simple = hashes(kaggle, kaggle.of_split("test_simple"))
    all_bccd = hashes(bccd, bccd.examples)
    distance = (simple[:, None] != all_bccd[None]).sum(-1).min(1)
    assert (distance <= NEAR_DUPLICATE_BITS).all()


def test_near_duplicates_are_found_and_other_fields_are_not(pack):
    from core.training.data.detection_fields import hashes, near_duplicates

    data = open_set("bccd")
    some = hashes(data, data.examples[:12])
    assert near_duplicates(some, some).all()
    assert not near_duplicates(some[:6], some[6:]).any()
    assert not near_duplicates(some, some[:0]).any()


def test_batches_hold_pictures_and_padded_boxes(pack):
    from core.training.data.detection_batches import TrainingFields
    from core.training.data.detection_fields import synthetic_fields
    from core.training.networks.detection_loss import MAX_BOXES

    groups = [(synthetic_fields(3), 1.0)]
    batches = TrainingFields(groups, 256, batch=4, steps=2, seed=1, strong=0.5, mosaics=0.5)
    pixels, targets = batches[0]
    assert pixels.shape == (4, 256, 256, 3)
    assert targets.shape == (4, MAX_BOXES, 5)
    real = targets[targets[..., 0] >= 0]
    assert len(real) > 10
    assert real[:, 1:].min() >= 0
    assert real[:, 1:].max() <= 256
    np.testing.assert_array_equal(batches[0][0], pixels)
    assert not np.array_equal(batches[1][0], pixels)


def test_fields_at_low_magnification_have_white_cells_alone(pack):
    from core.training.data.detection_batches import TrainingFields, target_of
    from core.training.data.detection_fields import small_cell_fields
    from core.training.networks.detection_loss import NO_BOX_ONLY_WHITE

    fields = small_cell_fields(get_settings(), "val")
    assert len(fields) > 60
    assert all(field.only_white and (field.boxes[:, 0] == 0).all() for field in fields)
    assert (target_of(fields[0])[:, 0] == NO_BOX_ONLY_WHITE).any()
    batches = TrainingFields([(fields, 1.0)], 128, batch=8, steps=1, seed=1, strong=0, mosaics=0.5)
    _, targets = batches[0]
    assert (targets[..., 0] == NO_BOX_ONLY_WHITE).any(1).all()
    sides = (targets[..., 3] - targets[..., 1])[targets[..., 0] == 0]
    assert sides.max() > 2 * sides.min()


def test_more_boxes_than_rows_still_say_what_is_labelled():
    from core.training.data.detection_batches import target_of
    from core.training.data.detection_fields import Labelled
    from core.training.networks.detection_loss import MAX_BOXES, NO_BOX, NO_BOX_ONLY_WHITE

    boxes = np.tile(np.array([[0, 1, 1, 9, 9]], np.float32), (2 * MAX_BOXES, 1))
    pixels = np.zeros((16, 16, 3), np.uint8)
    assert target_of(Labelled(pixels, boxes))[-1, 0] == NO_BOX
    assert target_of(Labelled(pixels, boxes, only_white=True))[-1, 0] == NO_BOX_ONLY_WHITE
