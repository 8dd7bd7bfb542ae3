"""The samples of a patient as a table, and two of them compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cases.records import Patient
from core.domain.differential import (
    MINIMUM_FOR_PERCENTAGES,
    differential_of_counts,
    share_difference,
)
from core.domain.taxonomy import LEUKOCYTES
from core.exports.tables import comparison_table, history_table
from tests.cases.counted import counted

counts = st.dictionaries(
    st.sampled_from([*LEUKOCYTES, "erythroblast", "blast"]), st.integers(0, 200)
)


@given(counts, counts)
def test_a_direction_is_named_only_where_no_change_is_left_out(before, after):
    table = comparison_table(counted(before), counted(after)).set_index("type")
    old, new = differential_of_counts(before), differential_of_counts(after)
    for key, row in table.iterrows():
        change = share_difference(old, new, str(key))
        if change is None:
            assert row["direction"] == "few"
            continue
        assert row["change"] == pytest.approx(change.value, abs=0.01)
        if min(old.total, new.total) < MINIMUM_FOR_PERCENTAGES:
            assert row["direction"] == "few"
            continue
        assert (row["direction"] == "up") == (change.low > 0)
        assert (row["direction"] == "down") == (change.high < 0)


def test_no_direction_is_named_where_many_cells_are_uncertain():
    before = counted({"neutrophil": 90, "lymphocyte": 10}, uncertain=0)
    cells = {"neutrophil": 10, "lymphocyte": 90}
    after = (counted(cells, uncertain=n) for n in (11, 12))
    said = [comparison_table(before, one)["direction"].tolist()[:2] for one in after]
    assert said == [["down", "up"], ["excluded", "excluded"]]


def test_the_history_holds_each_sample_and_type():
    samples = [
        counted({"neutrophil": 30, "lymphocyte": 10, "erythroblast": 4}, white_cell_count=8.0),
        counted({"neutrophil": 9}, number=2, day=2),
        counted({}, number=3, day=3),
    ]
    table = history_table(Patient(1, "P-1"), samples)
    assert set(table["patient"]) == {"P-1"}
    rows = table.set_index(["sample", "type"])
    first = rows.loc[1, "neutrophil"]
    assert (first["count"], first["percent"], first["taken"]) == (30, 75.0, "2026-05-01")
    assert first["absolute"] == pytest.approx(first["white_cells"] * 0.75, abs=2e-3)
    assert first["nlr"] == 3.0
    assert rows.loc[(1, "erythroblast"), "percent"] == 10.0
    assert rows.loc[(2, "neutrophil"), ["absolute", "nlr", "nlr_high"]].isna().all()
    assert rows.loc[(3, "neutrophil"), ["percent", "percent_low"]].isna().all()
