"""Detections in the COCO format, for annotation tools and for training elsewhere.

Lin et al. 2014, "Microsoft COCO", https://cocodataset.org/#format-data. Boxes are
`[x, y, width, height]` in pixels of the picture as uploaded, rounded to 0.1 px.
"""

from collections.abc import Sequence
from typing import Any

from core.reports.answers import box_numbers, number
from core.results import Cell, FieldAnalysis
from core.taxonomy import REVIEW_TYPES

UNCERTAIN = "white_cell_uncertain"
"""White cells that are not forced into a type."""
CATEGORIES: dict[str, int] = {
    name: number for number, name in enumerate((*REVIEW_TYPES, "rbc", UNCERTAIN), 1)
}
"""Category ids by name, in the order of the taxonomy."""


def coco(analyses: Sequence[FieldAnalysis]) -> dict[str, Any]:
    """Return the pictures and their cells, ids counting from 1; refused pictures have no cells.

    What is out of scope is left out. Every annotation also carries `score` (the confidence),
    `status`, `suggested` (the model's type where a reviewer gave another label) and `reviewer`.
    """
    cells = [
        (image, cell)
        for image, analysis in enumerate(analyses, 1)
        for cell in analysis.cells
        if cell.status != "out_of_scope"
    ]
    return {
        "info": {"description": "Leukoscope detections", "version": "1.0"},
        "licenses": [],
        "images": [
            {
                "id": image,
                "file_name": analysis.file,
                "width": analysis.width,
                "height": analysis.height,
                "sha256": analysis.sha256,
            }
            for image, analysis in enumerate(analyses, 1)
        ],
        "annotations": [
            _annotation(key, image, cell) for key, (image, cell) in enumerate(cells, 1)
        ],
        "categories": [
            {"id": key, "name": name, "supercategory": "cell"} for name, key in CATEGORIES.items()
        ],
    }


def category(cell: Cell) -> str:
    """Return the name of a cell's category; a platelet is one whether detected or named so."""
    if cell.kind != "wbc":
        return cell.kind
    return cell.type if cell.status == "classified" and cell.type else UNCERTAIN


def _annotation(key: int, image: int, cell: Cell) -> dict[str, Any]:
    x, y, width, height = box_numbers(cell)
    return {
        "id": key,
        "image_id": image,
        "category_id": CATEGORIES[category(cell)],
        "bbox": [x, y, width, height],
        "area": round(width * height, 2),
        "iscrowd": 0,
        "score": number(cell.confidence, 4),
        "status": cell.status,
        "suggested": cell.suggested,
        "reviewer": cell.reviewer,
    }
