"""Cells per volume: white cells as entered, corrected and by type; estimates from a smear.

Counts are in 10⁹/L.
"""

from collections.abc import Sequence
from statistics import median

from core.domain.differential import Differential
from core.domain.intervals import Estimate, poisson
from core.domain.results import FieldAnalysis
from core.errors import NoEstimateError

CORRECTION_FROM = 5
"""Erythroblasts per 100 white cells; above this a white cell count is corrected."""

FIELDS_FOR_ESTIMATE = 10
"""An estimate from a smear averages at least this many 40x fields."""
ESTIMATE_ERROR = 0.3
"""Relative error of an estimate from a smear: 20 to 30 %; the wider is used."""
CLOSE_UP_SHARE = 0.25
"""White cell diameter as a fraction of the shorter side of the image. In a 40x field it is far
smaller; above it, the image is a single-cell crop or an oil-immersion field."""


def needs_correction(counted: Differential) -> bool:
    """Return whether there are so many erythroblasts that a white cell count is corrected."""
    return counted.erythroblasts.percent > CORRECTION_FROM


def corrected_count(white_cell_count: float, counted: Differential) -> float:
    """Return an analyser's white cell count without the erythroblasts that it counted.

    WBC x 100 / (100 + erythroblasts per 100 WBC), applied above 5 per 100; the count itself when
    there are fewer. Only for counts that include erythroblasts: many analysers correct their own.
    """
    if not needs_correction(counted):
        return white_cell_count
    return white_cell_count * 100 / (100 + counted.erythroblasts.percent)


def absolute_counts(counted: Differential, white_cell_count: float) -> dict[str, Estimate]:
    """Return the cells of each type in 10⁹/L: its percentage, with limits, of the count.

    The limits take the white cell count itself as exact. Empty when no cell was classified.
    """
    if counted.total == 0:
        return {}
    return {key: share.percent_of(white_cell_count) for key, share in counted.shares.items()}


def smear_estimate(analyses: Sequence[FieldAnalysis], factor: float | None) -> Estimate:
    """Estimate the white cell count from 40x fields: mean white cells a field x factor.

    `factor` is in cells per µL for one white cell a field: about 2,000 (laboratories use 1,500 to
    2,500), found by comparing smears with a counter on the same microscope and camera. Erythro-
    blasts and platelets are left out, and so are rejected images. The limits are 30 % to either
    side or the exact Poisson limits of the counted cells, whichever are wider.

    Raises NoEstimateError without a factor, with fewer than ten fields, or on close-ups, which
    are not random samples: they were taken to show a white cell.
    """
    fields, factor = _whole_fields(analyses, factor, "white cells")
    return _per_volume(sum(_leukocytes(field) for field in fields), len(fields), factor)


def platelet_estimate(analyses: Sequence[FieldAnalysis], factor: float | None) -> Estimate:
    """Estimate the platelets in 10⁹/L from whole fields: mean platelets a field x factor.

    `factor` is in platelets per µL for one platelet a field, found as that of `smear_estimate`;
    laboratories use 15,000 to 20,000 for 100x oil-immersion fields. Limits and errors as there.
    """
    fields, factor = _whole_fields(analyses, factor, "platelets")
    platelets = sum(field.counts.kinds["platelet"] for field in fields)
    return _per_volume(platelets, len(fields), factor)


def _whole_fields(
    analyses: Sequence[FieldAnalysis], factor: float | None, cells: str
) -> tuple[list[FieldAnalysis], float]:
    """Return fields that an estimate can rest on, and the factor. Raises NoEstimateError."""
    fields = [analysis for analysis in analyses if analysis.reject_reason is None]
    if factor is None:
        raise NoEstimateError(
            f"The number of {cells} per volume cannot be estimated: no factor is set. "
            "Calibrate one for this microscope against a counter."
        )
    if len(fields) < FIELDS_FOR_ESTIMATE:
        raise NoEstimateError(
            f"The number of {cells} per volume cannot be estimated from {len(fields)} fields. "
            f"Add fields until there are {FIELDS_FOR_ESTIMATE} or more."
        )
    if _are_close_ups(fields):
        raise NoEstimateError(
            f"The number of {cells} per volume cannot be estimated: these images are "
            "close-ups of single cells. Use whole fields chosen without regard to their cells."
        )
    return fields, factor


def _per_volume(cells: int, fields: int, factor: float) -> Estimate:
    scale = factor / 1000 / fields  # per µL to 10⁹/L
    counting = poisson(cells)
    return Estimate(
        cells * scale,
        min(cells * (1 - ESTIMATE_ERROR), counting.low) * scale,
        max(cells * (1 + ESTIMATE_ERROR), counting.high) * scale,
    )


def _leukocytes(field: FieldAnalysis) -> int:
    """Count white cells of any type, uncertain ones included: their type does not matter here."""
    counts = field.counts
    others = counts.types["erythroblast"] + counts.types["platelet"]
    return counts.uncertain + counts.types.total() - others


def _are_close_ups(fields: Sequence[FieldAnalysis]) -> bool:
    sizes = [
        cell.box.diameter / min(field.width, field.height)
        for field in fields
        for _, cell in field.white_cells()
    ]
    return bool(sizes) and median(sizes) > CLOSE_UP_SHARE
