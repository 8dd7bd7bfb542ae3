"""`python -m core adapt`: fits a site profile to a few reviewed cells, in seconds.

The classifier's last layer moves as little as it can to name the site's cells right: logistic
regression whose penalty pulls towards the shipped weights (L2-SP; Li et al. 2018, ICML). Logits are
divided by the temperature that suits the site first: a model that is confident and wrong would have
to be moved far. The trunk stays, nothing needs TensorFlow. What the profile gains is measured by
leaving each cell out in turn; a profile that names fewer cells right than the shipped model is
rejected.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from core.datasets.readers import labelled_files
from core.domain.taxonomy import CELL_TYPES
from core.errors import InputError, ProfileError
from core.evaluation.calibration import fit_temperature, softmax
from core.files import write_atomically
from core.imaging.illumination import set_white_point
from core.imaging.read import read_images_from
from core.inference.cell_classifier import CellClassifier, CellPrediction
from core.inference.pipeline import Analyzer, get_analyzer
from core.inference.site_profile import SiteProfile, profile_path
from core.settings import get_settings

LEAST_CELLS = 5
"""Reviewed cells that every type in a profile needs."""
PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1)
_LABELS = tuple(CELL_TYPES)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SiteCells:
    """What the shipped classifier sees in a site's reviewed cells."""

    logits: Floats
    """n x types."""
    features: Floats
    """n x 1280."""
    types: NDArray[np.int64]
    """n indices into `CELL_TYPES`."""

    @classmethod
    def of(cls, answers: Sequence[CellPrediction], types: Sequence[int]) -> "SiteCells":
        """Return cells from what the classifier said of each, and the indices of their types."""
        return cls(
            np.array([answer.logits for answer in answers], np.float64),
            np.array([answer.features for answer in answers], np.float64),
            np.array(types),
        )

    def __len__(self) -> int:
        return len(self.types)

    def only(self, rows: NDArray[np.int64]) -> "SiteCells":
        """Return some of the cells."""
        return SiteCells(self.logits[rows], self.features[rows], self.types[rows])


def fit_head(cells: SiteCells, penalty: float) -> tuple[Floats, Floats]:
    """Return the change of weights (features x types) and bias that fits the cells.

    Minimises the class-balanced cross-entropy plus `penalty` / 2 times the squared change, with
    features centred on the site's mean and scaled to unit mean square. The change lies in the
    span of the n cells, so n x types numbers are sought, along the principal axes of the cells.
    """
    centre = cells.features.mean(0)
    centred = cells.features - centre
    scale = float(np.sqrt((centred**2).sum(1).mean())) or 1.0
    centred /= scale
    values, axes = np.linalg.eigh(centred @ centred.T)
    spread = np.sqrt(np.maximum(values, 0.0))
    places = axes * spread  # of the cells along the axes
    n, k = cells.logits.shape
    counts = np.bincount(cells.types, minlength=k)
    weight = 1.0 / counts[cells.types]
    weight /= weight.sum()
    truth = np.eye(k)[cells.types]

    def loss(flat: Floats) -> tuple[float, Floats]:
        change, bias = flat[:-k].reshape(n, k), flat[-k:]
        logits = cells.logits + places @ change + bias
        log_p = logits - logsumexp(logits, axis=1, keepdims=True)
        error = weight[:, None] * (np.exp(log_p) - truth)
        value = -(weight[:, None] * truth * log_p).sum()
        value += penalty / 2 * ((change**2).sum() + (bias**2).sum())
        gradient = places.T @ error + penalty * change
        return float(value), np.append(gradient.ravel(), error.sum(0) + penalty * bias)

    found = minimize(loss, np.zeros(n * k + k), jac=True, method="L-BFGS-B").x
    in_span = spread > 1e-6 * spread.max(initial=0.0)
    directions = centred.T @ (axes[:, in_span] / spread[in_span])
    weights = directions @ found[:-k].reshape(n, k)[in_span] / scale
    return weights, found[-k:] - centre @ weights


def leave_one_out(cells: SiteCells, penalty: float) -> Floats:
    """Return for every cell the logits of a head that was fitted without it."""
    rows = []
    # For matrices this small, threads that wait for one another cost fifty times the work.
    with threadpool_limits(1):
        for row in range(len(cells)):
            weights, bias = fit_head(cells.only(np.delete(np.arange(len(cells)), row)), penalty)
            rows.append(cells.logits[row] + cells.features[row] @ weights + bias)
    return np.array(rows)


def adapt(cells: SiteCells, name: str, shipped: CellClassifier, *, version: int = 1) -> SiteProfile:
    """Return the profile of a site from what the shipped classifier sees in its cells.

    The penalty with the best left-out log-likelihood is taken. Raises ProfileError with too few
    cells, or when the profile would name fewer of the left-out cells right than the shipped model.
    """
    counts = Counter(_LABELS[k] for k in cells.types)
    few = [key for key, number in counts.items() if number < LEAST_CELLS]
    if few or len(counts) < 2:
        short = ", ".join(CELL_TYPES[key].plural.lower() for key in few)
        raise ProfileError(
            f"A profile needs {LEAST_CELLS} cells or more of each of its types, and two types"
            + (f". Too few: {short}." if few else ".")
        )
    # A site may take confidence from the shipped model, never add to it.
    logit_temperature = max(fit_temperature(cells.logits.astype(np.float32), cells.types), 1.0)
    softened = replace(cells, logits=cells.logits / logit_temperature)
    left_out = {penalty: leave_one_out(softened, penalty) for penalty in PENALTIES}
    best = min(PENALTIES, key=lambda p: _loss(left_out[p], cells.types))
    before, after = (
        float((logits.argmax(1) == cells.types).mean()) for logits in (cells.logits, left_out[best])
    )
    if after < before:
        raise ProfileError(
            f"The profile would name {after:.0%} of the left-out cells right, the shipped model "
            f"{before:.0%}: it was not saved. Check the labels, or add cells."
        )
    weights, bias = fit_head(softened, best)
    return SiteProfile(
        name=name,
        version=version,
        made_on=datetime.now(UTC).date().isoformat(),
        model_sha256=shipped.model_sha256,
        cells=dict(counts),
        accuracy_before=before,
        accuracy_after=after,
        temperature=max(
            fit_temperature(left_out[best].astype(np.float32), cells.types),
            shipped.temperature / logit_temperature,
        ),
        uncertain=shipped.thresholds.confidence,
        logit_temperature=logit_temperature,
        weights=weights.astype(np.float32).ravel(),
        bias=bias.astype(np.float32),
    )


def _loss(logits: Floats, truth: NDArray[np.int64]) -> float:
    """Return the class-balanced negative log-likelihood."""
    chosen = softmax(logits.astype(np.float32), 1.0)[np.arange(len(truth)), truth]
    weight = 1.0 / np.bincount(truth)[truth]
    return float(-(weight * np.log(np.maximum(chosen, 1e-12))).sum() / weight.sum())


def save_profile(profile: SiteProfile, path: Path) -> None:
    """Write a profile whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, profile.model_dump_json(indent=1) + "\n")


def site_cells(files: Sequence[tuple[Path, str]], analyzer: Analyzer) -> SiteCells:
    """Classify reviewed single-cell images; unreadable ones are named on standard error.

    Raises ProfileError when none can be read.
    """
    answers, types = [], []
    for path, label in tqdm(files, desc="cells", disable=None):
        try:
            images = read_images_from(path)
        except InputError as error:
            _say(f"{path.name}: {error}")
            continue
        for image in images:
            answers.append(analyzer.predict_cell(set_white_point(image.pixels)))
            types.append(_LABELS.index(label))
    if not answers:
        raise ProfileError("None of the files is an image of a cell that can be read.")
    return SiteCells.of(answers, types)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `python -m core adapt`."""
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="reviewed cells of the site, in DIR/<type>/"
    )
    parser.add_argument(
        "--profile", required=True, metavar="NAME_OR_FILE", help="where the profile is kept"
    )


def run(args: argparse.Namespace) -> int:
    """Fit, save, report as JSON on standard output and return the exit status."""
    settings = get_settings()
    target = profile_path(args.profile, settings)
    analyzer = get_analyzer()
    cells = site_cells(labelled_files(args.folder, _LABELS), analyzer)
    profile = adapt(
        cells,
        target.name.removesuffix(".json").removesuffix(".profile"),
        analyzer.classifier,
        version=next_version(target),
    )
    save_profile(profile, target)
    report = profile.model_dump(exclude={"weights", "bias"})
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    _say(
        f"Left out in turn, {profile.accuracy_before:.1%} of the cells were named right by the "
        f"shipped model and {profile.accuracy_after:.1%} with the profile."
    )
    return 0


def next_version(path: Path) -> int:
    """Return which version a profile made now at a place will be."""
    try:
        return int(SiteProfile.model_validate_json(path.read_text()).version) + 1
    except (OSError, ValueError):
        return 1


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)  # noqa: T201
