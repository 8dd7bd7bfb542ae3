"""The input gate: tells blood smears from other pictures by what ImageNet's trunk sees.

Logistic regression on the pooled features of the ALL model, whose trunk stays as of ImageNet. It
becomes one more output of that model's file.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from core.learning import augment
from core.learning.datasets import open_set
from core.learning.no_smears import no_smear
from core.results import Pixels
from core.settings import Settings

_LOG = logging.getLogger(__name__)
HEIGHT, WIDTH = 288, 384
VIEWS = 300
"""Views of each set of smears; as many of other pictures as of all smears together."""
INVERSE_PENALTY = 0.01
THRESHOLD = -1.0
"""Logit below which a picture is refused: on the side of letting a strange smear pass."""
SMEARS: dict[str, tuple[str, ...]] = {
    "pbc": ("train",),
    "kaggle": ("train",),
    "txl": ("train",),
    "bccd": ("train",),
    "taleqani": ("1", "2", "3", "4"),
}
"""Sets of smears and the splits that teach the gate."""


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """`features @ weights + bias` is the logit of a picture being a smear."""

    weights: NDArray[np.float32]
    bias: float


def fit_gate(network: Any, settings: Settings, size: int, seed: int = 3) -> Gate:
    """Fit the gate to the trunk of an ALL network; views are size x size."""
    from core.imaging.made import make_field

    rng = np.random.default_rng(seed)
    smears = [_smear_view(pixels, rng) for pixels in _smears(settings, rng)]
    smears += [_smear_view(make_field(90_000 + k).pixels, rng) for k in range(VIEWS // 3)]
    with ThreadPoolExecutor(2) as pool:
        others = list(
            pool.map(lambda s: no_smear(np.random.default_rng((seed, s))), range(len(smears)))
        )
    features = pooled_features(network, [*smears, *others], size)
    truth = np.repeat([1, 0], [len(smears), len(others)])
    scaler = StandardScaler().fit(features)
    regression = LogisticRegression(C=INVERSE_PENALTY, max_iter=500)
    regression.fit(scaler.transform(features), truth)
    weights = regression.coef_[0] / scaler.scale_
    bias = float(regression.intercept_[0] - scaler.mean_ @ weights)
    logits = features @ weights + bias
    _LOG.info(
        "gate: %.2f %% of %d smears refused, %.2f %% of %d others pass",
        100 * (logits[truth == 1] < THRESHOLD).mean(),
        len(smears),
        100 * (logits[truth == 0] >= THRESHOLD).mean(),
        len(others),
    )
    return Gate(weights.astype(np.float32), bias)


def _smears(settings: Settings, rng: Generator) -> list[Pixels]:
    pictures = []
    for name, splits in SMEARS.items():
        data = open_set(name, settings)
        examples = data.of_split(*splits)
        rows = rng.choice(len(examples), VIEWS, replace=len(examples) < VIEWS)
        pictures += [data.read(examples[row]) for row in rows]
    return pictures


def _smear_view(pixels: Pixels, rng: Generator) -> Pixels:
    """Return a part of a smear as another laboratory may show it, HEIGHT x WIDTH x 3."""
    height, width = pixels.shape[:2]
    share = rng.uniform(0.55, 1.0)
    w = int(min(width, height * WIDTH / HEIGHT) * share)
    h = w * HEIGHT // WIDTH
    y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    view = cv2.resize(pixels[y : y + h, x : x + w], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    strength = augment.STRONG if rng.random() < 0.6 else augment.MILD
    return augment.look(np.asarray(view), rng, strength)


def pooled_features(network: Any, pictures: Sequence[Pixels], size: int) -> NDArray[np.float32]:
    """Return the trunk's pooled features of pictures squeezed to size x size, n x 1280."""
    import keras

    trunk = keras.Model(network.input, network.get_layer("pooled").output)
    squares = [cv2.resize(p, (size, size), interpolation=cv2.INTER_AREA) for p in pictures]
    rows = [
        np.asarray(trunk(np.stack(squares[k : k + 16]).astype(np.float32)))
        for k in range(0, len(squares), 16)
    ]
    return np.concatenate(rows)
