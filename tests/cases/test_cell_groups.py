from core.cases.cell_groups import DUPLICATE, GROUP_ORDER, UNCERTAIN, cell_groups, order_in_group
from core.domain.taxonomy import CELL_TYPES, NOT_A_WHITE_CELL
from tests.cases.made import white
from tests.exports.cases import COUNTS, make_case


def test_every_white_cell_lies_in_one_group_and_shares_are_of_the_leukocytes():
    case = make_case()
    groups = {group.key: group for group in cell_groups(case)}
    assert tuple(groups) == GROUP_ORDER
    ids = [cell.id for group in groups.values() for cell in group.cells]
    expected = [i for field in case.fields for i in field.cell_ids if i is not None]
    assert sorted(ids) == sorted(expected)
    assert len(groups[UNCERTAIN].cells) == 12
    assert len(groups["blast"].cells) == 3
    leukocytes = 118 + 40 + 14 + 6 + 1 + 9 + 3
    assert groups["neutrophil"].share == f"{100 * COUNTS['neutrophil'] / leukocytes:.1f} %"
    assert (
        groups["erythroblast"].share == f"{100 * COUNTS['erythroblast'] / leukocytes:.1f} per 100"
    )
    assert groups["platelet"].share == ""


def test_blasts_come_first_and_of_uncertain_cells_those_that_may_be_blasts():
    assert GROUP_ORDER[:2] == ("blast", UNCERTAIN)
    cells = [
        white("monocyte", 0.3, "uncertain"),
        white("blast", 0.6, "uncertain"),
        white("immature_granulocyte", 0.2, "uncertain"),
        white("blast", 0.4, "uncertain"),
    ]
    ordered = sorted(cells, key=order_in_group)
    assert [(cell.type, cell.confidence) for cell in ordered] == [
        ("blast", 0.4),
        ("blast", 0.6),
        ("immature_granulocyte", 0.2),
        ("monocyte", 0.3),
    ]


def test_groups_cover_every_label_and_the_least_sure_cell_comes_first():
    assert set(GROUP_ORDER) == {UNCERTAIN, *CELL_TYPES, NOT_A_WHITE_CELL, DUPLICATE}
    for group in cell_groups(make_case()):
        if group.key == UNCERTAIN:
            continue
        confidences = [cell.cell.confidence for cell in group.cells]
        assert confidences == sorted(confidences)


def test_cells_are_numbered_by_field_and_place():
    case = make_case(fields=2)
    by_id = {cell.id: cell for group in cell_groups(case) for cell in group.cells}
    second = case.fields[1]
    place = next(i for i, cell_id in enumerate(second.cell_ids, 1) if cell_id is not None)
    cell = by_id[second.cell_ids[place - 1]]
    assert cell.name == f"2.{place}"
    assert cell.cell is second.analysis.cells[place - 1]
