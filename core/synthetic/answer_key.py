"""What was made beside what was found, for the made slides."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from core.domain.boxes import Box, iou, xyxy_array
from core.domain.results import FieldAnalysis

SAME_CELL_IOU = 0.5
"""A found box is the made cell when they share at least this much (Pascal VOC)."""


def answer_key(analyses: Iterable[FieldAnalysis], truth: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row for each made white cell and for each white cell found where none was made.

    `truth` is `examples.made_truth()`; pictures without truth are left out. Columns: file, number
    (of the found cell), made, found, status, answer. Each found cell answers for one made cell.
    """
    rows: list[tuple[str, int | None, str | None, str | None, str | None, str]] = []
    for analysis in analyses:
        if analysis.sha256 not in truth:
            continue
        found = {n: cell for n, cell in analysis.white_cells() if cell.status != "out_of_scope"}
        for made in truth[analysis.sha256]["cells"]:
            if made["kind"] != "wbc":
                continue
            box = Box(*made["box"])
            corners = xyxy_array([box, *(cell.box for cell in found.values())])
            overlaps = dict(zip(found, iou(corners[0], corners[1:]).tolist(), strict=True))
            number = max(overlaps, key=overlaps.__getitem__, default=None)
            if number is None or overlaps[number] < SAME_CELL_IOU:
                rows.append((analysis.file, None, made["type"], None, None, "missed"))
                continue
            cell = found.pop(number)
            if cell.status == "uncertain":
                answer = "held out"
            else:
                answer = "right" if cell.type == made["type"] else "wrong"
            rows.append((analysis.file, number, made["type"], cell.type, cell.status, answer))
        rows += [(analysis.file, n, None, c.type, c.status, "not made") for n, c in found.items()]
    columns = ["file", "number", "made", "found", "status", "answer"]
    return pd.DataFrame(rows, columns=columns).astype({"number": "Int64"})
