"""Measures quality control: smears of all sets against photographs, textures, noise and blur.

None of these images was trained on: smears come from test splits and from a source never trained
on, the other images from scikit-image; the blur is added here.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from core.datasets.readers import open_set
from core.domain.results import Pixels
from core.errors import InputError
from core.evaluation.metrics import Floats, proportion, wilson_estimate
from core.evaluation.schema import QualityControlFigures, RejectionFigures, SmearFigures
from core.imaging.read import read_images
from core.inference.pipeline import Analyzer
from core.inference.quality_control import LEAST_CHROMA, LEAST_SHARPNESS, chroma_spread, sharpness
from core.settings import Settings

# Set, splits and stride through its images.
_SMEARS: dict[str, tuple[tuple[str, ...], int]] = {
    "cellavision": (("test",), 1),
    "kaggle": (("test_simple", "test"), 13),
    "bccd": (("test",), 1),
    "txl": (("test",), 1),
    "pbc": (("test",), 25),
    "taleqani": (("0",), 3),
}
_BLUR_SHARES = (0.03, 0.05)
"""Sigmas of the blur as shares of the shorter side."""
_NOISE_IMAGES = 30
_GATE_SPAN = 10.0
"""Logits of the gate that weigh as much as a margin of 1 of the others."""


def _smears(settings: Settings) -> Iterator[tuple[str, Pixels]]:
    for name, (splits, stride) in _SMEARS.items():
        data = open_set(name, settings)
        for example in data.of_split(*splits)[::stride]:
            yield name, data.read(example)


def _photographs(settings: Settings) -> Iterator[Pixels]:
    """Yield the sample images that scikit-image brings along: people, things, tissue, texture."""
    import skimage

    for path in sorted(Path(skimage.data.__file__).parent.glob("*")):
        if path.suffix in {".png", ".jpg"}:
            try:
                yield read_images(path.read_bytes(), path.name, settings=settings)[0].pixels
            except InputError:
                continue


def _noise() -> Iterator[Pixels]:
    for seed in range(_NOISE_IMAGES):
        rng = np.random.default_rng((11, seed))
        cells = (3 * (2 ** (seed % 7)), 4 * (2 ** (seed % 7)), 3)
        small = rng.normal(128, 20 + 2 * seed, cells).clip(0, 255).astype(np.uint8)
        yield np.asarray(cv2.resize(small, (640, 480), interpolation=cv2.INTER_CUBIC))


def _blurred(smears: list[tuple[str, Pixels]]) -> Iterator[Pixels]:
    for number, (_, pixels) in enumerate(smears[::8]):
        sigma = _BLUR_SHARES[number % len(_BLUR_SHARES)] * min(pixels.shape[:2])
        yield np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma))


def margin(pixels: Pixels, analyzer: Analyzer) -> float:
    """Return the smallest of an image's margins in quality control; it passes above 0."""
    gate = analyzer.smear_classifier.logit(pixels) - analyzer.smear_classifier.least(pixels)
    return float(
        min(
            chroma_spread(pixels) / LEAST_CHROMA - 1,
            sharpness(pixels) / LEAST_SHARPNESS - 1,
            gate / _GATE_SPAN,
        )
    )


def measure_quality_control(analyzer: Analyzer, settings: Settings) -> QualityControlFigures:
    """Return the proportion rejected and the AUROC against all smears, by kind of image."""
    smears = list(_smears(settings))
    passing = np.array([margin(p, analyzer) for _, p in tqdm(smears, desc="smears")])
    rejected = Counter(name for (name, _), value in zip(smears, passing, strict=True) if value < 0)
    total = Counter(name for name, _ in smears)
    kinds = {
        "Photographs and textures": _photographs(settings),
        "Noise": _noise(),
        "Fields out of focus": _blurred(smears),
    }
    others = {
        kind: np.array([margin(p, analyzer) for p in tqdm(images, desc=kind)])
        for kind, images in kinds.items()
    }
    return QualityControlFigures(
        smears=SmearFigures(
            n=len(smears),
            rejected=wilson_estimate(sum(rejected.values()), len(smears)),
            by_set={name: proportion(rejected[name], total[name]) for name in _SMEARS},
        ),
        others={
            kind: RejectionFigures(
                n=len(values),
                rejected=wilson_estimate(int((values < 0).sum()), len(values)),
                auroc=_auroc(passing, values),
            )
            for kind, values in others.items()
        },
        auroc=_auroc(passing, np.concatenate([*others.values()])),
    )


def _auroc(smears: Floats, others: Floats) -> float:
    """Return how well the margin separates smears from other images."""
    truth = np.repeat([1, 0], [len(smears), len(others)])
    return float(roc_auc_score(truth, np.concatenate([smears, others])))
