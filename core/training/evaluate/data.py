"""Describes the data sets behind a model: how many of what, how large, how coloured."""

from collections import Counter

import cv2
import numpy as np
from tqdm import tqdm

from core.datasets.readers import DataSet, open_set
from core.domain.results import Pixels
from core.evaluation.schema import DataSetFigures, ImageSize, MeanColour
from core.model_card import ModelName
from core.settings import Settings

SETS: dict[ModelName, tuple[str, ...]] = {
    "wbc": ("cellavision", "kaggle", "pbc"),
    "all_stage": ("taleqani",),
    "detector": ("bccd", "txl"),
}
SAMPLED = 120
"""Images of a set that are opened for size and colour, evenly spread over it."""
_SIZES_NAMED = 4


def describe_sets(model: ModelName, settings: Settings) -> dict[str, DataSetFigures]:
    """Return a description of every set that a model is trained or measured on."""
    return {name: describe(open_set(name, settings)) for name in SETS[model]}


def describe(data: DataSet) -> DataSetFigures:
    """Return counts by split and label, image sizes, mean colour and a sample of each label.

    A set with boxes counts boxes by kind, any other images by label. `colour` is the mean of
    the images' mean CIELAB (L* 0 to 100, a*, b*) with its standard deviation over images.
    """
    counts: dict[str, Counter[str]] = {}
    samples: dict[str, str] = {}
    for example in data.examples:
        kinds = [box.kind for box in example.boxes]
        for label in kinds if example.label is None else [example.label]:
            counts.setdefault(example.split, Counter())[label] += 1
        samples.setdefault(example.label or example.split, example.member)
    sampled = data.examples[:: max(len(data) // SAMPLED, 1)]
    images = [data.read(e) for e in tqdm(sampled, desc=data.name)]
    sizes = Counter(pixels.shape[1::-1] for pixels in images)
    colours = np.array([mean_lab(pixels) for pixels in images])
    return DataSetFigures(
        images=len(data),
        unit="Images" if data.examples[0].label is not None else "Boxes",
        counts={split: dict(sorted(own.items())) for split, own in sorted(counts.items())},
        sampled=len(images),
        sizes=[
            ImageSize(width=width, height=height, share=number / len(images))
            for (width, height), number in sizes.most_common(_SIZES_NAMED)
        ],
        colour=MeanColour(mean=tuple(colours.mean(0)), deviation=tuple(colours.std(0))),
        samples=samples,
    )


def mean_lab(pixels: Pixels) -> tuple[float, float, float]:
    """Return the mean CIELAB colour: L* in 0..100, a* and b* around 0."""
    lightness, a, b = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).reshape(-1, 3).mean(0)
    return float(lightness) * 100 / 255, float(a) - 128, float(b) - 128
