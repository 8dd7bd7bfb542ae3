import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.evaluation.calibration import (
    cellness_threshold,
    fit_temperature,
    rival_limits,
    softmax,
    uncertainty_threshold,
)


def sample(seed, temperature, count=4_000):
    """Logits whose true labels are drawn from softmax(logits / temperature)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (count, 5)).astype(np.float32)
    probabilities = softmax(logits, temperature)
    truth = (probabilities.cumsum(1) > rng.random((count, 1))).argmax(1)
    return logits, truth


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), temperature=st.floats(0.4, 3.0))
def test_the_temperature_that_made_the_labels_is_found(seed, temperature):
    logits, truth = sample(seed, temperature)
    assert abs(np.log(fit_temperature(logits, truth) / temperature)) < 0.15


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), wanted=st.floats(0.6, 0.99))
def test_answers_above_the_threshold_are_as_right_as_wanted(seed, wanted):
    logits, truth = sample(seed, 1.0)
    probabilities = softmax(logits, 1.0)
    threshold = uncertainty_threshold(probabilities, truth, wanted)
    kept = probabilities.max(1) >= threshold
    right = probabilities.argmax(1) == truth
    assert threshold >= 0.5
    if 0.5 < threshold < 0.99:
        assert right[kept].mean() >= wanted
        assert right[kept].mean() >= right.mean()


def test_nothing_is_classified_when_nothing_is_sure_enough():
    probabilities = np.tile([0.6, 0.4], (50, 1))
    assert uncertainty_threshold(probabilities, np.ones(50, int)) == 0.99


@given(
    scores=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=200),
    refused=st.floats(0, 0.2),
)
def test_no_more_real_cells_are_turned_away_than_may_be(scores, refused):
    white = np.array(scores)
    threshold = cellness_threshold(white, refused)
    assert threshold <= 0.5
    assert (white < threshold).sum() <= np.ceil(refused * (len(white) - 1))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), max_missed=st.floats(0.0, 0.2), largest=st.floats(0.02, 0.5))
def test_no_more_rivals_are_missed_than_allowed_and_no_limit_is_too_large(
    seed, max_missed, largest
):
    logits, truth = sample(seed, 1.0)
    probabilities = softmax(logits, 1.0)
    found = rival_limits(
        probabilities,
        truth,
        rival=4,
        hosts=(0, 1, 2),
        confidence=0.6,
        max_missed=max_missed,
        largest=largest,
    )
    assert set(found) == {0, 1, 2}
    assert max(found.values()) <= largest
    best = probabilities.argmax(1)
    limits = np.array([found.get(k, 2.0) for k in range(5)])
    certain = (probabilities.max(1) >= 0.6) & (probabilities[:, 4] < limits[best])
    missed = certain & np.isin(best, (0, 1, 2)) & (truth == 4)
    assert missed.sum() <= max_missed * (truth == 4).sum()
