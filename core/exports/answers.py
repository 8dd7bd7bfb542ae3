"""The JSON answers of the command line and the API, made from results.

Boxes are `[x, y, width, height]` in pixels of the picture as uploaded, rounded to 0.1 px;
probabilities to four decimals, percentages to two. Every number is finite; what is not becomes
null. Keys keep their order.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.domain.differential import Differential, Share, differential, differential_of_counts
from core.domain.results import Cell, CellCounts, CropResult, FailedFile, FieldAnalysis, StageResult

Answer = dict[str, Any]


def analyze_answer(
    analyses: Iterable[FieldAnalysis],
    failures: Iterable[FailedFile] = (),
    *,
    models: Mapping[str, str],
) -> Answer:
    """Return the answer of `analyze`; `models` maps model names to versions.

    Where fields show the same cells, `pooled` counts all fields with every cell once.
    """
    pooled, images = Pooled(), []
    for analysis in analyses:
        images.append(field_answer(analysis))
        pooled.add(analysis.cells)
    return {
        "models": dict(models),
        "images": images,
        **pooled.answer(),
        "errors": _errors(failures),
    }


class Pooled:
    """Counts the cells of many fields, each once."""

    def __init__(self) -> None:
        """Start without any cell."""
        self._counts = CellCounts()

    def add(self, cells: Iterable[Cell]) -> None:
        """Count the cells of a field."""
        self._counts.add(cells)

    def answer(self) -> Answer:
        """Return the key `pooled` where fields share cells; else their counts add up: nothing."""
        counts = self._counts
        if not counts.duplicates:
            return {}
        return {
            "pooled": {
                "counts": counts.kinds,
                "duplicates": counts.duplicates.total(),
                "differential": _differential(
                    differential_of_counts(counts.types, counts.uncertain)
                ),
            }
        }


def classify_answer(results: Iterable[CropResult], failures: Iterable[FailedFile] = ()) -> Answer:
    """Return the answer of `classify`, in which every file is one cell crop."""
    return {"images": [crop_answer(result) for result in results], "errors": _errors(failures)}


def stage_answer(
    results: Sequence[StageResult],
    pooled: StageResult | None,
    failures: Iterable[FailedFile] = (),
) -> Answer:
    """Return the answer of `stage`: one for each field and one pooled, null without any field."""
    return {
        "images": [
            {"file": result.file, "page": result.page, **_stage(result)} for result in results
        ],
        "pooled": None if pooled is None else _stage(pooled),
        "errors": _errors(failures),
    }


def field_answer(analysis: FieldAnalysis) -> Answer:
    """Return what `analyze` says of one picture.

    Its cells and counts are those of the picture alone, whatever came with it; `duplicates`, where
    there are any, numbers the cells (from 1) that an earlier picture shows too.
    """
    scale, alone = analysis.scale, analysis.alone
    duplicates = [i for i, cell in enumerate(analysis.cells, 1) if cell.duplicate]
    return {
        "file": analysis.file,
        "page": analysis.page,
        "width": analysis.width,
        "height": analysis.height,
        "micrometres_per_pixel": None if scale is None else number(scale.micrometres_per_pixel, 5),
        "cells": [_cell(cell) for cell in analysis.cells],
        **({"duplicates": duplicates} if duplicates else {}),
        "counts": alone.counts.kinds,
        "differential": _differential(differential([alone])),
        "warnings": list(analysis.warnings),
        "refused": analysis.reject_reason,
    }


def crop_answer(result: CropResult) -> Answer:
    """Return what `classify` says of one cell crop."""
    return {
        "file": result.file,
        "page": result.page,
        "type": result.type,
        "probabilities": probabilities(result.probabilities),
        "confidence": number(result.confidence, 4),
        "status": result.status,
        "warnings": list(result.warnings),
        "refused": result.reject_reason,
    }


def number(value: float, decimals: int) -> float | None:
    """Round for JSON, which has no infinity."""
    return round(float(value), decimals) if math.isfinite(value) else None


def probabilities(values: Mapping[str, float]) -> dict[str, float | None]:
    """Round probabilities by class name."""
    return {key: number(value, 4) for key, value in values.items()}


def box_numbers(cell: Cell) -> tuple[float, float, float, float]:
    """Return x, y, width and height of a cell's box to 0.1 px."""
    box = cell.box
    x, y, width, height = (round(float(side), 1) for side in box.xywh)
    return x, y, width, height


def _cell(cell: Cell) -> Answer:
    of_type: Answer = {}
    if cell.kind == "wbc":
        of_type = {"type": cell.type, "probabilities": probabilities(cell.probabilities or {})}
    return {
        "kind": cell.kind,
        "box": list(box_numbers(cell)),
        **of_type,
        "confidence": number(cell.confidence, 4),
        "status": cell.status,
    }


def _differential(counted: Differential) -> Answer:
    return {
        **{key: _share(share) for key, share in counted.shares.items()},
        "erythroblast": _share(counted.erythroblasts),
    }


def _share(share: Share) -> Answer:
    return {
        "count": share.count,
        "percent": number(share.percent, 2),
        "low": number(share.low, 2),
        "high": number(share.high, 2),
    }


def _stage(result: StageResult) -> Answer:
    return {
        "stage": result.stage,
        "probabilities": probabilities(result.probabilities),
        "confidence": number(result.confidence, 4),
        "status": result.status,
        "warnings": list(result.warnings),
        "refused": result.reject_reason,
    }


def _errors(failures: Iterable[FailedFile]) -> list[Answer]:
    return [{"file": failure.file, "error": failure.error} for failure in failures]
