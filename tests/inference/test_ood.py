"""Whether a cell's look is known decides how much its probabilities are trusted."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from core.datasets.readers import open_set
from core.evaluation.calibration import softmax
from core.evaluation.corruptions import white_balance
from core.imaging.illumination import set_white_point
from core.inference.cell_classifier import CellClassifier
from core.inference.ood import AppearanceDensity, appearance_features, load_appearance
from core.inference.pipeline import region_of_crop
from core.inference.runtime import LiteRTEngine
from core.model_card import load_card, read_checked
from tests.images import read_image


@cache
def cells(name, every, most=60):
    data = open_set(name)
    return [
        set_white_point(data.read(example)) for example in data.of_split("test")[::every][:most]
    ]


def answers(analyzer, pictures, **ways):
    return [
        analyzer.classifier.predict(pixels, region_of_crop(pixels, analyzer.detector), **ways)
        for pixels in pictures
    ]


def unfamiliar(said):
    return np.mean([not answer.in_distribution for answer in said])


@pytest.mark.usefixtures("pack")
def test_cells_of_a_training_laboratory_are_familiar_and_many_of_others_not(analyzer):
    assert unfamiliar(answers(analyzer, cells("pbc", 80))) <= 0.05
    assert unfamiliar(answers(analyzer, cells("lisc", 5))) >= 0.5


@pytest.mark.usefixtures("pack")
def test_a_lamp_of_another_colour_is_noticed_and_costs_confidence_alone(analyzer):
    card = load_card("wbc")
    trusting = CellClassifier(LiteRTEngine(read_checked(card)), card)
    for pixels in cells("pbc", 250):
        warm = white_balance(pixels, 1.25, 0.8)
        region = region_of_crop(warm, analyzer.detector)
        careful, trusted = (c.predict(warm, region) for c in (analyzer.classifier, trusting))
        assert (careful.in_distribution, trusted.in_distribution) == (False, True)
        assert careful.type == trusted.type
        assert careful.confidence < trusted.confidence
        expected = softmax(careful.logits, card.ood_temperature)
        np.testing.assert_allclose(list(careful.probabilities.values()), expected)


def test_a_look_does_not_depend_on_the_way_the_cell_is_turned(pack):
    crop = np.ascontiguousarray(cells("pbc", 900)[0][:160, :160])
    for turned in (crop[::-1], crop[:, ::-1], np.rot90(crop)):
        np.testing.assert_allclose(
            appearance_features(np.ascontiguousarray(turned)), appearance_features(crop), atol=0.02
        )


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_the_density_is_that_of_the_mixture(seed, components):
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(components, 28))
    factors = np.tril(rng.normal(scale=0.1, size=(components, 28, 28)))
    factors[:, np.arange(28), np.arange(28)] = rng.uniform(0.5, 2, (components, 28))
    weights = rng.dirichlet(np.ones(components))
    looks = AppearanceDensity(np.zeros(28), np.ones(28), means, factors, np.log(weights))
    shares = []
    for weight, mean, factor in zip(weights, means, factors, strict=True):
        normal = multivariate_normal(mean, np.linalg.inv(factor @ factor.T))
        shares.append(np.log(weight) + normal.logpdf(means[0]))
    expected = logsumexp(shares) + 14 * np.log(2 * np.pi)
    assert looks.log_density(means[0]) == pytest.approx(expected, rel=1e-6, abs=1e-5)


def test_a_file_gives_the_looks_that_were_written():
    looks = load_appearance(load_card("wbc"))
    again = AppearanceDensity.of_bytes(looks.to_bytes())
    look = looks.centre + 0.1 * looks.scale
    assert again.log_density(look) == looks.log_density(look)


def test_the_answer_says_whether_an_image_is_in_distribution(analyzer, pack):
    field = analyzer.analyze(read_image(pack.encoded(pack.bccd(20)), "field.jpg"))
    assert field.white_cells()
    assert field.counts.out_of_distribution == 0
    examples = open_set("lisc").of_split("test")[::12]
    crops = [
        analyzer.classify(read_image(pack.png(pack.read("lisc.zip", e.member)), "c"))
        for e in examples
    ]
    assert sum(crop.in_distribution is False for crop in crops) >= 8
