"""Confidence intervals (95 %). They cover sampling error only."""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, gammaincinv

_TAIL = 0.025


class Interval(NamedTuple):
    """The two limits of a confidence interval, in the unit of what they limit."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its confidence interval, in the unit that the function returning it names."""

    value: float
    low: float
    high: float

    @classmethod
    def exact(cls, value: float) -> Self:
        """Return a number without sampling error, such as an analyser's white cell count."""
        return cls(value, value, value)

    @property
    def is_exact(self) -> bool:
        """Whether the interval is the number itself."""
        return self.low == self.high

    def text(self, unit: str = "", digits: int = 1) -> str:
        """Write the number and, unless it is exact, its interval, such as `97.9 % (97.3-98.3)`.

        `unit` follows the number as it is, with its space.
        """
        number = f"{self.value:.{digits}f}{unit}"
        interval = f" ({self.low:.{digits}f}-{self.high:.{digits}f})"
        return number if self.is_exact else number + interval

    def percent_of(self, total: float) -> "Estimate":
        """Return a percentage as an amount of `total`, in the unit of `total`."""
        return Estimate(*(total * part / 100 for part in (self.value, self.low, self.high)))


def clopper_pearson(count: int, total: int) -> Interval:
    """Return the exact interval of a proportion, in fractions of 1; (0, 1) where `total` is 0.

    Rümke's table for the differential count is this interval (Clopper and Pearson 1934,
    Biometrika 26:404). Raises ValueError unless 0 <= count <= total.
    """
    if not 0 <= count <= total:
        raise ValueError(f"count must lie between 0 and total, got {count} of {total}")
    return Interval(
        0.0 if count == 0 else float(betaincinv(count, total - count + 1, _TAIL)),
        1.0 if count == total else float(betaincinv(count + 1, total - count, 1 - _TAIL)),
    )


def proportion(count: int, total: int, *, per: float = 1) -> Estimate:
    """Return `count` of `total`, per 1 or 100 (percent), with its exact interval; 0 of 0 is 0."""
    low, high = clopper_pearson(count, total)
    return Estimate(per * count / total if total else 0.0, per * low, per * high)


def ratio(count: int, other: int, *, per: float = 1) -> Estimate:
    """Return count / other of two random counts, per 1 or 100 of the other, with exact limits.

    Given their sum, `count` is binomial with p = ratio / (1 + ratio), so the Clopper-Pearson
    limits of p give those of the ratio (Przyborowski and Wilenski 1940, Biometrika 31:313).
    With `other` 0 the ratio and its upper limit are infinite; 0 / 0 is 0 with limits 0 and
    infinity.
    """
    low, high = clopper_pearson(count, count + other)
    return Estimate(
        per * count / other if other else float("inf" if count else 0),
        per * low / (1 - low),
        per * high / (1 - high) if high < 1 else float("inf"),
    )


def poisson(count: int) -> Interval:
    """Return the exact interval of the mean of a count (Garwood 1936, Biometrika 28:437)."""
    return Interval(
        float(gammaincinv(count, _TAIL)) if count else 0.0,
        float(gammaincinv(count + 1, 1 - _TAIL)),
    )


def wilson(count: ArrayLike, total: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower and upper score limits of proportions; (0, 1) where `total` is 0.

    Arrays are broadcast (Wilson 1927, J Am Stat Assoc 22:209).
    """
    from statsmodels.stats.proportion import proportion_confint  # a second to import

    counts, totals = np.broadcast_arrays(np.asarray(count, float), np.asarray(total, float))
    low, high = proportion_confint(counts, np.maximum(totals, 1), method="wilson")
    # Rounding can put a limit a hair outside 0..1.
    return np.where(totals > 0, np.clip(low, 0, 1), 0), np.where(totals > 0, np.clip(high, 0, 1), 1)
