"""What the training laboratories look like, and what to trust away from them."""

import json

import numpy as np
import pytest

from core.inference.ood import look_of
from core.settings import Settings
from core.training.data.cells import CONTEXT_SIZE, Cells, central_crops
from core.training.ood import TRAINING, UNFAMILIAR_CELLS, WATCHED, away_temperature

pytestmark = pytest.mark.training


def cells(seed, count, red):
    """Return smooth patches of one laboratory: a mean red, and noise of two sizes."""
    rng = np.random.default_rng(seed)
    coarse = np.kron(rng.normal(0, 12, (count, 27, 27, 3)), np.ones((1, 8, 8, 1)))
    fine = rng.normal(0, 4, (count, CONTEXT_SIZE, CONTEXT_SIZE, 3))
    crops = np.clip(np.array([red, 120, 160]) + coarse + fine, 0, 255).astype(np.uint8)
    return Cells(crops, np.zeros(count, int), np.zeros((count, 12), int), np.ones(count))


def test_looks_are_those_of_the_training_laboratories():
    from core.training.ood import fitted_looks

    domains = {name: cells(k, 40, 200) for k, name in enumerate((*TRAINING, *WATCHED))}
    looks, least = fitted_looks(domains, 64)

    def familiar(own):
        return [looks.log_density(look_of(c)) >= least for c in central_crops(own, 64)]

    watched = [one for name in WATCHED for one in familiar(domains[name])]
    assert 0 < watched.count(False) <= max(UNFAMILIAR_CELLS * len(watched), 1)
    assert not any(familiar(cells(9, 20, 120)))


def rows(tmp_path, content):
    (tmp_path / "wbc").mkdir()
    (tmp_path / "wbc" / "comparisons.json").write_text(json.dumps(content))
    return Settings(_env_file=None, models=tmp_path)


def test_the_temperature_away_is_the_mean_over_laboratories_left_out(tmp_path):
    left_out = {"pbc": {"temperature": 4.0}, "kaggle": {"temperature": 1.0}, "cellavision": {}}
    settings = rows(tmp_path, {"domains": left_out})
    assert away_temperature(settings, 1.3) == pytest.approx(2.0)
    assert away_temperature(settings, 2.5) == 2.5


@pytest.mark.parametrize("content", [{}, {"domains": {"cellavision": {}}}])
def test_without_such_trainings_the_temperature_at_home_stays(tmp_path, content):
    assert away_temperature(rows(tmp_path, content), 1.3) == 1.3


def test_without_any_comparison_the_temperature_at_home_stays(tmp_path):
    assert away_temperature(Settings(_env_file=None, models=tmp_path), 1.3) == 1.3
