from core.datasets.readers import open_set
from core.teaching.atlas import get_atlas
from core.teaching.reference_cells import read_cell, typical_examples


def test_typical_cells_have_the_label_and_the_usual_attributes(pack):
    cells = open_set("pbc")
    for key in ("band", "monocyte", "promyelocyte", "platelet"):
        found = typical_examples(cells, get_atlas().entries[key], 6)
        assert len(found) == 6
        assert all(key in (e.label, e.subtype) for e in found)
    bands = typical_examples(cells, get_atlas().entries["band"], 6)
    assert {e.attributes["nucleus_shape"] for e in bands} == {"unsegmented-band"}
    assert typical_examples(cells, get_atlas().entries["blast"], 6) == []
    assert read_cell(cells, bands[0], 160).shape == (160, 160, 3)
