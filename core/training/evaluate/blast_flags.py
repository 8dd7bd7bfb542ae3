"""Measures how often a count of an ALL field raises the flag of possible blasts."""

from collections import Counter

import numpy as np
import pandas as pd
from tqdm import tqdm

from core.datasets.readers import open_set
from core.domain.results import FieldImage, ImageProperties, PossibleBlasts
from core.domain.taxonomy import STAGES
from core.evaluation.metrics import proportion
from core.evaluation.schema import ClassifierFigures, FieldFlagFigures
from core.inference.pipeline import Analyzer
from core.settings import Settings

FOLD = "4"
"""Fold of the fields that are measured; a release of the classifier may not have learnt it."""
_FIELDS = {"Benign": 30, "Early": 20, "Pre": 20, "Pro": 20}
"""Fields of each class, evenly spaced in the fold."""
_PROPERTIES = ImageProperties("WEBP", "RGB", 8, 0)


def standard(settings: Settings) -> tuple[ClassifierFigures, pd.DataFrame | None]:
    """Count fields of fold 4 as the page WBC count does; no predictions are written."""
    data, analyzer = open_set("taleqani", settings), Analyzer(settings)
    flagged: Counter[str] = Counter()
    blasts = {label: PossibleBlasts(0, 0, 0) for label in STAGES}
    for label, number in _FIELDS.items():
        examples = [e for e in data.of_split(FOLD) if e.label == label]
        rows = np.linspace(0, len(examples) - 1, number).astype(int)
        for example in tqdm([examples[row] for row in rows], desc=label):
            image = FieldImage(example.member, data.read(example), example.member, _PROPERTIES)
            found = analyzer.analyze(image).counts.blasts
            flagged[label] += found.count > 0
            blasts[label] += found
    leukaemic = [label for label in STAGES if label != "Benign"]
    figures = FieldFlagFigures(
        set="taleqani_folds",
        fold=FOLD,
        leukaemia=proportion(
            sum(flagged[label] for label in leukaemic), sum(_FIELDS[label] for label in leukaemic)
        ),
        by_class={label: proportion(flagged[label], n) for label, n in _FIELDS.items()},
        cells={label: proportion(own.count, own.white_cells) for label, own in blasts.items()},
    )
    return ClassifierFigures(field_flags=figures), None
