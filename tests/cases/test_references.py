from core.cases.references import named_cells, named_counts
from core.cases.reviews import label_cells, undo
from core.cases.samples import load_case
from core.domain.taxonomy import NOT_A_WHITE_CELL
from tests.cases.made import REVIEWER


def test_only_what_reviewers_named_is_found_the_last_stored_first(database, sample):
    case = load_case(database, sample.id)
    first, second, third = (i for f in case.fields for i in f.cell_ids if i is not None)
    assert named_counts(database) == {}
    labels = {first: "basophil", second: "basophil", third: NOT_A_WHITE_CELL}
    seen, reviews = label_cells(database, REVIEWER, sample, labels)
    assert named_counts(database) == {"basophil": 2, NOT_A_WHITE_CELL: 1}
    assert [cell.id for cell in named_cells(database, "basophil", 5)] == [second, first]
    assert [cell.id for cell in named_cells(database, "basophil", 1)] == [second]
    (other,) = named_cells(database, "basophil", 5, apart_from=second)
    assert (other.id, other.field_id, other.label) == (first, case.fields[0].id, "basophil")
    assert other.box == case.fields[0].analysis.cells[0].box
    assert other.micrometres_per_pixel == case.fields[0].analysis.scale.micrometres_per_pixel
    undo(database, REVIEWER, seen, [reviews[0].id])
    assert named_counts(database) == {"basophil": 1, NOT_A_WHITE_CELL: 1}
