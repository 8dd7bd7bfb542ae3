"""Red cells and platelets of a sample: size variation and platelets a field.

Diameters are those of the detector's boxes. Each is divided by the median of its field, so that
neither the scale nor a difference in magnification between fields counts as variation.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp

import numpy as np
from numpy.typing import NDArray

from core.domain.boxes import Box
from core.domain.intervals import Estimate, poisson, ratio
from core.domain.results import FieldAnalysis
from core.imaging.scale import CONFIDENT_SCORE, is_whole

MINIMUM_RED_CELLS = 100
"""With fewer no variation is reported, and no platelets per 1,000 of them."""
CELLS_OF_A_FIELD = 5
"""A field with fewer measured red cells has no median to divide by."""
_QUANTILES = (15.866, 50.0, 84.134)
"""Percentiles one standard deviation around the median of a normal distribution."""
_ERROR = 1.96 * 0.962
"""Half of the 95 % interval of the variation's logarithm times the root of n: half of the distance
of these percentiles has 0.962 times the standard deviation over the root of n as its standard
error, from the covariance of order statistics (Mosteller 1946, Ann Math Stat 17:377)."""


@dataclass(frozen=True, slots=True, eq=False)
class SmearFindings:
    """What the red cells and platelets of a sample say."""

    fields: int
    """Fields that were analysed."""
    diameters: NDArray[np.float64]
    """Of the measured red cells, over the median of their field."""
    mean_diameter: float | None
    """In µm; None where the scale is not that of the files, since red cells set it then."""
    variation: Estimate | None
    """Half the width of the central 68 % of the diameters over their median, in percent: the
    coefficient of variation, of which a few wrong boxes count little. None with too few cells."""
    red_cells: int
    platelets: int
    platelets_per_field: Estimate
    platelets_per_thousand: Estimate | None
    """Per 1,000 red cells; None with too few."""


def smear_findings(analyses: Iterable[FieldAnalysis]) -> SmearFindings:
    """Return the findings in the fields that quality control let pass."""
    fields = [analysis for analysis in analyses if analysis.reject_reason is None]
    measured = [
        (analysis, sizes)
        for analysis in fields
        if len(sizes := measured_diameters(analysis)) >= CELLS_OF_A_FIELD
    ]
    relative = [sizes / np.median(sizes) for _, sizes in measured]
    diameters = np.concatenate(relative) if relative else np.empty(0)
    micrometres = [
        sizes * analysis.scale.micrometres_per_pixel
        for analysis, sizes in measured
        if analysis.scale is not None and analysis.scale.source == "file"
    ]
    is_scaled = bool(measured) and len(micrometres) == len(measured)
    counts = [analysis.counts.kinds for analysis in fields]
    red_cells, platelets = (sum(kinds[kind] for kinds in counts) for kind in ("rbc", "platelet"))
    counting, per = poisson(platelets), max(len(fields), 1)
    return SmearFindings(
        fields=len(fields),
        diameters=diameters,
        mean_diameter=float(np.concatenate(micrometres).mean()) if is_scaled else None,
        variation=size_variation(diameters),
        red_cells=red_cells,
        platelets=platelets,
        platelets_per_field=Estimate(platelets / per, counting.low / per, counting.high / per),
        platelets_per_thousand=ratio(platelets, red_cells, per=1000)
        if red_cells >= MINIMUM_RED_CELLS
        else None,
    )


def measured_diameters(analysis: FieldAnalysis) -> NDArray[np.float64]:
    """Return the diameters in pixels of a field's whole red cells that the detector is sure of."""
    red = [
        cell.box
        for cell in analysis.cells
        if cell.kind == "rbc"
        and cell.status != "out_of_scope"
        and not cell.duplicate
        and cell.detection_score >= CONFIDENT_SCORE
    ]
    return whole_diameters(red, (analysis.width, analysis.height))


def whole_diameters(boxes: Sequence[Box], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the diameters in pixels of the boxes that the edges of the image do not truncate."""
    return np.array([box.diameter for box in boxes if is_whole(box, *size)])


def spread(diameters: NDArray[np.float64]) -> float:
    """Return half the width of the central 68 % over the median, in percent."""
    low, middle, high = np.percentile(diameters, _QUANTILES)
    return float(100 * (high - low) / 2 / middle)


def size_variation(diameters: NDArray[np.float64]) -> Estimate | None:
    """Return the variation of diameters in percent, as `SmearFindings.variation`."""
    if len(diameters) < MINIMUM_RED_CELLS:
        return None
    value = spread(diameters)
    factor = exp(_ERROR / len(diameters) ** 0.5)
    return Estimate(value, value / factor, value * factor)
