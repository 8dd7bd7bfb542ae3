"""Measures the ALL classifier: held-out folds, other stains, activation maps, quality control."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from tqdm import tqdm
from tqdm.contrib.concurrent import thread_map

from core.datasets.readers import open_set
from core.domain.boxes import Box
from core.domain.decision import decide
from core.domain.results import FieldImage, ImageProperties, Pixels
from core.domain.taxonomy import STAGES
from core.errors import InputError
from core.evaluation.calibration import softmax
from core.evaluation.corruptions import colour_gradient, vignette
from core.evaluation.metrics import (
    Floats,
    classification_metrics,
    prediction_frame,
    proportion,
    wilson_estimate,
)
from core.evaluation.schema import (
    CamFigures,
    ClassifierFigures,
    CorruptionFigures,
    LightFigures,
    LightRow,
    QualityControlFigures,
    RejectionFigures,
    SmearFigures,
)
from core.imaging.illumination import UNEVEN_FROM, background, flatten, unevenness
from core.imaging.read import read_images
from core.inference.field_classifier import FieldClassifier
from core.inference.pipeline import Analyzer
from core.inference.quality_control import LEAST_CHROMA, LEAST_SHARPNESS, chroma_spread, sharpness
from core.inference.runtime import LiteRTEngine
from core.model_card import FieldClassifierCard, load_card, read_checked
from core.settings import Settings
from core.training.data.all_fields import (
    Fields,
    all_fields,
    held_out_logits,
    seen_at,
    stain_jittered,
    stain_swapped,
)
from core.training.evaluate.corruptions import Prediction, measure_corruptions
from core.training.evaluate.data import describe_sets

_LABELS = tuple(STAGES)
_CHANGED_EVERY = 4
"""Of the fields every fourth is measured with its appearance changed."""

CORRUPTED_EVERY = 12
"""Of the fields every twelfth is measured under every corruption."""
LIGHT_EVERY = 16
"""Of the fields every sixteenth is measured with its light corrected, in one view."""
CLOSER, FARTHER = 0.7, 1.25
"""What is seen to a side at another magnification, in shares of a field."""
CAM_EVERY = 12
"""Of the ALL fields every twelfth is measured by its class activation map."""
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


def standard(settings: Settings) -> tuple[ClassifierFigures, pd.DataFrame]:
    """Let each fold's head answer for the fold it did not see; they share one trunk.

    Every fourth field is measured with its appearance or magnification changed, all as
    they are. The gates of quality control are outputs of the same network and measured here too.
    """
    fields = all_fields(settings)
    card = load_card("all_stage", settings)
    everyone = np.arange(len(fields))
    some = everyone[::_CHANGED_EVERY]
    images: dict[str, tuple[NDArray[np.int64], Sequence[Pixels]]] = {
        "taleqani_folds_stain_jitter": (some, stain_jittered(fields, some)),
        "taleqani_folds_tone_swapped": (some, stain_swapped(fields, some)),
        "taleqani_folds_closer": (some, [seen_at(fields.pixels[k], CLOSER) for k in some]),
        "taleqani_folds_farther": (some, [seen_at(fields.pixels[k], FARTHER) for k in some]),
        "taleqani_folds": (everyone, list(fields.pixels)),
    }
    engine = LiteRTEngine(read_checked(card, settings))
    held_out = held_out_logits(engine, card.input_width, settings)
    frames, metrics = [], {}
    for name, (rows, pixels) in images.items():
        examples = [fields.examples[row] for row in rows]
        folds, truth = [e.split for e in examples], [str(e.label) for e in examples]
        logits = thread_map(held_out, pixels, folds, max_workers=2, desc=name)
        probabilities = softmax(np.stack(logits), card.temperature)
        metrics[name] = classification_metrics(truth, probabilities, _LABELS)
        files = [e.member for e in examples]
        frames.append(prediction_frame(name, files, truth, probabilities, _LABELS))
    analyzer = Analyzer(settings)
    measured = ClassifierFigures(
        sets=metrics,
        corruptions=corrupted(fields, held_out, card),
        cam=cam_on_cells(analyzer, settings),
        quality_control=measure_quality_control(analyzer, settings),
        data=describe_sets("all_stage", settings),
    )
    return measured, pd.concat(frames, ignore_index=True)


def corrupted(
    fields: Fields,
    held_out: Callable[[Pixels, str], NDArray[np.float32]],
    card: FieldClassifierCard,
) -> CorruptionFigures:
    """Measure every twelfth field under each corruption, by the head that did not see it."""
    rows = np.arange(len(fields))[::CORRUPTED_EVERY]
    examples = [fields.examples[row] for row in rows]

    def predict(pixels: Pixels, number: int) -> Prediction:
        values = softmax(held_out(pixels, examples[number].split), card.temperature)
        by_label = dict(zip(_LABELS, map(float, values), strict=True))
        classified = decide(by_label, card.thresholds.decision) == "classified"
        return Prediction(_LABELS[int(values.argmax())], classified)

    truth = [str(example.label) for example in examples]
    return measure_corruptions("taleqani_folds", truth, lambda k: fields.pixels[rows[k]], predict)


def light(settings: Settings) -> tuple[ClassifierFigures, pd.DataFrame | None]:
    """Measure whether light correction in front of the model helps; writes no predictions.

    The head that did not see a field's fold answers from one view of it: as it was taken, with its
    light corrected, and with its light corrected where it is clearly uneven.
    """
    fields, card = all_fields(settings), load_card("all_stage", settings)
    rows = np.arange(len(fields))[::LIGHT_EVERY]
    engine = LiteRTEngine(read_checked(card, settings), threads=1)
    logits = held_out_logits(engine, card.input_width, settings, views=1)
    jittered = dict(zip(rows, stain_jittered(fields, rows), strict=True))
    lights: dict[str, Callable[[int], Pixels]] = {
        "as taken": lambda row: fields.pixels[row],
        "closer": lambda row: seen_at(fields.pixels[row], CLOSER),
        "farther": lambda row: seen_at(fields.pixels[row], FARTHER),
        "restained": lambda row: jittered[row],
        "vignetting 60 %": lambda row: vignette(fields.pixels[row], 0.6),
        "colour gradient 40 %": lambda row: colour_gradient(fields.pixels[row], 0.4),
    }

    def is_right(pixels: Pixels, row: int) -> bool:
        return int(logits(pixels, fields.examples[row].split).argmax()) == fields.stages[row]

    def one(name: str, row: int) -> tuple[bool, bool, bool]:
        pixels = lights[name](row)
        taken, corrected = is_right(pixels, row), is_right(flatten(pixels), row)
        is_uneven = unevenness(background(pixels)) > UNEVEN_FROM
        return taken, corrected, corrected if is_uneven else taken

    measured = []
    for name in lights:
        right = thread_map(partial(one, name), rows, max_workers=2, desc=name)
        figures = [wilson_estimate(sum(column), len(rows)) for column in zip(*right, strict=True)]
        values = dict(
            zip(("as_taken", "corrected", "corrected_where_uneven"), figures, strict=True)
        )
        measured.append(LightRow(light=name, **values))
    light_figures = LightFigures(set="taleqani_folds", n=len(rows), rows=measured)
    return ClassifierFigures(light=light_figures), None


def shares_in_boxes(
    cam: NDArray[np.float32], boxes: Sequence[Box], width: int, height: int
) -> tuple[float, float]:
    """Return the proportions of the map and of the image's area inside any box.

    `cam` (h x w) covers the image of width x height pixels. The first proportion is 0 for an
    empty map.
    """
    inside = np.zeros((height, width), bool)
    for box in boxes:
        inside[box.slices] = True
    spread = cv2.resize(cam, (width, height), interpolation=cv2.INTER_LINEAR)
    total = float(spread.sum())
    return (float(spread[inside].sum()) / total if total else 0.0, float(inside.mean()))


def _cam(grader: FieldClassifier, pixels: Pixels) -> NDArray[np.float32]:
    properties = ImageProperties("PNG", "RGB", 8, pixels.size)
    result = grader.predict(FieldImage("field", pixels, "", properties), force=True)
    if result.cam is None:
        raise ValueError("a graded field has a class activation map")
    return result.cam


def cam_on_cells(analyzer: Analyzer, settings: Settings) -> CamFigures:
    """Compare the class activation map inside white cells with the area that they cover.

    A map spread evenly would have the same share as the area. Means over the fields in which a
    white cell is found; the final model, which was trained on these fields.
    """
    data = open_set("taleqani", settings)
    examples = data.examples[::CAM_EVERY]
    shares = []
    for example in tqdm(examples, desc="class activation maps"):
        pixels = data.read(example)
        boxes = [d.box for d in analyzer.detector.detect(pixels) if d.kind == "wbc"]
        if boxes:
            height, width = pixels.shape[:2]
            cam = _cam(analyzer.field_classifier, pixels)
            shares.append(shares_in_boxes(cam, boxes, width, height))
    inside, area = np.mean(shares, axis=0)
    return CamFigures(
        n=len(shares),
        without_cells=len(examples) - len(shares),
        inside=float(inside),
        area=float(area),
    )


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
