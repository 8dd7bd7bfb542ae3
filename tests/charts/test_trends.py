import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.charts.trends import series, trend_figure
from core.domain.taxonomy import LEUKOCYTES
from core.settings import Settings
from tests.cases.counted import counted
from tests.shipped_ranges import file_ranges

counts = st.dictionaries(
    st.sampled_from([*LEUKOCYTES, "erythroblast", "blast"]), st.integers(0, 200)
)


def points(found, key):
    return next(s.points for s in found if s.key == key)


def test_a_type_without_cells_of_its_own_is_a_point_at_zero():
    both = [
        counted({"neutrophil": 40}, number=1),
        counted({"neutrophil": 40, "blast": 4}, number=2),
    ]
    (_, first), (_, second) = points(series(both, "%", {}), "blast")
    assert (first.value, first.low) == (0, 0)
    assert first.high == pytest.approx(100 * (1 - 0.025 ** (1 / 40)))
    assert second.value == pytest.approx(100 * 4 / 44)


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
    both = {"neutrophil": 9, "lymphocyte": 3}
    samples = [
        counted({"neutrophil": 9}, uncertain=0),
        counted(both, uncertain=0, day=2),
        counted(both, number=2, day=3),
    ]
    (ratio,) = series(samples, "ratio", {})
    drawn = trend_figure(ratio).data[0]
    assert list(drawn.marker.symbol) == ["triangle-up", "circle", "circle-open"]
    assert ["uncertain" in text for text in drawn.text] == [False, False, True]
