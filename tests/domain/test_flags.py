"""Flags point; a value is outside a limit only with its whole interval."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.differential import differential_of_counts
from core.domain.flags import flags
from core.domain.results import PossibleBlasts
from core.domain.taxonomy import CELL_TYPES
from tests.shipped_ranges import file_ranges

RANGES = file_ranges()
NORMAL = {"neutrophil": 110, "lymphocyte": 70, "monocyte": 12, "eosinophil": 6, "basophil": 2}


def flagged(counts, uncertain=0, white_cell_count=None, material="peripheral_blood"):
    found = flags(
        differential_of_counts(counts, uncertain),
        percent_ranges=RANGES.of("%"),
        absolute_ranges=RANGES.of("10^9/L"),
        white_cell_count=white_cell_count,
        material=material,
    )
    return {flag.key: flag for flag in found}


def test_a_normal_count_has_no_flags():
    assert flagged(NORMAL) == {}
    assert flagged(NORMAL, uncertain=20, white_cell_count=6.0) == {}


@pytest.mark.parametrize(
    ("total", "key", "severity"),
    [(0, "under_50_cells", "warning"), (49, "under_50_cells", "warning"),
     (50, "under_100_cells", "note"), (99, "under_100_cells", "note")],
)  # fmt: skip
def test_few_cells_are_said(total, key, severity):
    assert flagged({"neutrophil": total})[key].severity == severity


def test_below_fifty_cells_nothing_is_judged():
    assert set(flagged({"monocyte": 49})) == {"under_50_cells"}
    assert set(flagged({"monocyte": 9}, white_cell_count=9.0)) == {"under_50_cells"}
    # An analyser's own count does not rest on the counted cells.
    assert "white_cells_high" in flagged({"monocyte": 9}, white_cell_count=40.0)


def test_below_fifty_cells_no_percentage_is_written():
    found = flagged({"neutrophil": 9, "immature_granulocyte": 2, "erythroblast": 3}, 0, 60.0)
    assert set(found) == {"under_50_cells", "immature_granulocytes", "erythroblasts"}
    assert found["immature_granulocytes"].sentence.startswith("2 immature granulocytes: normally")
    assert found["erythroblasts"].sentence.startswith("3 erythroblasts beside 11 white cells")


def test_one_blast_is_urgent_and_comes_first():
    found = flagged(NORMAL | {"blast": 1})
    first = next(iter(found.values()))
    assert (first.key, first.severity) == ("possible_blasts", "urgent")
    assert first.sentence.startswith("1 possible blast: 0 % (0-3) of 201 white cells.")


def test_an_uncertain_blast_is_flagged_too():
    counted = differential_of_counts(NORMAL, 3, blasts=PossibleBlasts(2, 2, 203))
    (found,) = flags(counted, percent_ranges={}, absolute_ranges={})
    assert found.sentence.startswith("2 possible blasts, all of them uncertain: 1 % (0-4) of 203 ")


def test_immature_granulocytes_are_named_and_shift_left_when_surely_raised():
    few, many = NORMAL | {"immature_granulocyte": 3}, NORMAL | {"immature_granulocyte": 20}
    assert set(flagged(few)) == {"immature_granulocytes"}
    assert set(flagged(many)) == {"immature_granulocytes", "left_shift"}
    assert "Bands are counted with neutrophils" in flagged(many)["left_shift"].sentence


@pytest.mark.parametrize(("red", "flag", "spans"), [(10, False, False), (11, True, True), (40, True, False)])  # fmt: skip # noqa: E501
def test_erythroblasts_are_flagged_above_five_per_hundred(red, flag, spans):
    found = flagged(NORMAL | {"erythroblast": red})
    assert ("erythroblasts" in found) is flag
    if flag:
        assert ("interval spans 5" in found["erythroblasts"].sentence) is spans


@pytest.mark.parametrize(("uncertain", "flag"), [(22, False), (23, True)])
def test_many_uncertain_cells_are_flagged(uncertain, flag):
    assert ("uncertain_high" in flagged(NORMAL, uncertain)) is flag


def test_an_interval_that_spans_the_limit_is_only_noted():
    spans = flagged({"neutrophil": 64, "lymphocyte": 30, "monocyte": 6})
    assert spans["neutrophil_spans_limit"].severity == "note"
    assert "the interval spans the limit" in spans["neutrophil_spans_limit"].sentence
    outside = flagged({"neutrophil": 150, "lymphocyte": 44, "monocyte": 6})
    assert outside["neutrophil_high"].severity == "warning"
    assert "above the range 40-60 %" in outside["neutrophil_high"].sentence


def test_absolute_counts_are_judged_before_shares():
    # 80 % lymphocytes of few cells: relatively high, absolutely within the range.
    counts = {"neutrophil": 30, "lymphocyte": 160, "monocyte": 10}
    assert "lymphocyte_high" in flagged(counts)
    found = flagged(counts, white_cell_count=3.0)
    assert "lymphocyte_high" not in found
    assert found["neutrophil_low"].sentence.startswith("Neutrophils 0.45 × 10⁹/L")
    assert found["white_cells_low"].sentence == (
        "White cells 3.00 × 10⁹/L: below the range 4-11 × 10⁹/L."
    )


@pytest.mark.parametrize(
    ("neutrophils", "lymphocytes", "key"),
    [(160, 20, "nlr"), (20, 160, "nlr"), (130, 40, "nlr_spans_limit"), (125, 50, "nlr_grey"),
     (150, 0, "nlr"), (100, 60, None)],
)  # fmt: skip
def test_the_ratio_is_judged_by_zahorec(neutrophils, lymphocytes, key):
    found = flagged({"neutrophil": neutrophils, "lymphocyte": lymphocytes})
    ratio_flags = [flag for flag in found if flag.startswith("nlr")]
    assert ratio_flags == ([key] if key else [])


def test_blood_rules_do_not_judge_marrow():
    counts = {"immature_granulocyte": 90, "erythroblast": 60, "neutrophil": 9, "blast": 1}
    assert set(flagged(counts, 30, 2.0, "bone_marrow")) == {"possible_blasts", "uncertain_high"}


def test_infinity_is_never_written():
    for counts in ({"neutrophil": 150}, {"neutrophil": 100, "lymphocyte": 1}):
        assert all("inf" not in flag.sentence for flag in flagged(counts).values())


COUNTS = st.dictionaries(st.sampled_from(list(CELL_TYPES)), st.integers(0, 300))


@given(COUNTS, st.integers(0, 50), st.none() | st.floats(0.1, 200))
def test_every_flag_is_one_sentence_that_does_not_diagnose(counts, uncertain, white_cells):
    for flag in flagged(counts, uncertain, white_cells).values():
        assert flag.sentence.endswith(".")
        assert not any(
            word in flag.sentence.lower() for word in ("leukaemia", "infection", "sepsis", "nan")
        )
