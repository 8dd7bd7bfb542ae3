import json
from collections import Counter

import numpy as np
import pytest

from core.cli import main
from core.domain.taxonomy import CELL_TYPES, SUBTYPES
from core.synthetic.smears import (
    DIFFERENTIALS,
    FIELD_TYPES,
    STAINS,
    FieldRecipe,
    counts_of,
    make_smear,
    type_of,
)

COUNTS = {"segmented": 3, "band": 1, "blast": 2, "lymphocyte": 2, "smudge_cell": 1}


@pytest.fixture(scope="module")
def field():
    return make_smear(FieldRecipe(seed=5, counts=COUNTS))


def test_a_field_holds_the_cells_of_its_recipe_and_their_boxes(field):
    white = [cell for cell in field.cells if cell.kind == "wbc"]
    assert Counter(cell.subtype or cell.type for cell in white) == COUNTS
    assert field.micrometres_per_pixel == 0.125
    pale = np.median(field.pixels, axis=(0, 1))
    for cell in white:
        box = cell.box
        assert 0 < box.x < box.right < 1280
        assert 0 < box.y < box.bottom < 960
        assert 6 < 0.125 * min(box.width, box.height) < 26
        inside = field.pixels[int(box.y) : int(box.bottom), int(box.x) : int(box.right)]
        assert (inside.min(axis=(0, 1)) < pale - 60).any()
    for number, cell in enumerate(white):  # no white cell touches another
        for other in white[number + 1 :]:
            assert np.hypot(*np.subtract(cell.box.centre, other.box.centre)) > 40


def test_a_seed_decides_all_and_stain_and_focus_change_the_image(field):
    again = make_smear(FieldRecipe(seed=5, counts=COUNTS))
    assert (again.pixels == field.pixels).all()
    small = {"counts": {"blast": 1}, "width": 400, "height": 320}
    plain = make_smear(FieldRecipe(**small)).pixels.astype(float)
    blurred = make_smear(FieldRecipe(**small, blur=0.8)).pixels.astype(float)
    edges = [np.abs(np.diff(image[..., 1], axis=1)).mean() for image in (plain, blurred)]
    assert edges[1] < 0.7 * edges[0]
    means = {name: make_smear(FieldRecipe(**small, stain=name)).pixels.mean() for name in STAINS}
    assert means["deep"] < means["standard"] < means["pale"]


def test_counts_follow_a_differential():
    for shares in DIFFERENTIALS.values():
        assert abs(sum(shares.values()) - 100) < 1e-9
        counts = counts_of(shares, 200)
        assert sum(counts.values()) == 200
        assert all(abs(counts.get(key, 0) - 2 * share) < 1 for key, share in shares.items())
    assert counts_of({"blast": 1, "band": 1}, 3).keys() == {"blast", "band"}


def test_what_a_field_may_hold_is_in_the_taxonomy():
    assert set(FIELD_TYPES) <= CELL_TYPES.keys() | SUBTYPES.keys()
    assert type_of("band") == ("neutrophil", "band")
    assert type_of("blast") == ("blast", None)


@pytest.mark.parametrize(
    "recipe",
    [
        {"counts": {"dragon": 1}},
        {"counts": {}},
        {"counts": {"blast": -1, "band": 2}},
        {"counts": {"blast": 61}},
        {"counts": {"blast": 20}, "width": 400, "height": 320},
        {"counts": {"blast": 1}, "blur": 9},
    ],
)
def test_what_cannot_be_drawn_is_refused(recipe):
    with pytest.raises(ValueError, match=r"."):
        FieldRecipe(**recipe)


def test_the_command_writes_images_truth_and_coco(tmp_path, capsys):
    folder = tmp_path / "fields"
    asked = ["--fields", "2", "--counts", "segmented=2,blast=1", "--seed", "3", "--stain", "deep"]
    size = ["--width", "480", "--height", "400"]
    assert main(["synthetic", str(folder), *asked, *size]) == 0
    truth = json.loads((folder / "truth.json").read_text())["fields"]
    assert [field["counts"] for field in truth] == [{"segmented": 2, "blast": 1}] * 2
    coco = json.loads((folder / "coco.json").read_text())
    names = {category["id"]: category["name"] for category in coco["categories"]}
    white = Counter(names[a["category_id"]] for a in coco["annotations"] if a["image_id"] == 2)
    assert (white["neutrophil"], white["blast"]) == (2, 1)
    assert len(coco["annotations"]) == sum(len(field["cells"]) for field in truth)
    assert (folder / "field_2.png").read_bytes().startswith(b"\x89PNG")
    assert main(["synthetic", str(folder)]) == 2
    assert "not empty" in capsys.readouterr().err
    assert main(["synthetic", str(tmp_path / "x"), "--differential", "nonsense"]) == 2
    assert "names no cells" in capsys.readouterr().err
