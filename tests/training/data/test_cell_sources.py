import numpy as np
import pytest

from core.datasets.readers import open_set
from core.domain.taxonomy import CELL_TYPES, MATURATION
from core.imaging.illumination import set_white_point
from core.inference.cell_classifier import Subject, central_box
from core.training.data.cell_sources import (
    DETAILS,
    HEADS,
    SUBTYPES,
    TYPES,
    SourceCells,
    cells_of,
    without_details,
)
from core.training.data.cells import CONTEXT_SIZE, NO_TYPE, Cells

SUBTYPE = list(DETAILS).index("subtype")


def _cells(name, members):
    data = open_set(name)
    examples = [e for e in data.examples if e.member.startswith(members)]
    return cells_of(data, examples, lambda p: Subject(central_box(p)), set_white_point)


@pytest.fixture(scope="module")
def cells(pack):
    chosen = ("neutrophil_band/", "promonocyte/Patient_1", "eosinophil/Patient_0")
    return _cells("deepapl", (*chosen, "blast/Patient_00"))


def test_the_ten_types_go_on_from_the_eight():
    assert TYPES[:8] == tuple(CELL_TYPES)
    assert TYPES[8:] == ("blast", "smudge_cell")
    assert SUBTYPES[: len(MATURATION)] == MATURATION
    assert HEADS["subtype"] == 9
    assert HEADS["white"] == 2


def test_noisy_labels_of_deepapl_weigh_less_or_nothing(cells):
    folders = np.array([member.split("/")[0] for member in cells.members])
    weights = {folder: set(cells.weights[folders == folder]) for folder in np.unique(folders)}
    assert weights == {
        "blast": {1.0},
        "eosinophil": {0.0},
        "neutrophil_band": {np.float32(0.4)},
        "promonocyte": {0.0},
    }
    subtypes = cells.details[folders == "promonocyte", SUBTYPE]
    assert set(subtypes) == {SUBTYPES.index("promonocyte")}
    assert set(cells.types[folders == "blast"]) == {TYPES.index("blast")}


def test_cells_keep_their_patient_and_what_the_set_says_of_them(cells, pack):
    assert all(group in member for member, group in zip(cells.members, cells.groups, strict=True))
    assert cells.crops.shape == (len(cells), CONTEXT_SIZE, CONTEXT_SIZE, 3)
    data = open_set("pbc")
    described = next(e for e in data.examples if e.attributes)
    known = cells_of(data, [described], lambda p: Subject(central_box(p)), set_white_point)
    for column, (name, values) in enumerate(DETAILS.items()):
        if name != "subtype":
            assert values[known.details[0, column]] == described.attributes[name]


def test_images_without_a_cell_are_left_out(pack):
    data = open_set("lisc")
    found = cells_of(
        data,
        data.examples[:3],
        lambda p: Subject(central_box(p)) if p.sum() % 2 else None,
        set_white_point,
    )
    kept = [e.member for e in data.examples[:3] if set_white_point(data.read(e)).sum() % 2]
    assert found.members.tolist() == kept


def test_saved_cells_come_back(cells, tmp_path):
    cells.save(tmp_path)
    back = SourceCells.load(tmp_path)
    rows = np.array([0, 2])
    for name in ("crops", "types", "details", "weights", "unscaled", "members", "groups"):
        wanted = getattr(cells.chosen(rows), name)
        np.testing.assert_array_equal(getattr(back.chosen(rows), name), wanted)


def test_what_is_no_cell_has_no_type_and_no_details():
    crops = np.zeros((2, CONTEXT_SIZE, CONTEXT_SIZE, 3), np.uint8)
    types = np.full(2, NO_TYPE)
    found = without_details(Cells(crops, types, np.zeros((2, 12), int), np.ones(2, np.float32)))
    assert (found.details == -1).all()
    assert (found.types == NO_TYPE).all()
