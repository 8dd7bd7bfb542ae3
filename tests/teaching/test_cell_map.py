from collections import Counter

import numpy as np
import pytest

from core.datasets.readers import open_set
from core.domain.taxonomy import MATURE_FIVE
from core.errors import AtlasError
from core.imaging.illumination import set_white_point
from core.model_card import load_card
from core.teaching.atlas import get_atlas
from core.teaching.cell_map import MAP, get_map, matching, read_map


def test_the_shipped_map_is_of_the_shipped_model_and_leads_to_the_atlas():
    cell_map = get_map()
    assert cell_map.model_sha256 == load_card("wbc").sha256
    assert MAP.stat().st_size < 200_000
    assert set(Counter(cell.type for cell in cell_map.cells).values()) == {200}
    assert all(cell.entry in get_atlas().entries for cell in cell_map.cells)
    assert all(0 <= cell.x <= 1 and 0 <= cell.y <= 1 for cell in cell_map.cells)
    # Attributes were learnt on these types only.
    assert {cell.type for cell in cell_map.cells if cell.attributes} == set(MATURE_FIVE)


def test_a_test_cell_lies_among_training_cells_of_its_type(pack, analyzer):
    cells, cell_map = open_set("pbc"), get_map()
    training = {example.member for example in cells.of_split("train")}
    assert {cell.member for cell in cell_map.cells} <= training
    for label in ("eosinophil", "lymphocyte", "erythroblast"):
        example = next(e for e in cells.of_split("test") if e.label == label)
        said = analyzer.predict_cell(set_white_point(cells.read(example)))
        near = cell_map.nearest(said.features, 8)
        assert Counter(cell_map.cells[i].type for i in near)[label] >= 6
    again = analyzer.predict_cell(
        set_white_point(cells.read(next(e for e in cells.examples if e.member == _first(cell_map))))
    )
    assert cell_map.nearest(again.features, 1) == [0]
    assert 0 not in cell_map.nearest(again.features, 8, apart_from=_first(cell_map))


def _first(cell_map):
    return cell_map.cells[0].member


def test_values_of_one_attribute_are_alternatives_and_attributes_add_up():
    cell_map = get_map()
    coarse = matching(cell_map, {"granule_type": ("coarse",)})
    assert {cell_map.cells[i].type for i in coarse} == {"basophil"}
    both = matching(cell_map, {"granule_type": ("coarse", "round")})
    assert len(both) > len(coarse)
    large = matching(cell_map, {"granule_type": ("coarse", "round"), "cell_size": ("big",)})
    assert set(large) < set(both)
    assert len(matching(cell_map, {}, ("platelet",))) == 200
    assert matching(cell_map, {"granule_type": ("coarse",)}, ("lymphocyte",)) == []


def test_a_damaged_map_says_how_to_make_it(tmp_path):
    for content in (b"", b"no map", MAP.read_bytes()[:5000]):
        path = tmp_path / "map.npz"
        path.write_bytes(content)
        with pytest.raises(AtlasError, match="make atlas"):
            read_map(path)
    np.savez(tmp_path / "other.npz", names=np.zeros(3, np.uint8))
    with pytest.raises(AtlasError, match="make atlas"):
        read_map(tmp_path / "other.npz")
