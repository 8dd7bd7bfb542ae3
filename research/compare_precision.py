"""The shipped networks in 32-bit floats and in 8-bit integers, on the same test images.

`python -m research precision NAME` makes both files from the same weights, gives each its own
temperature and thresholds, and measures both. The cell classifier is also measured in floats on
smaller crops, which is the other way to save time.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.contrib.concurrent import thread_map

from core.adaptation.own_set import measure_detector
from core.bench.timing import in_turns
from core.datasets.readers import Example, open_set
from core.domain.results import FieldImage, ImageProperties, Pixels
from core.domain.taxonomy import CELL_TYPES, MATURE_FIVE
from core.evaluation.comparisons import FoundCells, PrecisionRow, StagedFields, TypedCells
from core.evaluation.metrics import classification_metrics, proportion, wilson_estimate
from core.imaging.illumination import set_white_point
from core.inference.cell_classifier import CellClassifier, CellPrediction
from core.inference.detector import Detector
from core.inference.field_classifier import FieldClassifier
from core.inference.pipeline import region_of_crop
from core.inference.runtime import LiteRTEngine
from core.model_card import ModelCard, ModelName, load_card
from core.settings import Settings
from core.training.data.all_fields import all_fields
from core.training.data.cell_sources import shipped_detector
from core.training.evaluate.detector import corrected
from core.training.export import keras_reference, litert_file
from core.training.quantize import Source, quantized, source_of
from research.compare_cells import RECIPE
from research.comparisons import write_row

SMALLER = 128
"""Side of the smaller crops in pixels."""
_FIELDS_EVERY = 10
"""Of the ALL fields every tenth is graded with both files."""


@dataclass(frozen=True, slots=True, eq=False)
class Variant:
    """One file of a model with the card that belongs to it."""

    content: bytes
    card: Any

    def engine(self, threads: int = 2) -> LiteRTEngine:
        """Load the file."""
        return LiteRTEngine(self.content, threads=threads)


def compare_precisions(
    name: ModelName, settings: Settings, cells: Path | None = None
) -> dict[str, PrecisionRow]:
    """Measure a model's files and keep a row of each."""
    card = load_card(name, settings)
    source = source_of(card, settings, cells)
    variants = _variants(card, source, settings)
    measures: dict[ModelName, Callable[..., dict[str, dict[str, Any]]]] = {
        "detector": _detected,
        "wbc": _typed,
        "all_stage": _graded,
    }
    sets = measures[name](variants, settings)
    milliseconds = forward_milliseconds(variants, source.holdout[0])
    rows = {}
    for key, variant in variants.items():
        rows[key] = PrecisionRow(
            command=f"python -m research precision {name}",
            side=variant.card.input_width,
            file_bytes=len(variant.content),
            milliseconds=milliseconds[key],
            sets=sets[key],
            recipe=RECIPE if name == "wbc" else "",
        )
        write_row(settings.models / name, "precisions", key, rows[key])
    return rows


def _variants(card: ModelCard, source: Source, settings: Settings) -> dict[str, Variant]:
    content = litert_file(source.network, list(source.calibration_set[:3]))
    contents = {
        "float32": content,
        "int8": quantized(content, source.calibration_set, list(source.holdout), card.name),
    }
    variants = {}
    for key, content in contents.items():
        # What ships keeps its own calibration.
        changes = {} if key == card.precision else source.calibration(content, card)
        variants[key] = Variant(content, card.changed(**changes))
    if card.name == "wbc":
        smaller = keras_reference("wbc", settings, SMALLER)
        content = litert_file(smaller, list(source.calibration_set[:3, :SMALLER, :SMALLER]))
        side = {"input_width": SMALLER, "input_height": SMALLER}
        resized = card.changed(**side)
        changes = source.calibration(content, resized)
        variants["float32_smaller"] = Variant(content, resized.changed(**changes))
    return variants


def forward_milliseconds(variants: Mapping[str, Variant], image: Pixels) -> dict[str, float]:
    """Return the median time of one forward pass on one thread, by variant."""
    calls: dict[str, Callable[[], object]] = {}
    for key, variant in variants.items():
        crop = image[None, : variant.card.input_height, : variant.card.input_width]
        run = variant.engine(threads=1).run
        calls[key] = partial(run, np.ascontiguousarray(crop, np.float32))
    return in_turns(calls)


def _typed(variants: Mapping[str, Variant], settings: Settings) -> dict[str, dict[str, TypedCells]]:
    """Type every PBC test cell, found once, with each variant."""
    detector = shipped_detector(settings)
    classifiers = [CellClassifier(v.engine(threads=1), v.card) for v in variants.values()]
    data = open_set("pbc", settings)
    examples = data.of_split("test")

    def answers(example: Example) -> list[CellPrediction]:
        pixels = set_white_point(data.read(example))
        region = region_of_crop(pixels, detector)
        return [classifier.predict(pixels, region) for classifier in classifiers]

    rows = thread_map(answers, examples, max_workers=2, desc="pbc_test")
    truth = [str(example.label) for example in examples]
    return {
        key: {
            "pbc_test": type_figures(truth, [row[k] for row in rows], tuple(CELL_TYPES)),
            "wbcatt_test": type_figures(truth, [row[k] for row in rows], MATURE_FIVE),
        }
        for k, key in enumerate(variants)
    }


def type_figures(
    truth: Sequence[str], answers: Sequence[CellPrediction], labels: Sequence[str]
) -> TypedCells:
    """Return accuracy, ECE, and how many are classified with how many of them right.

    Cells of other types than `labels` are left out.
    """
    chosen = [(t, a) for t, a in zip(truth, answers, strict=True) if t in labels]
    probabilities = np.array([[a.probabilities[key] for key in CELL_TYPES] for _, a in chosen])
    figures = classification_metrics(
        [t for t, _ in chosen], probabilities, list(labels), all_labels=list(CELL_TYPES)
    )
    right = [t == a.type for t, a in chosen if a.status == "classified"]
    return TypedCells(
        n=figures.n,
        accuracy=figures.accuracy,
        macro_f1=figures.macro_f1,
        ece=figures.ece,
        classified=proportion(len(right), len(chosen)),
        classified_right=proportion(sum(right), len(right)),
    )


def _detected(
    variants: Mapping[str, Variant], settings: Settings
) -> dict[str, dict[str, FoundCells]]:
    """Find the cells of the TXL-PBC test fields with each variant."""
    data = open_set("txl", settings)
    tested = [(e, data.read(e)) for e in data.of_split("test")]
    fields = {
        "txl_test": [(e.member, pixels, e.boxes) for e, pixels in tested],
        "txl_test_corrected": [(e.member, pixels, corrected(e)) for e, pixels in tested],
    }
    sets: dict[str, dict[str, FoundCells]] = {}
    for key, variant in variants.items():
        detector = Detector(variant.engine(), variant.card)
        for name, labelled in fields.items():
            figures, _ = measure_detector(name, labelled, detector)
            sets.setdefault(key, {})[name] = FoundCells.model_validate(figures.model_dump())
    return sets


def _graded(
    variants: Mapping[str, Variant], settings: Settings
) -> dict[str, dict[str, StagedFields]]:
    """Grade ALL fields with both files; the final head has seen them all, so no accuracy."""
    images = all_fields(settings).pixels[::_FIELDS_EVERY]
    properties = ImageProperties("PNG", "RGB", 8, 0)
    rows = {}
    for key, variant in variants.items():
        grader = FieldClassifier(variant.engine(), variant.card)
        fields = [FieldImage(f"{k}", pixels, "", properties) for k, pixels in enumerate(images)]
        with ThreadPoolExecutor(2) as pool:
            graded = pool.map(lambda f, g=grader: g.predict(f, force=True), fields)
            rows[key] = pd.DataFrame([result.probabilities for result in graded])
    reference = rows["float32"]
    return {
        key: {
            "taleqani": StagedFields(
                n=len(own),
                same_class=wilson_estimate(
                    int((own.idxmax(axis=1) == reference.idxmax(axis=1)).sum()), len(own)
                ),
                largest_change=float((own - reference).abs().to_numpy().max()),
            )
        }
        for key, own in rows.items()
    }
