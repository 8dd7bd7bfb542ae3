"""Confidence intervals agree with published tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.intervals import Estimate, clopper_pearson, poisson, proportion, ratio

# Rümke's table in percent: (observed, n, low, high).
RUMKE = [
    (0, 100, 0, 3.6), (0, 200, 0, 1.8), (0, 400, 0, 0.9),
    (1, 100, 0, 5.4), (1, 200, 0.1, 3.6), (1, 400, 0.3, 2.5),
    (5, 100, 1.6, 11.3), (5, 200, 2.4, 9.0), (5, 400, 3.1, 7.6),
    (10, 100, 4.9, 17.6), (10, 200, 6.2, 15.0), (10, 400, 7.2, 13.4),
    (20, 100, 12.7, 29.2), (20, 200, 14.7, 26.2), (20, 400, 16.2, 24.3),
    (50, 100, 39.8, 60.2), (50, 200, 42.9, 57.1), (50, 400, 45.0, 55.0),
    (70, 100, 60.0, 78.8), (70, 200, 63.1, 76.3), (70, 400, 65.2, 74.5),
]  # fmt: skip


@pytest.mark.parametrize(("percent", "total", "low", "high"), RUMKE)
def test_limits_agree_with_rumke(percent, total, low, high):
    got = clopper_pearson(percent * total // 100, total)
    # The published table rounds to one decimal, not always to the nearest.
    assert [100 * limit for limit in got] == pytest.approx([low, high], abs=0.1)


@given(st.integers(0, 2000), st.integers(0, 2000))
def test_limits_hold_the_share_and_mirror_each_other(count, rest):
    total = count + rest
    low, high = clopper_pearson(count, total)
    assert 0 <= low <= high <= 1
    if total:
        assert low <= count / total <= high
    assert clopper_pearson(rest, total) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@given(st.integers(1, 500), st.integers(1, 500))
def test_more_cells_of_the_same_share_narrow_the_limits(count, rest):
    narrow = clopper_pearson(2 * count, 2 * (count + rest))
    wide = clopper_pearson(count, count + rest)
    assert narrow[1] - narrow[0] < wide[1] - wide[0]


@pytest.mark.parametrize(("count", "total"), [(-1, 5), (6, 5)])
def test_impossible_counts_are_rejected(count, total):
    with pytest.raises(ValueError, match="between 0 and total"):
        clopper_pearson(count, total)


@given(st.integers(0, 400), st.integers(0, 400))
def test_a_ratio_and_its_inverse_have_inverse_limits(count, other):
    found, inverse = ratio(count, other), ratio(other, count)
    assert found.low <= found.value <= found.high
    if count and other:
        assert (1 / found.high, 1 / found.low) == pytest.approx((inverse.low, inverse.high))


@pytest.mark.parametrize(("count", "low", "high"), [(0, 0, 3.689), (10, 4.795, 18.390)])
def test_poisson_limits_are_garwoods(count, low, high):
    assert poisson(count) == pytest.approx((low, high), abs=0.001)


def test_percent_is_computed_without_rounding_twice():
    # 100 * (7 / 100) is 7.000000000000001, which would lie above a range that ends at 7.
    assert proportion(7, 100, per=100).value == 7
    assert Estimate(50, 40, 60).percent_of(7) == Estimate(3.5, 2.8, 4.2)


def test_an_exact_number_is_written_without_an_interval():
    assert Estimate(5.5, 4, 7.25).text(" %") == "5.5 % (4.0-7.2)"
    assert Estimate.exact(6).text(" × 10⁹/L", 2) == "6.00 × 10⁹/L"
