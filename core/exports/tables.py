"""Tables of what was found, for pages and for download.

Numbers are those of the JSON answers, digit for digit.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import methodcaller
from typing import Any, NamedTuple, TypeVar

import pandas as pd

from core.cases.counting import SampleCounts
from core.cases.records import Patient
from core.domain.differential import (
    MINIMUM_FOR_PERCENTAGES,
    Differential,
    differential,
    share_difference,
)
from core.domain.intervals import Estimate
from core.domain.results import Cell, CellCounts, FieldAnalysis, StageResult
from core.domain.taxonomy import ATTRIBUTES, CELL_KINDS, CELL_TYPES, STAGES
from core.exports.schema import all_shares, number
from core.imaging.segmentation import CellSegmentation, measure_cell


class _FoundCell(NamedTuple):
    """A row of the table of cells."""

    analysis: FieldAnalysis
    number: int
    cell: Cell

    @property
    def diameter(self) -> float | None:
        scale = self.analysis.scale
        return self.cell.box.diameter * scale.micrometres_per_pixel if scale else None

    def probability(self, key: str) -> float | None:
        return number((self.cell.probabilities or {}).get(key), 4)

    def attribute(self, name: str) -> str | None:
        return (self.cell.attributes or {}).get(name)


class _CountedField(NamedTuple):
    """A row of the table of files."""

    analysis: FieldAnalysis
    counts: CellCounts


def _stage_probability(key: str, result: StageResult) -> float | None:
    return number(result.probabilities.get(key, 0.0), 4)


RowT = TypeVar("RowT")
Columns = Mapping[str, Callable[[RowT], Any]]
"""What stands in each column of a row."""

_CELL_COLUMNS: Columns[_FoundCell] = {
    "file": lambda row: row.analysis.file,
    "page": lambda row: row.analysis.page,
    "number": lambda row: row.number,
    "kind": lambda row: row.cell.kind,
    "type": lambda row: row.cell.type,
    "status": lambda row: row.cell.status,
    "duplicate": lambda row: row.cell.duplicate,
    "confidence": lambda row: number(row.cell.confidence, 4),
    "x": lambda row: number(row.cell.box.x, 1),
    "y": lambda row: number(row.cell.box.y, 1),
    "width": lambda row: number(row.cell.box.width, 1),
    "height": lambda row: number(row.cell.box.height, 1),
    "diameter_um": lambda row: number(row.diameter, 2),
    **{f"p_{key}": methodcaller("probability", key) for key in CELL_TYPES},
    **{name: methodcaller("attribute", name) for name in ATTRIBUTES},
    "subtype": lambda row: row.cell.likely_subtype,
    "poor_area": lambda row: row.cell.poor_area,
}
_FILE_COLUMNS: Columns[_CountedField] = {
    "file": lambda row: row.analysis.file,
    "page": lambda row: row.analysis.page,
    "width": lambda row: row.analysis.width,
    "height": lambda row: row.analysis.height,
    "format": lambda row: row.analysis.properties.format,
    "mode": lambda row: row.analysis.properties.mode,
    "bit_depth": lambda row: row.analysis.properties.bit_depth,
    "file_bytes": lambda row: row.analysis.properties.file_bytes,
    "um_per_px": lambda row: (
        row.analysis.scale and number(row.analysis.scale.micrometres_per_pixel, 5)
    ),
    "scale_source": lambda row: row.analysis.scale and row.analysis.scale.source,
    "wbc": lambda row: row.counts.kinds["wbc"],
    "rbc": lambda row: row.counts.kinds["rbc"],
    "platelet": lambda row: row.counts.kinds["platelet"],
    "uncertain": lambda row: row.counts.uncertain,
    "duplicates": lambda row: row.counts.duplicates["wbc"],
    "unfamiliar": lambda row: row.counts.out_of_distribution,
    "seconds": lambda row: round(row.analysis.seconds, 3),
    "refused": lambda row: row.analysis.reject_reason,
    "overruled": lambda row: row.analysis.qc_override,
    "warnings": lambda row: " ".join(row.analysis.warnings) or None,
}
_STAGE_COLUMNS: Columns[StageResult] = {
    "file": lambda result: result.file,
    "page": lambda result: result.page,
    "status": lambda result: result.status,
    "stage": lambda result: result.stage,
    "confidence": lambda result: number(result.confidence, 4),
    **{f"p_{key}": partial(_stage_probability, key) for key in STAGES},
    "possible_blasts": lambda result: result.blasts.count if result.blasts else None,
    "white_cells": lambda result: result.blasts.white_cells if result.blasts else None,
    "refused": lambda result: result.reject_reason,
    "overruled": lambda result: result.qc_override,
    "warnings": lambda result: " ".join(result.warnings) or None,
}
_MEASURE_COLUMNS = (
    "nucleus_area",
    "cell_area",
    "area_unit",
    "nucleus_cytoplasm_ratio",
    "nucleus_roundness",
    "lobes",
)
PERCENT_COLUMNS = ("percent", "low", "high")
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")


def cells_table(
    analyses: Sequence[FieldAnalysis], patients: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return a row for each cell; boxes in px, `diameter_um` empty without a scale.

    White cells have their calibrated probabilities (`p_` and the type), the morphological
    attributes as the model sees them, one column each, and the subtype that it suggests.

    `patients` names the patient of each analysis, in the same order; without it the column is
    left out.
    """
    rows = [_FoundCell(a, i, cell) for a in analyses for i, cell in enumerate(a.cells, 1)]
    if patients is not None:
        owners = zip(analyses, patients, strict=True)
        patients = [patient for analysis, patient in owners for _ in analysis.cells]
    return _frame(_CELL_COLUMNS, rows, patients)


def measures_table(
    analyses: Sequence[FieldAnalysis],
    segmented: Mapping[tuple[str, int], Mapping[int, CellSegmentation]],
) -> pd.DataFrame:
    """Return a row for each cell, as `cells_table`, with what its segmentation measures.

    `segmented` has the cells by the identity of their image and by number; the columns of others
    are empty. Areas are in `area_unit`: µm², or px² without a scale.
    """
    rows = [
        _measures(segmented.get(analysis.identity, {}).get(i), analysis)
        for analysis in analyses
        for i in range(1, len(analysis.cells) + 1)
    ]
    return pd.DataFrame(rows, columns=_MEASURE_COLUMNS)


def _measures(segmentation: CellSegmentation | None, analysis: FieldAnalysis) -> tuple[Any, ...]:
    """Return the values of `_MEASURE_COLUMNS`."""
    if segmentation is None:
        return (None,) * len(_MEASURE_COLUMNS)
    scale = analysis.scale
    measures = measure_cell(segmentation, scale.micrometres_per_pixel if scale else None)
    return (
        number(measures.nucleus_area, 2),
        number(measures.cell_area, 2),
        "µm²" if scale else "px²",
        number(measures.nucleus_cytoplasm_ratio, 3),
        number(measures.nucleus_roundness, 3),
        measures.lobes,
    )


def files_table(
    analyses: Sequence[FieldAnalysis], patients: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return a row for each image: properties of the file, scale and counts.

    The counts of a rejected image are missing, not 0.
    """
    rows = [_CountedField(analysis, analysis.counts) for analysis in analyses]
    table = _frame(_FILE_COLUMNS, rows, patients)
    counts = [*CELL_KINDS, "uncertain", "duplicates", "unfamiliar"]
    table[counts] = table[counts].astype("Int64").mask(table["refused"].notna())
    return table


def estimate_columns(
    estimate: Estimate | None, decimals: int, names: str | tuple[str, str, str]
) -> dict[str, float | None]:
    """Return an estimate as three columns; all are None without one.

    `names` are those of value and limits, or a prefix: `nlr`, `nlr_low`, `nlr_high`.
    """
    if isinstance(names, str):
        names = names, f"{names}_low", f"{names}_high"
    if estimate is None:
        return dict.fromkeys(names)
    values = (estimate.value, estimate.low, estimate.high)
    return {name: number(value, decimals) for name, value in zip(names, values, strict=True)}


def differential_table(counted: Differential) -> pd.DataFrame:
    """Return a row for each leukocyte type: count, percent of leukocytes, exact 95 % limits.

    The last row, `erythroblast`, is per 100 leukocytes and outside the denominator.
    """
    shares = {**counted.shares, "erythroblast": counted.erythroblasts}
    rows = [
        {"type": key, "count": share.count, **estimate_columns(share, 2, PERCENT_COLUMNS)}
        for key, share in shares.items()
    ]
    return pd.DataFrame(rows)


def differentials_by_patient(
    analyses: Sequence[FieldAnalysis], patients: Sequence[str]
) -> dict[str, Differential]:
    """Return the differential of each patient's fields; `patients` names that of each field."""
    fields: dict[str, list[FieldAnalysis]] = {}
    for analysis, patient in zip(analyses, patients, strict=True):
        fields.setdefault(patient, []).append(analysis)
    return {patient: differential(own) for patient, own in fields.items()}


def differentials_table(differentials: Mapping[str, Differential]) -> pd.DataFrame:
    """Return `differential_table` of each patient, one below the other, the patient first."""
    tables = [
        differential_table(counted).assign(patient=patient)
        for patient, counted in differentials.items()
    ]
    table = pd.concat(tables, ignore_index=True)
    return table[["patient", *table.columns.drop("patient")]]


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """Return a table as UTF-8 CSV with a byte-order mark, which spreadsheets need for µ and ü.

    Text that a spreadsheet would run as a formula gets a leading apostrophe (OWASP, CSV
    injection): file and patient names are not to be trusted.
    """
    safe = frame.map(_without_formula)
    text: str = safe.to_csv(index=False, lineterminator="\r\n")
    return text.encode("utf-8-sig")


def _without_formula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


def _frame(
    columns: Columns[RowT], rows: Sequence[RowT], patients: Sequence[str] | None
) -> pd.DataFrame:
    values = {name: list(map(value, rows)) for name, value in columns.items()}
    frame = pd.DataFrame(values, dtype=None if rows else object)
    if patients is not None:
        frame.insert(2, "patient", list(patients))
    return frame


def patients_table(differentials: Mapping[str, Differential]) -> pd.DataFrame:
    """Return a row for each patient: cells, and each type's percent with its exact limits."""
    rows = [
        {
            "patient": patient,
            "white cells": counted.total,
            "uncertain": counted.uncertain,
            **{CELL_TYPES[key].plural: share.text(" %") for key, share in counted.shares.items()},
        }
        for patient, counted in differentials.items()
    ]
    return pd.DataFrame(rows)


def stages_table(
    results: Sequence[StageResult], patients: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return a row for each ALL field: status, class, calibrated probabilities, possible blasts.

    Blasts are there where the white cells were counted: command line and API count them where no
    class is suggested, the pages in every field.
    """
    counted = dict.fromkeys(("possible_blasts", "white_cells"), "Int64")
    return _frame(_STAGE_COLUMNS, results, patients).astype(counted)


def history_table(patient: Patient, counts: Sequence[SampleCounts]) -> pd.DataFrame:
    """Return a row for each sample and type, samples in the order given.

    Columns: patient, sample, taken, material, state, fields, classified (all types of the sample),
    uncertain, white_cells (10⁹/L, corrected), nlr with its limits, type, count, percent with its
    limits (of erythroblasts and smudge cells per 100 leukocytes), absolute with its limits (10⁹/L).
    What is not known, or has no finite value, is empty.
    """
    return pd.DataFrame(
        [
            {
                "patient": patient.identifier,
                "sample": one.sample.id,
                "taken": one.sample.taken.isoformat(),
                "material": one.sample.material,
                "state": one.sample.state,
                "fields": one.fields,
                "classified": one.counted.total,
                "uncertain": one.counted.uncertain,
                "white_cells": one.white_cell_count and number(one.white_cell_count, 3),
                **estimate_columns(one.nlr, 3, "nlr"),
                "type": key,
                "count": share.count,
                **estimate_columns(share if one.counted.total else None, 2, "percent"),
                **estimate_columns(one.absolute.get(key), 3, "absolute"),
            }
            for one in counts
            for key, share in all_shares(one.counted).items()
        ]
    )


def comparison_table(before: SampleCounts, after: SampleCounts) -> pd.DataFrame:
    """Return a row for each type: its share in two samples and the change between them.

    Columns: type, before and after (percent), change, low, high (percentage points with 95 %
    limits), direction: `up` or `down` where the limits leave out no change, `few` where a sample
    has too few cells for a verdict, `excluded` where a tenth or more of its white cells is
    uncertain, else empty. Numbers are empty where a sample has no classified cells.
    """
    keys = dict.fromkeys((*before.counted.shares, *after.counted.shares))
    return pd.DataFrame([_compared(key, before.counted, after.counted) for key in keys])


def _compared(key: str, before: Differential, after: Differential) -> dict[str, object]:
    change = share_difference(before, after, key)
    row: dict[str, object] = {"type": key}
    for when, counted in (("before", before), ("after", after)):
        share = counted.shares.get(key)
        row[when] = number(share.percent if share else 0.0, 2) if counted.total else None
    row |= estimate_columns(change, 2, ("change", "low", "high"))
    if change is None or min(before.total, after.total) < MINIMUM_FOR_PERCENTAGES:
        return row | {"direction": "few"}
    if before.excluded or after.excluded:
        return row | {"direction": "excluded"}
    return row | {"direction": "up" if change.low > 0 else "down" if change.high < 0 else ""}
