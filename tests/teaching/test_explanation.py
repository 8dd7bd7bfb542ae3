import pytest

from core.domain.taxonomy import ATTRIBUTES
from core.teaching.atlas import differences, get_atlas
from core.teaching.explanation import value_shares, weigh


@pytest.fixture
def entries():
    return get_atlas().entries


def read(**likeliest):
    """Return probabilities as a model gives them, with 90 % for the likeliest value."""
    return {
        name: {
            value: 0.9 if value == likeliest.get(name, values[0]) else 0.1 / (len(values) - 1)
            for value in values
        }
        for name, values in ATTRIBUTES.items()
    }


@pytest.mark.parametrize("key", ["monocyte", "blast", "band"])
def test_shares_sum_to_one_and_follow_the_atlas(entries, key):
    for name in ATTRIBUTES:
        shares = value_shares(entries[key], name)
        assert sum(shares.values()) == pytest.approx(1)
        assert max(shares, key=shares.get) in entries[key].attributes[name]


def test_what_is_read_speaks_for_the_type_in_which_it_is_usual(entries):
    evidence = weigh(
        read(granule_type="round", nucleus_shape="segmented-bilobed", granule_colour="red"),
        entries["eosinophil"],
        entries["basophil"],
    )
    by_name = {one.attribute: one for one in evidence}
    assert by_name["granule_type"].speaks_for == 0
    assert by_name["granule_type"].separates
    assert by_name["granularity"].speaks_for is None or not by_name["granularity"].separates
    weights = [abs(one.weight) for one in evidence]
    assert weights == sorted(weights, reverse=True)
    turned = weigh(read(granule_type="coarse"), entries["eosinophil"], entries["basophil"])
    assert next(one for one in turned if one.attribute == "granule_type").speaks_for == 1
    assert weigh(read(), entries["eosinophil"], entries["platelet"]) == []


def test_types_are_told_apart_by_their_subtypes_where_they_are_no_look_alikes():
    atlas = get_atlas()
    entries = atlas.entries
    texts = differences(atlas, entries["neutrophil"], entries["immature_granulocyte"])
    assert any("etamyelocyte" in text for text in texts)
    assert differences(atlas, entries["segmented"], entries["plasma_cell"]) == []
