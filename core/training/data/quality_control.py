"""The gates: tell blood smears from other images, and ALL fields from other smears.

Logistic regressions on the pooled features of the ALL model, whose trunk stays as of ImageNet. They
become further outputs of that model's file.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from core.datasets.readers import open_set
from core.domain.results import Pixels
from core.inference.field_classifier import stage_input
from core.settings import Settings
from core.synthetic.fields import make_field
from core.training.augmentation import appearance
from core.training.data.negatives import HEIGHT, WIDTH, negative_image

_LOG = logging.getLogger(__name__)
VIEWS = 300
"""Random views of each set of smears."""
INVERSE_PENALTY = 0.01
"""scikit-learn's C, on standardised features."""
_SYNTHETIC_SEED = 90_000
"""Of the first synthetic field; the detector and the cell classifier learn from others."""
THRESHOLD = -1.5
"""Logit below which an image is refused: on the side of letting a strange one pass."""
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
    """`features @ weights + bias` is the logit of an image being what the gate lets in."""

    weights: NDArray[np.float32]
    bias: float


def fit_smear_gate(network: Any, settings: Settings, size: int) -> Gate:
    """Fit smears against other images on an ALL network's trunk; views are size x size."""
    seed = 3
    rng = np.random.default_rng(seed)
    smears = [_view(pixels, rng) for pixels in _images(settings, SMEARS, VIEWS, rng)]
    smears += _synthetic_views(VIEWS // 3, rng)
    with ThreadPoolExecutor(2) as pool:
        seeds = range(len(smears))
        others = list(pool.map(lambda s: negative_image(np.random.default_rng((seed, s))), seeds))
    return _fit(
        network, [squeezed(p, size) for p in smears], [squeezed(p, size) for p in others], "smear"
    )


def squeezed(pixels: Pixels, size: int) -> Pixels:
    """Return an image as the smear gate looks at it, size x size."""
    return np.asarray(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA))


def fit_field_gate(network: Any, settings: Settings, size: int) -> Gate:
    """Fit fields of suspected ALL against other smears; views are as the grader sees them."""
    rng = np.random.default_rng(4)
    every_fold = {"taleqani": ("0", "1", "2", "3", "4")}
    fields = [_view(pixels, rng) for pixels in _images(settings, every_fold, 3 * VIEWS, rng)]
    other_sets = {name: splits for name, splits in SMEARS.items() if name != "taleqani"}
    others = [_view(pixels, rng) for pixels in _images(settings, other_sets, VIEWS // 2, rng)]
    others += _synthetic_views(VIEWS // 2, rng)
    return _fit(
        network,
        [stage_input(p, size) for p in fields],
        [stage_input(p, size) for p in others],
        "ALL field",
    )


def _fit(network: Any, inside: Sequence[Pixels], outside: Sequence[Pixels], name: str) -> Gate:
    """Fit on the trunk's features of square images that the gate lets in and keeps out."""
    features = pooled_features(network, [*inside, *outside])
    truth = np.repeat([1, 0], [len(inside), len(outside)])
    scaler = StandardScaler().fit(features)
    regression = LogisticRegression(C=INVERSE_PENALTY, max_iter=500, class_weight="balanced").fit(
        scaler.transform(features), truth
    )
    weights = regression.coef_[0] / scaler.scale_
    bias = float(regression.intercept_[0] - scaler.mean_ @ weights)
    logits = features @ weights + bias
    _LOG.info(
        "%s gate: %.2f %% of %d refused, %.2f %% of %d others pass",
        name,
        100 * (logits[truth == 1] < THRESHOLD).mean(),
        len(inside),
        100 * (logits[truth == 0] >= THRESHOLD).mean(),
        len(outside),
    )
    return Gate(weights.astype(np.float32), bias)


def _synthetic_views(count: int, rng: Generator) -> list[Pixels]:
    return [_view(make_field(_SYNTHETIC_SEED + number).pixels, rng) for number in range(count)]


def _images(
    settings: Settings, sets: Mapping[str, tuple[str, ...]], count: int, rng: Generator
) -> Iterator[Pixels]:
    """Yield `count` random images of the named splits of each set."""
    for name, splits in sets.items():
        data = open_set(name, settings)
        examples = data.of_split(*splits)
        for row in rng.choice(len(examples), count, replace=len(examples) < count):
            yield data.read(examples[row])


def _view(pixels: Pixels, rng: Generator) -> Pixels:
    """Return a part of a smear as another source may show it, HEIGHT x WIDTH x 3."""
    height, width = pixels.shape[:2]
    share = rng.uniform(0.55, 1.0)
    w = int(min(width, height * WIDTH / HEIGHT) * share)
    h = w * HEIGHT // WIDTH
    y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    view = cv2.resize(pixels[y : y + h, x : x + w], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    strength = appearance.STRONG if rng.random() < 0.6 else appearance.MILD
    return appearance.augment_appearance(np.asarray(view), rng, strength)


def pooled_features(network: Any, images: Sequence[Pixels]) -> NDArray[np.float32]:
    """Return the trunk's pooled features of square images, n x 1280."""
    import keras

    trunk = keras.Model(network.input, network.get_layer("pooled").output)
    rows = [
        trunk.predict_on_batch(np.stack(images[k : k + 16]).astype(np.float32))
        for k in range(0, len(images), 16)
    ]
    return np.concatenate(rows)
