"""Cells per volume: corrected, split by type, estimated or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.blood_counts import absolute_counts, corrected_count, smear_estimate
from core.domain.boxes import Box
from core.domain.differential import differential_of_counts
from core.domain.results import Cell, FieldAnalysis, ImageProperties
from core.errors import NoEstimateError


def field(cells=2, side=40.0, status="classified", cell_type="neutrophil", reject_reason=None):
    found = tuple(
        Cell("wbc", Box(10, 10, side, side), 0.9, status, cell_type) for _ in range(cells)
    )
    properties = ImageProperties("PNG", "RGB", 8, 1)
    return FieldAnalysis("f", "0", 1200, 900, properties, found, reject_reason=reject_reason)


@pytest.mark.parametrize(
    ("entered", "per_hundred", "corrected"),
    [(12.0, 20, 10.0), (15.0, 50, 10.0), (10.0, 5, 10.0), (10.0, 0, 10.0), (10.6, 6, 10.0)],
)
def test_counts_are_corrected_above_five_erythroblasts(entered, per_hundred, corrected):
    counted = differential_of_counts({"neutrophil": 100, "erythroblast": per_hundred})
    assert corrected_count(entered, counted) == pytest.approx(corrected)


@given(st.integers(0, 200), st.integers(1, 200), st.floats(0.1, 300))
def test_absolute_counts_add_up_to_the_white_cells(neutrophils, lymphocytes, white_cells):
    counted = differential_of_counts({"neutrophil": neutrophils, "lymphocyte": lymphocytes})
    found = absolute_counts(counted, white_cells)
    assert sum(e.value for e in found.values()) == pytest.approx(white_cells)
    for key, estimate in found.items():
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= white_cells * (1 + 1e-12)
        assert estimate.low == pytest.approx(white_cells * counted.shares[key].low / 100)


def test_without_cells_there_are_no_absolute_counts():
    assert absolute_counts(differential_of_counts({}), 6.0) == {}


def test_an_estimate_is_the_mean_of_a_field_times_the_factor():
    fields = [field(cells=n % 4 + 2) for n in range(20)]  # 3.5 cells a field
    found = smear_estimate(fields, 2000)
    assert found.value == pytest.approx(7.0)
    assert (found.low, found.high) == pytest.approx((4.9, 9.1))


def test_few_cells_widen_the_limits_beyond_the_method():
    # Ten cells: exact Poisson limits 4.80 to 18.39 (Garwood).
    found = smear_estimate([field(cells=1) for _ in range(10)], 2000)
    assert (found.low, found.high) == pytest.approx((0.2 * 4.795, 0.2 * 18.39), abs=1e-3)
    assert smear_estimate([field(cells=0) for _ in range(10)], 2000).value == 0


def test_only_white_cells_are_estimated():
    counted = [
        field(cell_type="erythroblast"),
        field(status="uncertain"),
        field(status="out_of_scope"),
        *(field(cells=0) for _ in range(8)),
        field(reject_reason="Not a smear."),
    ]
    assert smear_estimate(counted, 1000).value == pytest.approx(2 / 11)


@pytest.mark.parametrize(
    ("fields", "factor", "words"),
    [
        ([field()] * 9, 2000, "from 9 fields"),
        ([field()] * 9 + [field(reject_reason="No.")], 2000, "from 9 fields"),
        ([field()] * 10, None, "no factor"),
        ([field(cells=1, side=400)] * 10, 2000, "close-ups"),
    ],
)
def test_an_estimate_is_rejected_with_the_reason(fields, factor, words):
    with pytest.raises(NoEstimateError, match=words):
        smear_estimate(fields, factor)
