"""Two classifiers on the same images, image by image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm
from statsmodels.stats.contingency_tables import mcnemar

from core.domain.intervals import Estimate
from core.evaluation.metrics import score_predictions


@dataclass(frozen=True, slots=True, eq=False)
class Paired:
    """Two classifiers on the images that both answered."""

    cells: pd.DataFrame
    """file, truth, first and second: their predictions."""
    both_right: int
    first_only: int
    second_only: int
    neither: int
    p_value: float
    """Of McNemar's exact test: whether the two are right equally often."""
    difference: Estimate
    """Accuracy of the second less that of the first."""

    def matrix(self, side: str, labels: Sequence[str]) -> pd.DataFrame:
        """Return the confusion counts of `first` or `second`: truth down, prediction across."""
        counts = pd.crosstab(self.cells["truth"], self.cells[side])
        return counts.reindex(index=labels, columns=labels, fill_value=0)


def compare(first: pd.DataFrame, second: pd.DataFrame, labels: Sequence[str]) -> Paired:
    """Compare predictions of one set, scored over its labels.

    A classifier that lacks a label never predicts it. The interval of the difference is that of
    Bonett and Price (2012, J Educ Behav Stat 37:479). Raises ValueError without common images.
    """
    columns = [f"p_{label}" for label in labels]

    def scored(rows: pd.DataFrame) -> pd.DataFrame:
        known = rows[rows["truth"].isin(labels)].drop_duplicates("file")
        return score_predictions(
            known.reindex(columns=["set", "file", "truth", *columns]).fillna(
                dict.fromkeys(columns, 0)
            ),
            labels,
        )

    sides = scored(first), scored(second)
    cells = sides[0].merge(sides[1], on=["file", "truth"], suffixes=("_first", "_second"))
    if cells.empty:
        raise ValueError("no image in common")
    one, other = cells["correct_first"].to_numpy(bool), cells["correct_second"].to_numpy(bool)
    table = pd.crosstab(
        pd.Categorical(one, [True, False]), pd.Categorical(other, [True, False]), dropna=False
    ).to_numpy()
    (both, lost), (gained, neither) = table.tolist()
    n = len(cells)
    low, high = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    reach = norm.ppf(0.975) * np.sqrt((low + high - (low - high) ** 2) / (n + 2))
    return Paired(
        cells=cells.rename(columns={"prediction_first": "first", "prediction_second": "second"})[
            ["file", "truth", "first", "second"]
        ],
        both_right=both,
        first_only=lost,
        second_only=gained,
        neither=neither,
        p_value=float(mcnemar(table, exact=True).pvalue),
        difference=Estimate(
            (gained - lost) / n,
            float(max(-1, low - high - reach)),
            float(min(1, low - high + reach)),
        ),
    )
