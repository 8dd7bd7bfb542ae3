"""True cells beside found cells, for the synthetic slides."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from core.domain.boxes import Box, iou, xyxy_array
from core.domain.results import FieldAnalysis

SAME_CELL_IOU = 0.5
"""A found box is a true cell from this intersection over union on (Pascal VOC)."""


def answer_key(analyses: Iterable[FieldAnalysis], truth: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row for each true white cell and for each found one that is none.

    `truth` is `examples.synthetic_truth()`; images without truth are left out. Columns: file,
    number (of the found cell), truth, found, status, answer. A found cell matches at most one true
    cell.
    """
    rows: list[tuple[str, int | None, str | None, str | None, str | None, str]] = []
    for analysis in analyses:
        if analysis.sha256 not in truth:
            continue
        found = {n: cell for n, cell in analysis.white_cells() if cell.status != "out_of_scope"}
        for drawn in truth[analysis.sha256]["cells"]:
            if drawn["kind"] != "wbc":
                continue
            box = Box(*drawn["box"])
            corners = xyxy_array([box, *(cell.box for cell in found.values())])
            overlaps = dict(zip(found, iou(corners[0], corners[1:]).tolist(), strict=True))
            number = max(overlaps, key=overlaps.__getitem__, default=None)
            if number is None or overlaps[number] < SAME_CELL_IOU:
                rows.append((analysis.file, None, drawn["type"], None, None, "missed"))
                continue
            cell = found.pop(number)
            if cell.status == "uncertain":
                answer = "needs review"
            else:
                answer = "right" if cell.type == drawn["type"] else "wrong"
            rows.append((analysis.file, number, drawn["type"], cell.type, cell.status, answer))
        rows += [
            (analysis.file, n, None, c.type, c.status, "not a white cell") for n, c in found.items()
        ]
    columns = ["file", "number", "truth", "found", "status", "answer"]
    return pd.DataFrame(rows, columns=columns).astype({"number": "Int64"})
