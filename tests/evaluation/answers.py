"""Made-up answers of a classifier: true labels, and probabilities that favour them."""

import numpy as np
from hypothesis import strategies as st
from scipy.special import softmax

LABELS = ["a", "b", "c", "d"]


def made_answers(rng, truth, edge):
    """Labels and n x 4 probabilities; `edge` is what the true label's logit is raised by."""
    logits = rng.normal(size=(len(truth), len(LABELS))) + edge * np.eye(len(LABELS))[truth]
    return [LABELS[i] for i in truth], softmax(logits, axis=1)


@st.composite
def answers(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    truth = rng.integers(0, len(LABELS), draw(st.integers(1, 60)))
    return made_answers(rng, truth, draw(st.floats(0, 5)))


def sample():
    """Two hundred answers, the same in every test; the labels occur 80, 40, 30 and 50 times."""
    return made_answers(np.random.default_rng(3), np.repeat(np.arange(4), [80, 40, 30, 50]), 1.5)
