"""Kappa is Cohen's, and order of the readings does not matter to it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.agreement import LABELS, agreement, review_tally
from core.domain.taxonomy import NOT_A_WHITE_CELL
from tests.cases.made import white

PAIRS = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), max_size=60)

# Cohen 1960, table 1: 200 cases by three categories, in percent; kappa .492.
COHEN = {("neutrophil", "neutrophil"): 44, ("neutrophil", "lymphocyte"): 5,
         ("neutrophil", "monocyte"): 1, ("lymphocyte", "neutrophil"): 7,
         ("lymphocyte", "lymphocyte"): 20, ("lymphocyte", "monocyte"): 3,
         ("monocyte", "neutrophil"): 9, ("monocyte", "lymphocyte"): 5,
         ("monocyte", "monocyte"): 6}  # fmt: skip


def test_cohens_own_example():
    found = agreement([pair for pair, n in COHEN.items() for _ in range(n)])
    assert found.matrix == ((44, 5, 1), (7, 20, 3), (9, 5, 6))
    assert (found.total, found.agreed, found.share.value) == (100, 70, pytest.approx(70))
    assert found.kappa.value == pytest.approx(0.492, abs=5e-4)


def test_limits_of_kappa_are_those_of_resampling():
    pairs = np.array([pair for pair, n in COHEN.items() for _ in range(n)])
    rng = np.random.default_rng(0)
    drawn = [
        agreement(map(tuple, pairs[rng.integers(0, len(pairs), len(pairs))].tolist())).kappa.value
        for _ in range(500)
    ]
    found = agreement(map(tuple, pairs.tolist())).kappa
    assert [found.low, found.high] == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.03)


@given(PAIRS)
def test_swapping_the_readings_turns_the_matrix(pairs):
    one, other = agreement(pairs), agreement([(b, a) for a, b in pairs])
    assert one.labels == other.labels
    assert np.array_equal(np.array(one.matrix).T, np.array(other.matrix))
    assert np.sum(one.matrix) == one.total == len(pairs)
    assert one.share == other.share
    if one.kappa:
        assert one.kappa.value == pytest.approx(other.kappa.value)
        assert one.kappa.low <= one.kappa.value <= one.kappa.high <= 1


def test_full_agreement_is_one():
    found = agreement([("basophil", "basophil")] * 4 + [("not_a_white_cell",) * 2] * 4)
    assert found.kappa.value == pytest.approx(1)
    assert found.labels == ("basophil", "not_a_white_cell")


@pytest.mark.parametrize("pairs", [[], [("basophil",) * 2] * 9, [("basophil", "monocyte")] * 9])
def test_without_two_labels_in_each_reading_there_is_no_kappa(pairs):
    assert agreement(pairs).kappa is None


def test_what_is_no_label_is_rejected():
    with pytest.raises(ValueError, match="neutrophile"):
        agreement([("neutrophile", "monocyte")])


def test_a_tally_says_what_nobody_looked_at_and_what_was_overridden():
    certain, uncertain = white(), white("monocyte", 0.4, "uncertain")
    cells = (
        certain,
        certain.reviewed("neutrophil", "Ada"),
        certain.reviewed("blast", "Ada").reviewed("lymphocyte", "Bo"),
        certain.reviewed(NOT_A_WHITE_CELL, "Ada"),
        white("eosinophil", 0.9, "out_of_scope").reviewed("eosinophil", "Ada"),
        uncertain,
        uncertain.reviewed("lymphocyte", "Ada"),
        replace(uncertain, type=None, probabilities=None).reviewed("blast", "Ada"),  # was missed
        replace(certain, duplicate=True),
    )
    tally = review_tally([SimpleNamespace(white_cells=lambda: tuple(enumerate(cells, 1)))])
    assert (tally.unseen, tally.uncertain) == ({"neutrophil": 1}, 1)
    assert (tally.reviewed, tally.resolved, tally.added) == (6, 1, 1)
    assert tally.overridden == {
        ("neutrophil", "lymphocyte"): 1,
        ("neutrophil", NOT_A_WHITE_CELL): 1,
        (NOT_A_WHITE_CELL, "eosinophil"): 1,
    }
    assert (tally.agreement.agreed, tally.agreement.total) == (1, 5)
