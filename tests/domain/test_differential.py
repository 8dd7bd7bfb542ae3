"""The denominator of the differential is leukocytes."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.boxes import Box
from core.domain.differential import (
    Differential,
    differential,
    differential_of_counts,
    neutrophil_lymphocyte_ratio,
    share_difference,
    subtypes_text,
)
from core.domain.intervals import clopper_pearson
from core.domain.results import Cell, FieldAnalysis, ImageProperties, PossibleBlasts
from core.domain.taxonomy import CELL_TYPES, LEUKOCYTES
from tests.cases.made import white

COUNTS = st.dictionaries(st.sampled_from(list(CELL_TYPES)), st.integers(0, 500))


@given(COUNTS)
def test_percentages_of_leukocytes_sum_to_hundred(counts):
    result = differential_of_counts(counts)
    assert tuple(result.shares) == LEUKOCYTES
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


@given(COUNTS, st.integers(1, 50))
def test_blasts_are_leukocytes_named_apart(counts, blasts):
    result = differential_of_counts(counts | {"blast": blasts})
    assert tuple(result.shares) == LEUKOCYTES
    assert result.shares["blast"].count == result.blasts.count == blasts
    without = {key: n for key, n in counts.items() if key != "blast"}
    assert result.total == differential_of_counts(without).total + blasts
    assert sum(share.percent for share in result.shares.values()) == pytest.approx(100)


@given(COUNTS, st.integers(0, 300))
def test_smudge_cells_stand_beside_the_differential(counts, smudges):
    result = differential_of_counts(counts | {"smudge_cell": smudges})
    assert result.shares == differential_of_counts(counts).shares
    assert result.smudge_cells.count == smudges
    if result.total:
        assert result.smudge_cells.percent == pytest.approx(100 * smudges / result.total)


def test_a_reviewers_label_is_what_counts():
    def cell(status="classified"):
        return Cell("wbc", Box(0, 0, 9, 9), 0.5, status, "monocyte")

    cells = (
        cell(),
        cell("uncertain").reviewed("blast", "Ada"),
        cell().reviewed("smudge_cell", "Ada"),
        cell().reviewed("not_a_white_cell", "Ada"),
        replace(cell("out_of_scope"), type="smudge_cell"),
        replace(cell("out_of_scope"), type="smudge_cell").reviewed("not_a_white_cell", "Ada"),
        replace(cell("uncertain"), type="blast"),
        replace(cell("uncertain"), type="smudge_cell"),
        replace(cell("uncertain"), type="erythroblast"),
        replace(cell("uncertain"), type=None),
    )
    analysis = FieldAnalysis("a", "0", 99, 99, ImageProperties("PNG", "RGB", 8, 1), cells)
    result = differential([analysis])
    assert {key: s.count for key, s in result.shares.items() if s.count} == {
        "monocyte": 1,
        "blast": 1,
    }
    assert (result.smudge_cells.count, result.uncertain) == (2, 4)
    # Of the monocyte, two blasts and the cell that nobody has named.
    assert result.blasts == PossibleBlasts(2, 1, 4)


@given(st.integers(1, 300), st.integers(1, 300))
def test_the_ratio_of_neutrophils_is_clopper_pearson_turned(neutrophils, lymphocytes):
    counts = {"neutrophil": neutrophils, "lymphocyte": lymphocytes, "monocyte": 7}
    ratio = neutrophil_lymphocyte_ratio(differential_of_counts(counts))
    low, high = clopper_pearson(neutrophils, neutrophils + lymphocytes)
    assert ratio.value == neutrophils / lymphocytes
    # p = ratio / (1 + ratio)
    assert (ratio.low / (1 + ratio.low), ratio.high / (1 + ratio.high)) == pytest.approx(
        (low, high)
    )


def test_a_ratio_without_lymphocytes_has_no_upper_limit():
    ratio = neutrophil_lymphocyte_ratio(differential_of_counts({"neutrophil": 10}))
    assert (ratio.value, ratio.high) == (math.inf, math.inf)
    # The lower exact limit of 10 of 10 is .025 ** .1.
    assert ratio.low == pytest.approx(0.025**0.1 / (1 - 0.025**0.1))
    assert neutrophil_lymphocyte_ratio(differential_of_counts({"monocyte": 9})) is None


# Newcombe 1998, table II, method 10.
NEWCOMBE = [
    (56, 70, 48, 80, 0.0524, 0.3339), (9, 10, 3, 10, 0.1705, 0.8090),
    (6, 7, 2, 7, 0.0582, 0.8062), (5, 56, 0, 29, -0.0381, 0.1926),
    (0, 10, 0, 20, -0.1611, 0.2775), (0, 10, 0, 10, -0.2775, 0.2775),
    (10, 10, 0, 20, 0.6791, 1.0000), (10, 10, 0, 10, 0.6075, 1.0000),
]  # fmt: skip


@pytest.mark.parametrize("example", NEWCOMBE)
def test_differences_have_newcombes_limits(example):
    def sample(count, total):
        return differential_of_counts({"monocyte": count, "neutrophil": total - count})

    after, n_after, before, n_before, *limits = example
    found = share_difference(sample(before, n_before), sample(after, n_after), "monocyte")
    assert found.value == pytest.approx(100 * (after / n_after - before / n_before))
    assert [found.low, found.high] == pytest.approx([100 * limit for limit in limits], abs=0.005)


def test_a_type_that_only_one_sample_has_is_compared_with_none():
    before = differential_of_counts({"neutrophil": 50})
    after = differential_of_counts({"neutrophil": 40, "blast": 10})
    assert share_difference(before, after, "blast").value == pytest.approx(20)
    assert share_difference(before, differential_of_counts({}), "neutrophil") is None


def test_subtypes_are_said_by_type_and_never_of_uncertain_cells():
    counted = differential_of_counts(
        {"neutrophil": 40, "immature_granulocyte": 1},
        subtypes={"band": 3, "segmented": 30, "myelocyte": 1},
    )
    assert subtypes_text(counted) == (
        "of 40 neutrophils, 3 bands and 30 segmented; of 1 immature granulocyte, 1 myelocyte"
    )
    assert subtypes_text(differential_of_counts({"neutrophil": 40})) == ""
    band = replace(white("neutrophil"), subtype="band")
    assert band.type_name == "Neutrophil, likely band"
    assert replace(band, status="uncertain").type_name == "Neutrophil"
    assert band.reviewed("monocyte", "ana").type_name == "Monocyte"


def test_limits_reach_from_none_to_all_of_many_uncertain_cells():
    counts = {"neutrophil": 60, "lymphocyte": 30, "erythroblast": 4}
    few, many = differential_of_counts(counts, 9), differential_of_counts(counts, 10)
    assert (few.excluded, few.excluded_warning) == (0, None)
    assert few.shares == differential_of_counts(counts).shares
    assert "10 of 100 white cells are uncertain (10 %)" in many.excluded_warning
    share = many.shares["lymphocyte"]
    assert share.percent == pytest.approx(100 * 30 / 90)
    low, high = clopper_pearson(30, 100).low, clopper_pearson(40, 100).high
    assert (share.low, share.high) == pytest.approx((100 * low, 100 * high))
    ratio = neutrophil_lymphocyte_ratio(many)
    assert ratio.value == 2
    assert ratio.low == pytest.approx(1 / (1 / clopper_pearson(60, 100).low - 1))
    assert ratio.high == pytest.approx(1 / (1 / clopper_pearson(70, 100).high - 1))
    assert many.erythroblasts.low < few.erythroblasts.low
    assert many.erythroblasts.high > few.erythroblasts.high


@given(COUNTS, st.integers(0, 300))
def test_uncertain_cells_only_widen_limits(counts, uncertain):
    certain, other = differential_of_counts(counts), differential_of_counts(counts, uncertain)
    for key, share in other.shares.items():
        assert share.percent == certain.shares[key].percent
        assert share.low <= certain.shares[key].low + 1e-9
        assert share.high >= certain.shares[key].high - 1e-9


def test_a_change_is_compared_over_both_extremes():
    before = differential_of_counts({"monocyte": 20, "neutrophil": 80}, 20)
    after = differential_of_counts({"monocyte": 40, "neutrophil": 60})
    found = share_difference(before, after, "monocyte")
    assert found.value == pytest.approx(20)
    # All twenty may have been monocytes: 40 of 120 and 40 of 100 do not differ.
    assert (
        found.low
        < 0
        < share_difference(
            differential_of_counts({"monocyte": 20, "neutrophil": 80}), after, "monocyte"
        ).low
    )


def test_an_upper_limit_of_no_use_is_not_shown():
    few = differential_of_counts({"blast": 3, "erythroblast": 1}, uncertain=49)
    assert few.erythroblasts.upper_limit is None
    assert few.erythroblasts.limits_text == f"{few.erythroblasts.low:.1f}-over 1000"
    assert differential_of_counts({}).erythroblasts.limits_text == "0.0-no limit"
    assert few.shares["blast"].upper_limit == 100
    enough = differential_of_counts({"neutrophil": 50, "erythroblast": 1})
    assert enough.erythroblasts.upper_limit == enough.erythroblasts.high
    assert enough.shares["neutrophil"].limits_text == "92.9-100.0"
