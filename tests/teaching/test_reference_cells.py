from core.datasets.readers import open_set
from core.teaching.reference_cells import contact_sheet, examples_with, read_cell


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
