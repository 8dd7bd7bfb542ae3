"""The JSON answers of the command line and the API, made from results.

Boxes are `[x, y, width, height]` in pixels of the picture as uploaded, rounded to 0.1 px;
probabilities to four decimals, percentages to two. Every number is finite; what is not becomes
null. Keys keep their order.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.differential import Share, differential
from core.results import Cell, CropResult, FailedFile, FieldAnalysis, StageResult

Answer = dict[str, Any]


def analyze_answer(
    analyses: Iterable[FieldAnalysis],
    failures: Iterable[FailedFile] = (),
    *,
    models: Mapping[str, str],
) -> Answer:
    """Return the answer of `analyze`; `models` maps model names to versions."""
    return {
        "models": dict(models),
        "images": [field_answer(analysis) for analysis in analyses],
        "errors": _errors(failures),
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
    """Return what `analyze` says of one picture."""
    scale = analysis.scale
    shares = differential([analysis])
    return {
        "file": analysis.file,
        "page": analysis.page,
        "width": analysis.width,
        "height": analysis.height,
        "micrometres_per_pixel": None if scale is None else number(scale.micrometres_per_pixel, 5),
        "cells": [_cell(cell) for cell in analysis.cells],
        "counts": analysis.counts(),
        "differential": {
            **{key: _share(share) for key, share in shares.shares.items()},
            "erythroblast": _share(shares.erythroblasts),
        },
        "warnings": list(analysis.warnings),
        "refused": analysis.refused,
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
        "refused": result.refused,
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
    x, y, width, height = (round(float(side), 1) for side in (box.x, box.y, box.width, box.height))
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
        "refused": result.refused,
    }


def _errors(failures: Iterable[FailedFile]) -> list[Answer]:
    return [{"file": failure.file, "error": failure.error} for failure in failures]
