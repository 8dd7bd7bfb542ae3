import numpy as np
import pandas as pd
import pytest

from core.datasets.readers import open_set
from core.domain.taxonomy import PBC_EIGHT
from core.imaging.illumination import set_white_point
from core.inference.cell_classifier import CellRegion, central_box
from core.settings import get_settings
from core.training.data import cell_sources
from core.training.data.cell_sources import (
    CORRECTIONS,
    MAX_COVERED,
    NEGATIVES,
    _negative_box,
    cells_at,
    cells_of_all_fields,
    corrected,
    negative_cells,
    shipped_detector,
    untyped_cells,
)
from core.training.data.cells import CONTEXT_SIZE, DETAILS, NO_TYPE, SUBTYPES, TYPES

SUBTYPE = list(DETAILS).index("subtype")


def _cells(name, members):
    data = open_set(name)
    examples = [e for e in data.examples if e.member.startswith(members)]
    return cells_at(data, examples, lambda p: CellRegion(central_box(p)))


@pytest.fixture(scope="module")
def cells(pack):
    chosen = ("neutrophil_band/", "promonocyte/Patient_1", "eosinophil/Patient_0")
    return _cells("deepapl", (*chosen, "blast/Patient_00"))


def test_the_outputs_go_on_from_those_of_the_network_of_eight_types():
    assert TYPES[:8] == PBC_EIGHT
    assert TYPES[8:] == ("blast", "smudge_cell")
    maturation = ("band", "segmented", "metamyelocyte", "myelocyte", "promyelocyte")
    assert SUBTYPES[:5] == maturation


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


def test_cells_that_networks_agreed_on_are_trusted_and_the_others_not_learnt(
    cells, tmp_path, monkeypatch
):
    members = cells.members.tolist()
    eosinophil, band = (
        [k for k, member in enumerate(members) if member.startswith(folder)][:3]
        for folder in ("eosinophil/", "neutrophil_band/")
    )
    rows = ["path,type,subtype"]
    for k, told in zip(eosinophil, ("eosinophil,", "neutrophil,", ","), strict=True):
        rows.append(f"{members[k]},{told}")
    for k, told in zip(band[:2], ("neutrophil,band", "neutrophil,"), strict=True):
        rows.append(f"{members[k]},{told}")
    written = tmp_path / "corrections.csv"
    written.write_text("\n".join(rows) + "\n")
    monkeypatch.setattr(cell_sources, "CORRECTIONS", written)
    found = corrected(cells)
    assert found.weights[eosinophil].tolist() == [1, 1, 0]
    types = [TYPES.index(name) for name in ("eosinophil", "neutrophil", "eosinophil")]
    assert found.types[eosinophil].tolist() == types
    assert found.weights[band].tolist() == [1, 1, np.float32(0.4)]
    known = SUBTYPES.index("band")
    assert found.details[band, SUBTYPE].tolist() == [known, -1, known]
    others = np.setdiff1d(np.arange(len(cells)), eosinophil + band)
    for name in ("types", "weights", "details"):
        assert (getattr(found, name)[others] == getattr(cells, name)[others]).all()
    assert cells.weights[eosinophil].tolist() == [0, 0, 0], "what is measured keeps its labels"


def test_every_correction_is_of_a_doubted_cell(pack):
    del pack
    rows = pd.read_csv(CORRECTIONS, keep_default_na=False)
    examples = {e.member: e for e in open_set("deepapl").examples}
    assert set(rows["path"]) <= examples.keys()
    assert {path.split("/")[0] for path in rows["path"]} == {
        "eosinophil",
        "basophil",
        "neutrophil_band",
    }
    assert set(rows["type"]) <= {*TYPES, ""}
    assert set(rows["subtype"]) <= {"band", ""}
    assert not rows["path"].duplicated().any()


def test_cells_keep_their_patient_and_what_the_set_says_of_them(cells, pack):
    assert all(group in member for member, group in zip(cells.members, cells.groups, strict=True))
    assert cells.crops.shape == (len(cells), CONTEXT_SIZE, CONTEXT_SIZE, 3)
    data = open_set("pbc")
    described = next(e for e in data.examples if e.attributes)
    known = cells_at(data, [described], lambda p: CellRegion(central_box(p)))
    for column, (name, values) in enumerate(DETAILS.items()):
        if name != "subtype":
            assert values[known.details[0, column]] == described.attributes[name]


def test_images_without_a_cell_are_left_out(pack):
    data = open_set("lisc")
    found = cells_at(
        data, data.examples[:3], lambda p: CellRegion(central_box(p)) if p.sum() % 2 else None
    )
    kept = [e.member for e in data.examples[:3] if set_white_point(data.read(e)).sum() % 2]
    assert found.members.tolist() == kept


def test_cells_of_all_fields_are_labelled_by_their_field(pack):
    del pack
    data, settings = open_set("taleqani"), get_settings()
    fields = [e for e in data.of_split("0") if e.label in ("Benign", "Pre")][::60]
    cells = cells_of_all_fields(data, fields, shipped_detector(settings), settings)
    benign = {e.member for e in fields if e.label == "Benign"}
    is_benign, is_blast = np.isin(cells.members, list(benign)), cells.types == TYPES.index("blast")
    assert is_benign.any()
    assert not is_blast[is_benign].any()
    assert is_blast[~is_benign].all()
    assert (~is_benign).sum() > 10


@pytest.mark.parametrize("kind", NEGATIVES)
def test_a_negative_lies_off_the_white_cells(labelled_fields, kind):
    rng = np.random.default_rng(0)
    found = 0
    for field in labelled_fields:
        whites, reds = field.of_kind("wbc"), field.of_kind("rbc")
        box = _negative_box(field.pixels, whites, reds, rng, kind)
        if box is not None:
            found += 1
            assert max(box.covered_by(white) for white in whites) <= MAX_COVERED[kind]
    assert found > 0


def test_what_is_no_cell_has_no_type_and_no_details(labelled_fields):
    cells = negative_cells(labelled_fields, 9)
    assert (cells.types == NO_TYPE).all()
    assert (cells.details == -1).all()
    assert cells.crops.shape == (9, CONTEXT_SIZE, CONTEXT_SIZE, 3)


def test_cells_of_labelled_fields_have_no_type_yet(labelled_fields):
    cells = untyped_cells(labelled_fields)
    assert len(cells) == sum(len(field.of_kind("wbc")) for field in labelled_fields)
    assert (cells.types == NO_TYPE).all()
