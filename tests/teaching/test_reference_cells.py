from core.datasets.readers import open_set
from core.teaching.atlas import get_atlas
from core.teaching.reference_cells import (
    contact_sheet,
    examples_with,
    read_cell,
    typical_examples,
)


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


def test_cells_with_a_value_are_of_the_types_in_which_it_is_usual(pack):
    cells = open_set("pbc")
    coarse = examples_with(cells, "granule_type", "coarse", 3)
    assert {e.label for e in coarse} == {"basophil"}
    indented = examples_with(cells, "nucleus_shape", "unsegmented-indented", 3)
    assert indented[0].label == "monocyte"
    assert all(e.attributes["nucleus_shape"] == "unsegmented-indented" for e in indented)


def test_a_sheet_shows_cells_in_order_and_white_for_missing_ones(pack):
    cells = open_set("pbc")
    first = cells.examples[0]
    sheet = contact_sheet(cells, ["gone.webp", first.member, first.member], 2, 24)
    assert sheet.shape == (48, 48, 3)
    assert sheet[:24, :24].min() == 255
    assert (sheet[:24, 24:] == read_cell(cells, first, 24)).all()
