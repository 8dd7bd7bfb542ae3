"""Measures the single-cell classifier, on crops and on fields through the detector."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, f1_score
from tqdm import tqdm
from tqdm.contrib.concurrent import thread_map

from core.adaptation.site import LEAST_CELLS, SiteCells, adapt
from core.datasets.readers import DataSet, Example, open_set
from core.domain.intervals import Estimate
from core.domain.results import FieldImage, ImageProperties, Pixels, PossibleBlasts
from core.domain.taxonomy import (
    ATTRIBUTES,
    CELL_TYPES,
    DEEPAPL_SEVEN,
    KAGGLE_FOUR,
    MATURE_FIVE,
    PBC_EIGHT,
    STAGES,
    SUBTYPES,
)
from core.errors import ProfileError
from core.evaluation.blasts import blast_figures
from core.evaluation.calibration import softmax
from core.evaluation.metrics import (
    calibration_error,
    classification_metrics,
    prediction_frame,
    proportion,
    wilson_estimate,
)
from core.evaluation.schema import (
    AdaptationFigures,
    AttributeFigures,
    AttributesFigures,
    BeforeAfter,
    BlastFigures,
    ClassificationFigures,
    ClassifierFigures,
    CorruptionFigures,
    FieldFlagFigures,
    SubtypeFigures,
)
from core.imaging.illumination import flatten, set_white_point
from core.inference.cell_classifier import CellPrediction
from core.inference.pipeline import Analyzer, region_of_field
from core.settings import Settings
from core.training.evaluate.corruptions import Prediction, measure_corruptions
from core.training.evaluate.data import describe_sets

HELD_OUT_FOLD = "4"
"""Fold of DeepAPL by patient, and of Taleqani, that the shipped classifier is not trained on."""

# Set, split and the types it is scored over.
_SETS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "cellavision": ("cellavision", "test", MATURE_FIVE),
    "lisc": ("lisc", "test", MATURE_FIVE),
    "deepapl_fold": ("deepapl", HELD_OUT_FOLD, DEEPAPL_SEVEN),
    "kaggle_test_simple": ("kaggle", "test_simple", KAGGLE_FOUR),
    "kaggle_test": ("kaggle", "test", KAGGLE_FOUR),
    "pbc_test": ("pbc", "test", PBC_EIGHT),
}
CORRUPTED_EVERY = 12
"""Of the PBC test cells every twelfth is measured under every corruption."""
DRAWS = 20
_LEAST_LEFT = 3
"""Cells of a type that must remain for measuring."""
_FIELDS = {"Benign": 30, "Early": 20, "Pre": 20, "Pro": 20}
"""Fields of each class, evenly spaced in the fold."""


DECIMALS = 5
"""Of the probabilities, which the figures follow from: more would double the file."""


def _predict(
    analyzer: Analyzer,
    data: DataSet,
    examples: Sequence[Example],
    name: str,
    *,
    in_field: bool = False,
) -> tuple[pd.DataFrame, list[CellPrediction | None]]:
    """Return the table of predictions and the predictions themselves.

    With `in_field` an image is a field and its label that of its largest white cell.
    """

    def one(example: Example) -> CellPrediction | None:
        pixels = data.read(example)
        if not in_field:
            return analyzer.predict_cell(set_white_point(pixels))
        pixels = flatten(pixels)
        region = region_of_field(pixels, analyzer.detector)
        return None if region is None else analyzer.classifier.predict(pixels, region)

    answers = thread_map(one, examples, max_workers=2, desc=name)
    # No white cell found: no type has any probability, which counts as an error.
    labels = analyzer.classifier.labels
    nothing = dict.fromkeys(labels, 0.0)
    values = [nothing if answer is None else answer.probabilities for answer in answers]
    frame = prediction_frame(
        name,
        [e.member for e in examples],
        [str(e.label) for e in examples],
        np.array([[own[key] for key in labels] for own in values]).round(DECIMALS),
        labels,
    )
    return frame, answers


def _scores(frame: pd.DataFrame, labels: Sequence[str]) -> ClassificationFigures:
    columns = [column for column in frame if column.startswith("p_")]
    return classification_metrics(
        frame["truth"].tolist(),
        frame[columns].to_numpy(float),
        labels,
        all_labels=[column.removeprefix("p_") for column in columns],
    )


def standard(settings: Settings) -> tuple[ClassifierFigures, pd.DataFrame]:
    """Measure the standard sets. Returns the metrics by set and all predictions."""
    analyzer = Analyzer(settings)
    frames: dict[str, pd.DataFrame] = {}
    scores: dict[str, ClassificationFigures] = {}
    outside: dict[str, Estimate | None] = {}
    blasts: dict[str, BlastFigures] = {}
    subtypes: dict[str, dict[str, SubtypeFigures]] = {}
    for name, (set_name, split, labels) in _SETS.items():
        data = open_set(set_name, settings)
        # Types that a set labels too badly to be measured are left out.
        examples = [e for e in data.of_split(split) if e.label in labels]
        frames[name], found = _predict(
            analyzer, data, examples, name, in_field=set_name == "kaggle"
        )
        known = [cell.in_distribution for cell in found if cell is not None]
        outside[name] = proportion(known.count(False), len(known))
        if "blast" in labels:
            blasts[name] = _blasts(found, examples)
        if own := _subtypes(found, examples):
            subtypes[name] = own
        scores[name] = _scores(frames[name], labels)
    # WBCAtt's test split is the mature part of PBC's: the same predictions.
    mature = frames["pbc_test"]["truth"].isin(MATURE_FIVE)
    frames["wbcatt_test"] = frames["pbc_test"][mature].assign(set="wbcatt_test")
    scores["wbcatt_test"] = _scores(frames["wbcatt_test"], MATURE_FIVE)
    measured = ClassifierFigures(
        sets=scores,
        out_of_distribution=outside,
        blasts=blasts,
        subtypes=subtypes,
        corruptions=corrupted(analyzer, settings),
        adaptation=measure_adaptation(analyzer, settings),
        data=describe_sets("wbc", settings),
    )
    return measured, pd.concat(frames.values(), ignore_index=True)


def _blasts(found: Sequence[CellPrediction | None], examples: Sequence[Example]) -> BlastFigures:
    rows = [(cell, e) for cell, e in zip(found, examples, strict=True) if cell is not None]
    return blast_figures(
        [str(e.label) for _, e in rows],
        [cell.type for cell, _ in rows],
        [cell.status for cell, _ in rows],
        np.array([cell.probabilities["blast"] for cell, _ in rows]),
        [str(e.group) for _, e in rows],
    )


def _subtypes(
    found: Sequence[CellPrediction | None], examples: Sequence[Example]
) -> dict[str, SubtypeFigures]:
    """Return how often each subtype that the set names is told, in the order of pages."""
    cells = pd.DataFrame(
        [
            (e.subtype, cell.subtype == e.subtype, cell.type == e.label)
            for cell, e in zip(found, examples, strict=True)
            if cell is not None and e.subtype is not None
        ],
        columns=["subtype", "right", "type_right"],
    )
    return {
        key: SubtypeFigures(
            n=len(own),
            right=proportion(int((own["right"] & own["type_right"]).sum()), len(own)),
            right_of_type=proportion(
                int((own["right"] & own["type_right"]).sum()), int(own["type_right"].sum())
            ),
        )
        for key in SUBTYPES
        if len(own := cells[cells["subtype"] == key])
    }


def corrupted(analyzer: Analyzer, settings: Settings) -> CorruptionFigures:
    """Measure every twelfth PBC test cell as it is and under each corruption."""
    data = open_set("pbc", settings)
    examples = data.of_split("test")[::CORRUPTED_EVERY]

    def predict(pixels: Pixels, _number: int) -> Prediction:
        cell = analyzer.predict_cell(set_white_point(pixels))
        return Prediction(cell.type, cell.status == "classified", cell.in_distribution)

    truth = [str(example.label) for example in examples]
    return measure_corruptions("pbc_test", truth, lambda k: data.read(examples[k]), predict)


def attributes(settings: Settings) -> tuple[ClassifierFigures, None]:
    """Measure the eleven attributes on WBCAtt's test split: accuracy and macro-F1 of each."""
    analyzer = Analyzer(settings)
    data = open_set("pbc", settings)
    examples = [e for e in data.of_split("test") if e.attributes]

    def one(example: Example) -> Mapping[str, str]:
        return analyzer.predict_cell(set_white_point(data.read(example))).attributes

    predictions = thread_map(one, examples, max_workers=2, desc="attributes")
    scores = {}
    for name in ATTRIBUTES:
        truth = [e.attributes[name] for e in examples]
        predicted = [prediction[name] for prediction in predictions]
        scores[name] = AttributeFigures(
            accuracy=float(accuracy_score(truth, predicted)),
            macro_f1=float(f1_score(truth, predicted, average="macro")),
        )
    mean = AttributeFigures(**pd.DataFrame(map(dict, scores.values())).mean())
    figures = AttributesFigures(n=len(examples), mean=mean, per_attribute=scores)
    return ClassifierFigures(attributes=figures), None


def measure_adaptation(analyzer: Analyzer, settings: Settings) -> AdaptationFigures:
    """Adapt to five CellaVision cells a type, measure on all others; twenty random draws.

    Types with too few cells are not adapted to but measured. A draw whose profile is rejected
    counts with the shipped model's answers.
    """
    data = open_set("cellavision", settings)
    labels = list(CELL_TYPES)
    answers = [
        analyzer.predict_cell(set_white_point(pixels))
        for pixels, _ in tqdm(data, total=len(data), desc="adaptation")
    ]
    cells = SiteCells.of(answers, [labels.index(str(e.label)) for e in data.examples])
    counts = np.bincount(cells.types)
    types = np.nonzero(counts >= LEAST_CELLS + _LEAST_LEFT)[0]
    shipped = np.array([[own.probabilities[key] for key in labels] for own in answers])
    before = after = total = rejected = 0
    ece_before, ece_after = [], []
    for draw in range(DRAWS):
        rng = np.random.default_rng((21, draw))
        shown = np.concatenate(
            [rng.permutation(np.nonzero(cells.types == k)[0])[:LEAST_CELLS] for k in types]
        )
        left = np.setdiff1d(np.arange(len(cells)), shown)
        rest = cells.only(left)
        moved, probabilities = rest.logits, shipped[left]
        ece_before.append(calibration_error(probabilities, rest.types))
        try:
            profile = adapt(cells.only(shown), "draw", analyzer.classifier)
        except ProfileError:
            rejected += 1
        else:
            moved = profile.logits(rest.logits, rest.features).astype(np.float64)
            probabilities = softmax(moved.astype(np.float32), profile.temperature)
        before += int((rest.logits.argmax(1) == rest.types).sum())
        after += int((moved.argmax(1) == rest.types).sum())
        total += len(left)
        ece_after.append(calibration_error(probabilities, rest.types))
    return AdaptationFigures(
        set="cellavision",
        types=[labels[k] for k in types],
        cells_a_type=LEAST_CELLS,
        draws=DRAWS,
        rejected=rejected,
        before=wilson_estimate(before, total),
        after=wilson_estimate(after, total),
        ece=BeforeAfter(before=float(np.mean(ece_before)), after=float(np.mean(ece_after))),
    )


_PROPERTIES = ImageProperties("WEBP", "RGB", 8, 0)


def field_flags(settings: Settings) -> tuple[ClassifierFigures, pd.DataFrame | None]:
    """Measure how often a count of an ALL field raises the flag of possible blasts.

    Fields of the fold that was left out are counted as the page WBC count does.
    """
    data, analyzer = open_set("taleqani", settings), Analyzer(settings)
    flagged: Counter[str] = Counter()
    blasts = {label: PossibleBlasts(0, 0, 0) for label in STAGES}
    for label, number in _FIELDS.items():
        examples = [e for e in data.of_split(HELD_OUT_FOLD) if e.label == label]
        rows = np.linspace(0, len(examples) - 1, number).astype(int)
        for example in tqdm([examples[row] for row in rows], desc=label):
            image = FieldImage(example.member, data.read(example), example.member, _PROPERTIES)
            found = analyzer.analyze(image).counts.blasts
            flagged[label] += found.count > 0
            blasts[label] += found
    leukaemic = [label for label in STAGES if label != "Benign"]
    figures = FieldFlagFigures(
        set="taleqani_folds",
        fold=HELD_OUT_FOLD,
        leukaemia=proportion(
            sum(flagged[label] for label in leukaemic), sum(_FIELDS[label] for label in leukaemic)
        ),
        by_class={label: proportion(flagged[label], n) for label, n in _FIELDS.items()},
        cells={label: proportion(own.count, own.white_cells) for label, own in blasts.items()},
    )
    return ClassifierFigures(field_flags=figures), None
