import numpy as np
import pytest

from core.datasets.readers import open_set
from core.training.augmentation import appearance


@pytest.fixture(scope="module")
def field(pack):
    data = open_set("bccd")
    return data.read(data.examples[0])[:320, :320].copy()


@pytest.mark.parametrize(
    "change",
    [
        appearance.stain,
        appearance.camera,
        appearance.hue,
        appearance.illumination,
        appearance.blur,
        appearance.noise,
        appearance.augment_appearance,
        appearance.grey,
        appearance.mix_channels,
        appearance.cheap_camera,
    ],
)
def test_changes_keep_shape_repeat_with_the_seed_and_spare_the_input(field, change):
    before = field.copy()
    first = change(field, np.random.default_rng(3))
    again = change(field, np.random.default_rng(3))
    assert first.shape == field.shape
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(field, before)
    others = [change(field, np.random.default_rng(seed)) for seed in range(4, 10)]
    assert any(not np.array_equal(first, other) for other in others)


def test_a_changed_field_still_shows_its_cells(field):
    grey = field.mean(-1).ravel()
    for seed in range(30):
        changed = appearance.augment_appearance(field, np.random.default_rng(seed)).mean(-1).ravel()
        assert np.corrcoef(grey, changed)[0, 1] > 0.5


@pytest.mark.parametrize("change", [appearance.grey, appearance.mix_channels])
def test_without_its_colours_a_field_keeps_its_structure(field, change):
    before = field.mean(-1).ravel()
    for seed in range(20):
        changed = change(field, np.random.default_rng(seed))
        assert np.corrcoef(before, changed.mean(-1).ravel())[0, 1] > 0.85
    spread = appearance.grey(field, np.random.default_rng(0)).astype(int)
    assert np.abs(spread - spread[..., :1]).max() <= 1


def test_a_cheap_camera_darkens_borders_and_loses_contrast():
    glass = np.full((128, 128, 3), 230, np.uint8)
    views = [
        appearance.cheap_camera(glass, np.random.default_rng(s)).astype(int) for s in range(60)
    ]
    unevenness = [np.ptp(view[..., 1]) / view[..., 1].max() for view in views]
    assert min(unevenness) < 0.05
    assert max(unevenness) > 0.4
    tints = [np.ptp(view.mean((0, 1))) for view in views]
    assert max(tints) > 40


def test_a_stronger_stain_change_moves_colours_further(field):
    def moved(strength):
        means = [
            appearance.stain(field, np.random.default_rng(s), strength).mean((0, 1))
            for s in range(20)
        ]
        return np.abs(np.array(means) - field.mean((0, 1))).mean()

    assert moved(1.0) > 2 * moved(0.2)


def test_random_zoom_keeps_the_middle_in_the_middle(field):
    marked = np.zeros_like(field)
    marked[150:170, 150:170] = 255
    for seed in range(10):
        view = appearance.random_zoom(marked, 128, np.random.default_rng(seed), (0.5, 0.9), shift=0)
        ys, xs = np.nonzero(view[..., 0] > 127)
        assert abs(ys.mean() - 64) < 2
        assert abs(xs.mean() - 64) < 2


def test_restaining_gives_the_tone_of_the_other_picture(field):
    other = appearance.colour_statistics(field) + np.array([[-15, 6, -5], [2, 1, -1]], np.float32)
    changed = appearance.colour_statistics(appearance.transfer_stain(field, other))
    assert np.abs(changed - other).max() < 3
    same = appearance.transfer_stain(field, other, 0.0).astype(int)
    assert np.abs(same - field).mean() < 2


@pytest.mark.parametrize("seed", range(8))
def test_a_cut_cell_loses_a_part_and_comes_back_to_the_middle(seed):
    crop = np.full((200, 200, 3), 225, np.uint8)
    crop[60:140, 60:140] = (120, 60, 160)  # a cell of .4 of the crop's side
    cut = appearance.truncate_edge(crop, 0.4, np.random.default_rng(seed))
    rows, columns = np.nonzero(cut[..., 1] < 128)
    assert 0.29 * 80 <= np.ptp(rows) + 1 <= 0.86 * 80
    assert np.ptp(columns) + 1 == 80
    assert rows.mean() == pytest.approx(99.5, abs=1)
