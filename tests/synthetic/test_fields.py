import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.domain.boxes import Box
from core.domain.taxonomy import CELL_KINDS, MATURE_FIVE
from core.synthetic.fields import (
    SyntheticField,
    example_fields,
    example_truth,
    make_cell,
    make_field,
    write_examples,
)

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"


def contrast(field: SyntheticField) -> np.ndarray:
    """Largest difference over the channels from the picture's usual empty background."""
    pixels = field.pixels.astype(float)
    brightest = pixels.sum(axis=2) >= np.quantile(pixels.sum(axis=2), 0.7)
    return np.abs(pixels - np.median(pixels[brightest], axis=0)).max(axis=2)


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture, float)


def window(box: Box, margin: int = 0) -> tuple[slice, slice]:
    x, y = int(box.x), int(box.y)
    right, bottom = x + int(box.width) + margin, y + int(box.height) + margin
    return slice(max(y - margin, 0), bottom), slice(max(x - margin, 0), right)


def micrometres(field: SyntheticField) -> dict[str, float]:
    """Diameter of each white cell that the border does not cut, by type."""
    height, width = field.pixels.shape[:2]
    return {
        cell.type: cell.box.diameter * field.micrometres_per_pixel
        for cell in field.cells
        if cell.type
        and min(cell.box.x, cell.box.y) > 0
        and cell.box.x + cell.box.width < width
        and cell.box.y + cell.box.height < height
    }


def test_the_seed_decides_everything():
    first, again, other = make_field(7), make_field(7), make_field(8)
    assert np.array_equal(first.pixels, again.pixels)
    assert first.cells == again.cells
    assert not np.array_equal(first.pixels, other.pixels)
    assert np.array_equal(make_cell(7, "monocyte"), make_cell(7, "monocyte"))


def test_size_of_one_red_cell_can_be_chosen_and_sets_the_scale():
    field = make_field(3, red_cell_pixels=50.0)
    assert field.micrometres_per_pixel == pytest.approx(7.5 / 50)
    whole = [
        cell.box.diameter
        for cell in field.cells
        if cell.kind == "rbc"
        and 0 < cell.box.x < 640 - cell.box.width
        and 0 < cell.box.y < 480 - cell.box.height
    ]
    assert np.median(whole) == pytest.approx(50, rel=0.1)


def test_requested_types_are_delivered():
    types = ["basophil", "monocyte", "monocyte", "lymphocyte"]
    field = make_field(11, white_cells=types, red_cell_pixels=40)
    assert sorted(c.type for c in field.cells if c.kind == "wbc") == sorted(types)
    assert all(c.type is None for c in field.cells if c.kind != "wbc")


def test_number_of_white_cells_is_kept_and_none_means_one_to_five():
    assert sum(c.kind == "wbc" for c in make_field(5, white_cells=0).cells) == 0
    assert sum(c.kind == "wbc" for c in make_field(5, white_cells=3).cells) == 3
    assert all(1 <= sum(c.kind == "wbc" for c in make_field(s).cells) <= 5 for s in range(5))


def test_types_without_a_drawing_and_pictures_without_room_are_refused():
    with pytest.raises(ValueError, match="erythroblast"):
        make_field(1, white_cells=["erythroblast"])
    with pytest.raises(ValueError, match="erythroblast"):
        make_cell(1, "erythroblast")
    with pytest.raises(ValueError, match="too few for a monocyte"):
        make_field(1, 32, 32, white_cells=["monocyte"], red_cell_pixels=90)


def test_lymphocytes_are_smaller_than_monocytes_and_both_true_to_scale():
    types = ["lymphocyte", "monocyte"]
    fields = [make_field(seed, white_cells=types, red_cell_pixels=35 + seed) for seed in range(12)]
    sizes = [micrometres(field) for field in fields]
    lymphocytes = [size["lymphocyte"] for size in sizes if "lymphocyte" in size]
    monocytes = [size["monocyte"] for size in sizes if "monocyte" in size]
    assert 7 < min(lymphocytes) < max(lymphocytes) < 13
    assert 13.5 < min(monocytes) < max(monocytes) < 21.5


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(200, 500),
    height=st.integers(200, 500),
    pixels=st.floats(28, 90),
)
def test_boxes_lie_in_the_picture_on_whole_pixels(seed, width, height, pixels):
    field = make_field(seed, width, height, white_cells=1, red_cell_pixels=pixels)
    assert field.pixels.shape == (height, width, 3)
    assert field.pixels.dtype == np.uint8
    for cell in field.cells:
        box = cell.box
        assert cell.kind in CELL_KINDS
        assert 0 <= box.x < box.x + box.width <= width
        assert 0 <= box.y < box.y + box.height <= height
        assert [box.x, box.y, box.width, box.height] == [
            int(v) for v in (box.x, box.y, box.width, box.height)
        ]


def test_no_stain_lies_outside_the_boxes():
    for field in example_fields():
        outside = np.ones(field.pixels.shape[:2], bool)
        for cell in field.cells:
            outside[window(cell.box, margin=4)] = False
        stain = contrast(field)
        inside = np.concatenate([stain[window(c.box)].ravel() for c in field.cells])
        assert np.quantile(stain[outside], 0.99) < np.median(inside)


def test_boxes_of_white_cells_are_tight():
    """Each side of the box touches the cell: a strip within is darker than one outside."""
    field = make_field(21, white_cells=["lymphocyte"], red_cell_pixels=60)
    stain = contrast(field)
    box = next(cell.box for cell in field.cells if cell.kind == "wbc")
    rows, columns = window(box)
    assert columns.start > 8
    assert rows.start > 8
    inner = stain[rows, columns]
    sides = (
        (inner[:, :4], stain[rows, columns.start - 7 : columns.start - 3]),
        (inner[:, -4:], stain[rows, columns.stop + 3 : columns.stop + 7]),
        (inner[:4], stain[rows.start - 7 : rows.start - 3, columns]),
        (inner[-4:], stain[rows.stop + 3 : rows.stop + 7, columns]),
    )
    for within, without in sides:
        assert np.quantile(within, 0.95) > 1.5 * np.median(without)


@pytest.mark.parametrize("cell_type", MATURE_FIVE)
def test_a_crop_shows_its_white_cell_in_the_middle(cell_type):
    for seed in range(3):
        crop = make_cell(seed, cell_type, 160).astype(float)
        assert crop.shape == (160, 160, 3)
        green = crop[..., 1]  # chromatin takes most of the green
        assert green[60:100, 60:100].mean() < 0.85 * np.median(green)


def test_examples_show_all_five_mature_types():
    fields = example_fields()
    assert {c.type for f in fields for c in f.cells if c.type} == set(MATURE_FIVE)
    assert all(2 <= sum(c.kind == "wbc" for c in f.cells) <= 6 for f in fields)


def test_committed_examples_are_what_the_code_makes(tmp_path):
    truth = json.loads((EXAMPLES / "truth.json").read_text(encoding="utf-8"))
    assert truth == example_truth()
    write_examples(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert sorted(path.name for path in EXAMPLES.iterdir()) == names
    for path in EXAMPLES.glob("*.jpg"):
        difference = pixels_of(path) - pixels_of(tmp_path / path.name)
        assert np.abs(difference).mean() < 2
    assert sum(path.stat().st_size for path in EXAMPLES.iterdir()) < 3_000_000
