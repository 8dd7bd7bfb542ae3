import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.probability import probability_text


@pytest.mark.parametrize(
    ("probability", "digits", "text"),
    [
        (0.9731, 1, "97.3 %"),
        (0.9996, 1, ">99.9 %"),
        (1.0, 1, ">99.9 %"),
        (0.0004, 1, "<0.1 %"),
        (0.994, 0, "99 %"),
        (0.995, 0, ">99 %"),
        (0.004, 0, "<1 %"),
    ],
)
def test_rounding_makes_nothing_certain(probability, digits, text):
    assert probability_text(probability, digits) == text


@given(st.floats(0, 1), st.sampled_from([0, 1, 2]))
def test_the_number_written_is_near_the_probability(probability, digits):
    written = float(probability_text(probability, digits).strip("<>% "))
    assert 0 < written < 100
    assert written == pytest.approx(100 * probability, abs=1.01 * 10**-digits)
