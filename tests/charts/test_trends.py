import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cases.records import Patient, Sample, SampleSummary
from core.charts.trends import (
    comparison_table,
    count_sample,
    history_table,
    ranges_of,
    series,
    trend_figure,
)
from core.domain.differential import (
    MINIMUM_FOR_PERCENTAGES,
    differential_of_counts,
    share_difference,
)
from core.domain.taxonomy import LEUKOCYTES
from core.settings import Settings
from tests.shipped_ranges import file_ranges

counts = st.dictionaries(
    st.sampled_from([*LEUKOCYTES, "erythroblast", "suspected_blast"]), st.integers(0, 200)
)


def sample(number=1, day=1, **details):
    details = {"material": "peripheral_blood", "white_cell_count": None} | details
    return Sample(number, 1, date(2026, 5, day), state="draft", version=1, **details)


def counted(type_counts, **details):
    return count_sample(SampleSummary(sample(**details), 3, type_counts, uncertain=2))


def points(found, key):
    return next(s.points for s in found if s.key == key)


def test_volumes_and_ratio_are_of_blood_with_a_count():
    cells = {"neutrophil": 60, "lymphocyte": 30, "erythroblast": 10}
    blood = counted(cells, white_cell_count=10.0)
    assert blood.white_cell_count == pytest.approx(10 * 100 / (100 + 100 * 10 / 90))
    assert blood.absolute["neutrophil"].value == pytest.approx(blood.white_cell_count * 60 / 90)
    assert blood.nlr is not None
    assert blood.nlr.value == 2
    marrow = counted(cells, white_cell_count=10.0, material="bone_marrow")
    assert (marrow.white_cell_count, marrow.absolute, marrow.nlr) == (None, {}, None)
    assert not counted(cells).absolute


def test_a_type_without_cells_of_its_own_is_a_point_at_zero_once_another_sample_has_them():
    both = [
        counted({"neutrophil": 40}, number=1),
        counted({"neutrophil": 40, "suspected_blast": 4}, number=2),
    ]
    (_, first), (_, second) = points(series(both, "%", {}), "suspected_blast")
    assert (first.value, first.low) == (0, 0)
    assert first.high == pytest.approx(100 * (1 - 0.025 ** (1 / 40)))
    assert second.value == pytest.approx(100 * 4 / 44)
    assert "suspected_blast" not in {s.key for s in series(both[:1], "%", {})}


def test_white_cells_are_a_series_by_volume_and_have_no_share():
    found = [counted({"neutrophil": 40}, white_cell_count=8.0)]
    assert "white_cells" not in {one.key for one in series(found, "%", {})}
    ((_, entered),) = points(series(found, "10^9/L", {}), "white_cells")
    assert entered.value == 8


def test_a_sample_without_cells_has_no_point():
    found = [counted({"neutrophil": 40}, number=1), counted({}, number=2)]
    assert [s.id for s, _ in points(series(found, "%", {}), "neutrophil")] == [1]
    assert series(found[1:], "%", {}) == ()


@given(
    st.lists(counts, min_size=1, max_size=4),
    st.sampled_from(["%", "10^9/L", "ratio"]),
    st.floats(0.1, 500),
)
def test_every_point_and_limit_lies_on_the_axis(found, unit, white_cells):
    samples = [
        counted(cells, number=n, day=n, white_cell_count=white_cells)
        for n, cells in enumerate(found, 1)
    ]
    for one in series(samples, unit, file_ranges(Settings(_env_file=None)).of(unit)):
        figure = trend_figure(one)
        (drawn,) = figure.data
        low, high = figure.layout.yaxis.range
        for y, above, below in zip(
            drawn.y, drawn.error_y.array, drawn.error_y.arrayminus, strict=True
        ):
            assert all(map(math.isfinite, (y, above, below)))
            assert above >= 0
            assert below >= -1e-9
            assert low - 1e-9 <= y - below
            assert y + above <= high + 1e-9


def test_a_ratio_without_lymphocytes_is_no_ordinary_point():
    samples = [counted({"neutrophil": 9}), counted({"neutrophil": 9, "lymphocyte": 3}, day=2)]
    (ratio,) = series(samples, "ratio", {})
    assert list(trend_figure(ratio).data[0].marker.symbol) == ["triangle-up", "circle"]


def test_ranges_follow_the_age_at_the_sample_and_hold_for_blood_only():
    ranges = file_ranges(Settings(_env_file=None))
    adult, child = (Patient(1, "P", birth_year=year) for year in (1970, 2020))
    assert "neutrophil" in ranges_of(adult, sample(), "10^9/L", ranges)
    assert not ranges_of(child, sample(), "10^9/L", ranges)
    assert not ranges_of(adult, sample(material="bone_marrow"), "10^9/L", ranges)


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
