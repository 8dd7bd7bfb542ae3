"""Measures what a site profile gains on a source that the classifier was not trained on."""

import numpy as np
from tqdm import tqdm

from core.adaptation.site import LEAST_CELLS, SiteCells, adapt
from core.datasets.readers import open_set
from core.domain.taxonomy import CELL_TYPES
from core.errors import ProfileError
from core.evaluation.calibration import softmax
from core.evaluation.metrics import calibration_error, wilson_estimate
from core.evaluation.schema import AdaptationFigures, BeforeAfter
from core.imaging.illumination import set_white_point
from core.inference.pipeline import Analyzer
from core.settings import Settings

DRAWS = 20
_LEAST_LEFT = 3
"""Cells of a type that must remain for measuring."""


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
