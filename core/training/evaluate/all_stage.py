"""Measures the ALL classifier: held-out folds, other stains, activation maps, quality control."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.contrib.concurrent import thread_map

from core.domain.decision import decide
from core.domain.results import Pixels
from core.domain.taxonomy import STAGES
from core.evaluation.calibration import softmax
from core.evaluation.corruptions import colour_gradient, vignette
from core.evaluation.metrics import classification_metrics, prediction_frame, wilson_estimate
from core.evaluation.schema import (
    ClassifierFigures,
    CorruptionFigures,
    LightFigures,
    LightRow,
)
from core.imaging.illumination import UNEVEN_FROM, background, flatten, unevenness
from core.inference.pipeline import Analyzer
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
from core.training.evaluate.cam import cam_on_cells
from core.training.evaluate.corruptions import Prediction, measure_corruptions
from core.training.evaluate.data import describe_sets
from core.training.evaluate.quality_control import measure_quality_control

_LABELS = tuple(STAGES)
_CHANGED_EVERY = 4
"""Of the fields every fourth is measured with its appearance changed."""

CORRUPTED_EVERY = 12
"""Of the fields every twelfth is measured under every corruption."""
LIGHT_EVERY = 16
"""Of the fields every sixteenth is measured with its light corrected, in one view."""
CLOSER, FARTHER = 0.7, 1.25
"""What is seen to a side at another magnification, in shares of a field."""


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
