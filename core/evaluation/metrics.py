"""Figures of merit of the classifiers, all from truth and probabilities.

Everything here works on predictions that were saved before: no model is loaded. Limits are 95 %
and treat images as independent; copies of one field or cells of one donor are not, so a set's note
stands beside its figures. Values are fractions of 1. A figure that does not exist (a class without
images, nothing predicted as a class) is None.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

from core.domain.intervals import Estimate, wilson
from core.domain.taxonomy import UNANSWERED
from core.evaluation.schema import ClassFigures, ClassificationFigures

Floats = NDArray[np.float64]

CALIBRATION_BINS = 15
"""Equal-width bins of the top probability (Guo et al. 2017, ICML)."""
BOOTSTRAP_ROUNDS = 2000
BOOTSTRAP_SEED = 0


def wilson_estimate(count: float, total: float) -> Estimate:
    """Return a proportion with Wilson's limits. Raises ZeroDivisionError where total is 0."""
    low, high = wilson(count, total)
    return Estimate(float(count / total), float(low), float(high))


def proportion(count: float, total: float) -> Estimate | None:
    """Return a proportion with Wilson's limits, None where total is 0."""
    return wilson_estimate(count, total) if total else None


def restrict(
    probabilities: ArrayLike, all_labels: Sequence[str], labels: Sequence[str]
) -> tuple[Floats, float]:
    """Keep the columns of `labels` and let each row sum to 1 again.

    `probabilities` is n x len(all_labels). Returns n x len(labels), and the share of rows whose
    largest probability lies on a label left out. A row with nothing left stays zero.
    Raises ValueError when shapes, labels or probabilities do not fit.
    """
    full = np.asarray(probabilities, dtype=np.float64)
    if full.ndim != 2 or full.shape[1] != len(all_labels) or len(full) == 0:
        raise ValueError(f"expected n x {len(all_labels)} probabilities, got {full.shape}")
    if not np.isfinite(full).all() or (full < 0).any():
        raise ValueError("probabilities must be finite and not negative")
    if unknown := set(labels) - set(all_labels):
        raise ValueError(f"the model has no output for {sorted(unknown)}")
    columns = [list(all_labels).index(label) for label in labels]
    kept = full[:, columns]
    mass = kept.sum(axis=1, keepdims=True)
    scaled = np.divide(kept, mass, out=np.zeros_like(kept), where=mass > 0)
    elsewhere = ~np.isin(full.argmax(axis=1), columns) & (full.max(axis=1) > 0)
    return scaled, float(elsewhere.mean())


def score(truth: Sequence[str], probabilities: Floats, labels: Sequence[str]) -> pd.DataFrame:
    """Return one row an image: truth, prediction, confidence, correct and `p_<label>`.

    The prediction is the largest of n x k `probabilities`, its probability the confidence. A row
    of zeros (no cell was found in the field) is `UNANSWERED`: confidence 0 and never correct.
    """
    if len(truth) != len(probabilities):
        raise ValueError(f"{len(truth)} labels for {len(probabilities)} rows of probabilities")
    if unknown := set(truth) - set(labels):
        raise ValueError(f"labels of the set that are not scored: {sorted(unknown)}")
    confidence = probabilities.max(axis=1)
    prediction = np.asarray(labels, dtype=object)[probabilities.argmax(axis=1)]
    prediction[confidence == 0] = UNANSWERED
    known = np.asarray(truth, dtype=object)
    scored = {"truth": known, "prediction": prediction, "confidence": confidence}
    by_label = {f"p_{label}": probabilities[:, k] for k, label in enumerate(labels)}
    return pd.DataFrame({**scored, "correct": known == prediction, **by_label})


def prediction_frame(
    name: str,
    files: Sequence[str],
    truth: Sequence[str],
    probabilities: Floats,
    labels: Sequence[str],
) -> pd.DataFrame:
    """Return a set's rows of `predictions.csv.gz`: set, file, truth and `p_<label>`.

    `probabilities` is n x len(labels).
    """
    known = pd.DataFrame({"set": name, "file": files, "truth": truth})
    return known.join(pd.DataFrame(probabilities, columns=[f"p_{label}" for label in labels]))


def score_predictions(predictions: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Score rows of `prediction_frame` over `labels` only.

    Returns the columns of `score` with `file` first.
    """
    all_labels = [c.removeprefix("p_") for c in predictions.columns if c.startswith("p_")]
    probabilities = predictions[[f"p_{label}" for label in all_labels]].to_numpy(float)
    kept, _ = restrict(probabilities, all_labels, labels)
    scored = score(predictions["truth"].tolist(), kept, labels)
    scored.insert(0, "file", predictions["file"].to_numpy())
    return scored


def classification_metrics(
    truth: Sequence[str],
    probabilities: ArrayLike,
    labels: Sequence[str],
    *,
    all_labels: Sequence[str] | None = None,
) -> ClassificationFigures:
    """Return all figures of one set.

    `probabilities` is n x k with columns `all_labels`, which are `labels` unless given: a set that
    has fewer types is scored over its own labels (see `restrict`), and `outside_labels` is the
    share of images that the model would call another type. `confusion` has truth in rows and
    prediction in columns; `unanswered` counts by true label the images without an answer, which
    are errors. `nll` is over answered images. Means over classes leave out classes without images.
    """
    labels = list(labels)
    kept, outside = restrict(probabilities, all_labels or labels, labels)
    scored = score(truth, kept, labels)
    # One more row and column hold what was not answered; the row is always empty.
    matrix = confusion_matrix(scored["truth"], scored["prediction"], labels=[*labels, UNANSWERED])
    per_class = {label: _class_figures(scored, matrix, label, i) for i, label in enumerate(labels)}
    present = [figures for figures in per_class.values() if figures.support]
    one_hot = scored["truth"].to_numpy()[:, None] == np.asarray(labels, dtype=object)[None, :]
    bins = reliability_bins(scored)
    return ClassificationFigures(
        n=len(scored),
        labels=tuple(labels),
        accuracy=wilson_estimate(int(np.trace(matrix)), len(scored)),
        balanced_accuracy=_mean_of_proportions([f.recall for f in present if f.recall]),
        macro_f1=_macro_f1(matrix, [f.f1 for f in present if f.f1]),
        ece=_expected_calibration_error(bins),
        brier=float(np.mean(((kept - one_hot) ** 2).sum(axis=1))),
        nll=_negative_log_likelihood(kept[one_hot][scored["prediction"] != UNANSWERED]),
        roc_auc=mean_of_known([f.roc_auc for f in present]),
        average_precision=mean_of_known([f.average_precision for f in present]),
        outside_labels=outside,
        confusion=matrix[:-1, :-1].tolist(),
        unanswered=matrix[:-1, -1].tolist(),
        per_class=per_class,
    )


def _class_figures(
    scored: pd.DataFrame, matrix: NDArray[np.int64], label: str, index: int
) -> ClassFigures:
    """Return the figures of a label, which has a row and a column of the matrix."""
    positive = (scored["truth"] == label).to_numpy()
    probability = scored[f"p_{label}"]
    hits, support = int(matrix[index, index]), int(matrix[index].sum())
    named = int(matrix[:, index].sum())
    ranked = bool(positive.any() and not positive.all())
    return ClassFigures(
        precision=proportion(hits, named),
        recall=proportion(hits, support),
        f1=f1_of_counts(hits, named - hits, support - hits),
        support=support,
        roc_auc=float(roc_auc_score(positive, probability)) if ranked else None,
        average_precision=(
            float(average_precision_score(positive, probability)) if support else None
        ),
    )


def f1_of_counts(true_positive: int, false_positive: int, false_negative: int) -> Estimate | None:
    """Return F1 with its limits, None where all counts are 0.

    F1 = 2J / (1 + J) rises with J = TP / (TP + FP + FN), and given the denominator TP is binomial:
    Wilson's limits of J therefore become limits of F1. They stay open when no error was seen,
    which the delta method (Takahashi et al. 2022, Appl Intell 52:4961) and the bootstrap do not.
    """
    share = proportion(true_positive, true_positive + false_positive + false_negative)
    if share is None:
        return None
    return Estimate(*(2 * j / (1 + j) for j in (share.value, share.low, share.high)))


def _mean_of_proportions(parts: Sequence[Estimate]) -> Estimate:
    """Mean of independent proportions; limits by MOVER (Zou and Donner 2008, Stat Med 27:1693)."""
    value, low, high = np.array([[p.value, p.low, p.high] for p in parts], float).T
    mean, k = value.mean(), len(parts)
    return Estimate(
        float(mean),
        float(max(0.0, mean - np.sqrt(((value - low) ** 2).sum()) / k)),
        float(min(1.0, mean + np.sqrt(((high - value) ** 2).sum()) / k)),
    )


def _macro_f1(matrix: NDArray[np.int64], parts: Sequence[Estimate]) -> Estimate:
    """Mean F1; limits are the wider of MOVER and a percentile bootstrap over images.

    Classes share errors, so their F1 are not independent and MOVER alone is too narrow; the
    bootstrap alone closes on 1 when no error was seen. Drawing images with replacement is a
    multinomial draw over the cells of the matrix.
    """
    estimate = _mean_of_proportions(parts)
    total = matrix.sum()
    draws = np.random.default_rng(BOOTSTRAP_SEED).multinomial(
        total, matrix.ravel() / total, size=BOOTSTRAP_ROUNDS
    )
    draws = draws.reshape(-1, *matrix.shape)
    hits = np.diagonal(draws, axis1=1, axis2=2)
    either = draws.sum(axis=1) + draws.sum(axis=2)
    f1 = np.divide(2 * hits, either, out=np.full(hits.shape, np.nan), where=either > 0)
    limits = np.quantile(np.nanmean(f1[:, matrix.sum(axis=1) > 0], axis=1), [0.025, 0.975])
    return Estimate(
        estimate.value,
        float(min(estimate.low, limits[0])),
        float(max(estimate.high, limits[1])),
    )


def mean_of_known(values: Sequence[float | None]) -> float | None:
    """Return the mean of the figures that exist, None where none does."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _negative_log_likelihood(of_truth: Floats) -> float | None:
    if len(of_truth) == 0:
        return None
    return float(-np.log(np.clip(of_truth, np.finfo(float).eps, 1)).mean())


def _expected_calibration_error(bins: pd.DataFrame) -> float:
    """Gap between confidence and accuracy, weighted by images (Guo et al. 2017, ICML)."""
    gap = (bins["accuracy"] - bins["confidence"]).abs()
    return float((gap * bins["count"]).sum() / bins["count"].sum())


def calibration_error(probabilities: Floats, truth: NDArray[np.int64]) -> float:
    """Return the expected calibration error of n x k probabilities; `truth` are n columns."""
    scored = pd.DataFrame(
        {"confidence": probabilities.max(1), "correct": probabilities.argmax(1) == truth}
    )
    return _expected_calibration_error(reliability_bins(scored))


def reliability_bins(scored: pd.DataFrame) -> pd.DataFrame:
    """Return confidence beside accuracy in equal-width bins `(low, high]`; empty bins are left out.

    Columns: low, high, count, confidence (mean), accuracy, accuracy_low, accuracy_high.
    """
    confidence, bins = scored["confidence"].to_numpy(), CALIBRATION_BINS
    edges = np.linspace(0, 1, bins + 1)
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    hits = np.bincount(index, weights=scored["correct"], minlength=bins)
    filled = count > 0
    low, high = wilson(hits[filled], count[filled])
    return pd.DataFrame(
        {
            "low": edges[:-1][filled],
            "high": edges[1:][filled],
            "count": count[filled],
            "confidence": np.bincount(index, confidence, minlength=bins)[filled] / count[filled],
            "accuracy": hits[filled] / count[filled],
            "accuracy_low": low,
            "accuracy_high": high,
        }
    )
