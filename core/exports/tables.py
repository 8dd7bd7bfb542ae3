"""Tables of what was found, for pages and for download.

Numbers are those of the JSON answers, digit for digit.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from math import isfinite
from typing import Any

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
from core.domain.results import Cell, FieldAnalysis, StageResult
from core.domain.taxonomy import ATTRIBUTES, CELL_KINDS, CELL_TYPES, STAGES
from core.exports.schema import box_numbers, number
from core.imaging.segmentation import CellSegmentation, measure_cell

_CELL_COLUMNS = [
    "file",
    "page",
    "patient",
    "number",
    "kind",
    "type",
    "status",
    "duplicate",
    "confidence",
    "x",
    "y",
    "width",
    "height",
    "diameter_um",
    *(f"p_{key}" for key in CELL_TYPES),
    *ATTRIBUTES,
    "subtype",
]
_MEASURE_COLUMNS = [
    "nucleus_area",
    "cell_area",
    "area_unit",
    "nucleus_cytoplasm_ratio",
    "nucleus_roundness",
    "lobes",
]
_FILE_COLUMNS = [
    "file",
    "page",
    "patient",
    "width",
    "height",
    "format",
    "mode",
    "bit_depth",
    "file_bytes",
    "um_per_px",
    "scale_source",
    "wbc",
    "rbc",
    "platelet",
    "uncertain",
    "duplicates",
    "unfamiliar",
    "seconds",
    "refused",
    "overruled",
    "warnings",
]
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
    rows = [
        {
            "file": analysis.file,
            "page": analysis.page,
            "patient": patient,
            "number": i,
            **_cell_row(cell, analysis),
        }
        for analysis, patient in _with_patients(analyses, patients)
        for i, cell in enumerate(analysis.cells, 1)
    ]
    return _frame(rows, _CELL_COLUMNS, patients)


def measures_table(
    analyses: Sequence[FieldAnalysis],
    segmented: Mapping[tuple[str, int], Mapping[int, CellSegmentation]],
) -> pd.DataFrame:
    """Return a row for each cell, as `cells_table`, with what its segmentation measures.

    `segmented` has the cells by the identity of their image and by number; the columns of others
    are empty. Areas are in `area_unit`: µm², or px² without a scale.
    """
    rows = [
        _measures_row(segmented.get(analysis.identity, {}).get(i), analysis)
        for analysis in analyses
        for i in range(1, len(analysis.cells) + 1)
    ]
    return pd.DataFrame(rows, columns=_MEASURE_COLUMNS)


def _measures_row(segmentation: CellSegmentation | None, analysis: FieldAnalysis) -> dict[str, Any]:
    if segmentation is None:
        return {}
    scale = analysis.scale
    measures = measure_cell(segmentation, scale.micrometres_per_pixel if scale else None)
    ratio = measures.nucleus_cytoplasm_ratio
    return {
        "nucleus_area": number(measures.nucleus_area, 2),
        "cell_area": number(measures.cell_area, 2),
        "area_unit": "µm²" if scale else "px²",
        "nucleus_cytoplasm_ratio": number(ratio, 3) if isfinite(ratio) else None,
        "nucleus_roundness": number(measures.nucleus_roundness, 3),
        "lobes": measures.lobes,
    }


def files_table(
    analyses: Sequence[FieldAnalysis], patients: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return a row for each image: properties of the file, scale and counts.

    The counts of a rejected image are missing, not 0.
    """
    rows = [
        {
            "file": analysis.file,
            "page": analysis.page,
            "patient": patient,
            "width": analysis.width,
            "height": analysis.height,
            "format": analysis.properties.format,
            "mode": analysis.properties.mode,
            "bit_depth": analysis.properties.bit_depth,
            "file_bytes": analysis.properties.file_bytes,
            "um_per_px": analysis.scale and number(analysis.scale.micrometres_per_pixel, 5),
            "scale_source": analysis.scale and analysis.scale.source,
            **analysis.counts.kinds,
            "uncertain": analysis.counts.uncertain,
            "duplicates": analysis.counts.duplicates["wbc"],
            "unfamiliar": analysis.counts.out_of_distribution,
            "seconds": round(analysis.seconds, 3),
            "refused": analysis.reject_reason,
            "overruled": analysis.qc_override,
            "warnings": " ".join(analysis.warnings) or None,
        }
        for analysis, patient in _with_patients(analyses, patients)
    ]
    table = _frame(rows, _FILE_COLUMNS, patients)
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


def _with_patients(
    analyses: Sequence[FieldAnalysis], patients: Sequence[str] | None
) -> Iterator[tuple[FieldAnalysis, str | None]]:
    names = repeat(None, len(analyses)) if patients is None else patients
    return zip(analyses, names, strict=True)


def _frame(
    rows: list[dict[str, Any]], columns: list[str], patients: Sequence[str] | None
) -> pd.DataFrame:
    shown = [name for name in columns if name != "patient" or patients is not None]
    return pd.DataFrame(rows, columns=shown)


def _cell_row(cell: Cell, analysis: FieldAnalysis) -> dict[str, Any]:
    x, y, width, height = box_numbers(cell)
    scale = analysis.scale
    return {
        "kind": cell.kind,
        "type": cell.type,
        "status": cell.status,
        "duplicate": cell.duplicate,
        "confidence": number(cell.confidence, 4),
        "x": x,
        "y": y,
        "width": width,
        "height": height,
        "diameter_um": scale and number(cell.box.diameter * scale.micrometres_per_pixel, 2),
        **{f"p_{key}": number(p, 4) for key, p in (cell.probabilities or {}).items()},
        **{name: (cell.attributes or {}).get(name) for name in ATTRIBUTES},
        "subtype": cell.likely_subtype,
    }


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

    Blasts were counted where no class is suggested.
    """
    names = repeat(None, len(results)) if patients is None else patients
    rows = [
        {
            "file": result.file,
            "page": result.page,
            "patient": patient,
            "status": result.status,
            "stage": result.stage,
            "confidence": number(result.confidence, 4),
            **{f"p_{key}": number(result.probabilities.get(key, 0.0), 4) for key in STAGES},
            "possible_blasts": result.blasts.count if result.blasts else None,
            "white_cells": result.blasts.white_cells if result.blasts else None,
            "refused": result.reject_reason,
            "warnings": " ".join(result.warnings) or None,
        }
        for result, patient in zip(results, names, strict=True)
    ]
    counted = ["possible_blasts", "white_cells"]
    columns = ["file", "page", "patient", "status", "stage", "confidence"]
    columns += [*(f"p_{key}" for key in STAGES), *counted, "refused", "warnings"]
    return _frame(rows, columns, patients).astype(dict.fromkeys(counted, "Int64"))


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
            for key, share in {
                **one.counted.shares,
                "erythroblast": one.counted.erythroblasts,
                "smudge_cell": one.counted.smudge_cells,
            }.items()
        ]
    )


def comparison_table(before: SampleCounts, after: SampleCounts) -> pd.DataFrame:
    """Return a row for each type: its share in two samples and the change between them.

    Columns: type, before and after (percent), change, low, high (percentage points with 95 %
    limits), direction: `up` or `down` where the limits leave out no change, `few` where a sample
    has too few cells for a verdict, else empty. Numbers are empty where a sample has no classified
    cells.
    """
    keys = dict.fromkeys((*before.counted.shares, *after.counted.shares))
    return pd.DataFrame(
        [_compared(key, before.counted, after.counted) for key in keys],
        columns=["type", "before", "after", "change", "low", "high", "direction"],
    )


def _compared(key: str, before: Differential, after: Differential) -> dict[str, object]:
    change = share_difference(before, after, key)
    shares = {"before": before, "after": after}
    row: dict[str, object] = {"type": key}
    for when, counted in shares.items():
        share = counted.shares.get(key)
        known = counted.total > 0
        row[when] = number(share.percent if share else 0.0, 2) if known else None
    if change is None:
        return row | {"change": None, "low": None, "high": None, "direction": "few"}
    direction = "up" if change.low > 0 else "down" if change.high < 0 else ""
    if min(before.total, after.total) < MINIMUM_FOR_PERCENTAGES:
        direction = "few"
    return row | {
        "change": number(change.value, 2),
        "low": number(change.low, 2),
        "high": number(change.high, 2),
        "direction": direction,
    }
