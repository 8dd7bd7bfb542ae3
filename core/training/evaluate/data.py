"""Describes the data sets behind a model: how many of what, how large, how coloured."""

from collections import Counter
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from core.datasets.readers import DataSet, Example, open_set
from core.domain.results import Pixels
from core.model_card import ModelName
from core.settings import Settings

SETS: dict[ModelName, tuple[str, ...]] = {
    "wbc": ("cellavision", "kaggle", "pbc"),
    "all_stage": ("taleqani",),
    "detector": ("bccd", "txl"),
}
LOOKED_AT = 120
"""Pictures of a set that are opened for size and colour, evenly spread over it."""
_SIZES_NAMED = 4


def describe_sets(model: ModelName, settings: Settings) -> dict[str, Any]:
    """Return what the page tells of every set that a model learns from or is measured on."""
    return {name: describe(open_set(name, settings)) for name in SETS[model]}


def describe(data: DataSet) -> dict[str, Any]:
    """Return counts by split and label, picture sizes, mean colour and a sample of each label.

    A set with boxes counts boxes by kind, any other pictures by label. `colour` is the mean of
    the pictures' mean CIELAB (L* 0 to 100, a*, b*) with its standard deviation over pictures.
    """
    counts: dict[str, Counter[str]] = {}
    samples: dict[str, str] = {}
    for example in data.examples:
        for label in _labels(example):
            counts.setdefault(example.split, Counter())[label] += 1
        samples.setdefault(example.label or example.split, example.member)
    looked_at = data.examples[:: max(len(data) // LOOKED_AT, 1)]
    pictures = [data.read(e) for e in tqdm(looked_at, desc=data.name)]
    sizes = Counter(p.shape[1::-1] for p in pictures)
    colours = np.array([mean_lab(p) for p in pictures])
    return {
        "pictures": len(data),
        "unit": "Pictures" if data.examples[0].label is not None else "Boxes",
        "counts": {split: dict(sorted(own.items())) for split, own in sorted(counts.items())},
        "looked_at": len(pictures),
        "sizes": [
            {"width": int(width), "height": int(height), "share": number / len(pictures)}
            for (width, height), number in sizes.most_common(_SIZES_NAMED)
        ],
        "colour": {
            "mean": [float(value) for value in colours.mean(0)],
            "deviation": [float(value) for value in colours.std(0)],
        },
        "samples": samples,
    }


def _labels(example: Example) -> list[str]:
    if example.label is not None:
        return [example.label]
    return [box.kind for box in example.boxes]


def mean_lab(pixels: Pixels) -> tuple[float, float, float]:
    """Return the mean CIELAB colour: L* in 0..100, a* and b* around 0."""
    lightness, a, b = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).reshape(-1, 3).mean(0)
    return float(lightness) * 100 / 255, float(a) - 128, float(b) - 128
