"""The limits are Rümke's, the denominator is leukocytes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.differential import (
    Differential,
    differential,
    differential_of_counts,
    exact_interval,
)
from core.results import Box, Cell, FieldAnalysis, ImageProperties
from core.taxonomy import CELL_TYPES, LEUKOCYTES

COUNTS = st.dictionaries(st.sampled_from(list(CELL_TYPES)), st.integers(0, 500))

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
    got = exact_interval(percent * total // 100, total)
    # The published table rounds to one decimal, not always to the nearest.
    assert [100 * limit for limit in got] == pytest.approx([low, high], abs=0.1)


@given(st.integers(0, 2000), st.integers(0, 2000))
def test_limits_hold_the_share_and_mirror_each_other(count, rest):
    total = count + rest
    low, high = exact_interval(count, total)
    assert 0 <= low <= high <= 1
    if total:
        assert low <= count / total <= high
    assert exact_interval(rest, total) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@given(st.integers(1, 500), st.integers(1, 500))
def test_more_cells_of_the_same_share_narrow_the_limits(count, rest):
    narrow = exact_interval(2 * count, 2 * (count + rest))
    wide = exact_interval(count, count + rest)
    assert narrow[1] - narrow[0] < wide[1] - wide[0]


@pytest.mark.parametrize(("count", "total"), [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(count, total):
    with pytest.raises(ValueError, match="between 0 and total"):
        exact_interval(count, total)


@given(COUNTS)
def test_percentages_of_leukocytes_sum_to_hundred(counts):
    result = differential_of_counts(counts)
    assert set(result.shares) == set(LEUKOCYTES)
    assert result.total == sum(share.count for share in result.shares.values())
    assert sum(s.percent for s in result.shares.values()) == pytest.approx(
        100 if result.total else 0
    )


@given(COUNTS, st.integers(0, 500), st.integers(0, 500))
def test_platelets_and_erythroblasts_leave_the_differential_alone(counts, platelets, red):
    others = counts | {"platelet": platelets, "erythroblast": red}
    assert differential_of_counts(others).shares == differential_of_counts(counts).shares


@given(st.integers(0, 300), st.integers(1, 300))
def test_erythroblasts_are_given_per_hundred_leukocytes(red, leukocytes):
    share = differential_of_counts({"neutrophil": leukocytes, "erythroblast": red}).erythroblasts
    assert share.percent == pytest.approx(100 * red / leukocytes)
    assert share.low <= share.percent <= share.high
    assert math.isfinite(share.high)


@pytest.mark.parametrize(
    ("total", "words"), [(0, "no differential"), (49, "not the percentages"), (99, "wide")]
)
def test_too_few_cells_are_said(total, words):
    assert words in differential_of_counts({"monocyte": total}).warning


def test_a_hundred_cells_need_no_warning():
    assert differential_of_counts({"monocyte": 100}).warning is None


def test_uncertain_and_out_of_scope_cells_are_in_no_share():
    def cell(status):
        return Cell("wbc", Box(0, 0, 9, 9), 0.5, status, "basophil")

    cells = [cell("classified"), cell("uncertain"), cell("uncertain"), cell("out_of_scope")]
    properties = ImageProperties("PNG", "RGB", 8, 1)
    fields = [FieldAnalysis(f, "0", 99, 99, properties, tuple(cells)) for f in "ab"]
    result: Differential = differential(fields)
    assert (result.total, result.shares["basophil"].count, result.uncertain) == (2, 2, 4)
