"""Detections in the COCO format, for annotation tools and for training elsewhere.

Lin et al. 2014, "Microsoft COCO", https://cocodataset.org/#format-data. Boxes are
`[x, y, width, height]` in pixels of the image as uploaded, rounded to 0.1 px. Cells have no
outline here: `segmentation` is the polygon of the box, which pycocotools and supervision ask for.
"""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from core.domain.results import Cell, FieldAnalysis
from core.domain.taxonomy import CELL_TYPES
from core.exports.schema import box_numbers, number

UNCERTAIN = "white_cell_uncertain"
"""White cells that are not forced into a type."""
_DRIVE = re.compile("[A-Za-z]:")
CATEGORIES: dict[str, int] = {
    name: number for number, name in enumerate((*CELL_TYPES, "rbc", UNCERTAIN), 1)
}
"""Category ids by name, in the order of the taxonomy."""


def coco(analyses: Sequence[FieldAnalysis]) -> dict[str, Any]:
    """Return the images and their cells, ids counting from 1; rejected images have no cells.

    `file_name` is the name of the file as uploaded, made a relative path and unique where several
    have one name: readers join it to a folder of images. Images after the first of a file have
    their page in the name, as those of `annotated_zip`. `sha256` and `page` identify an image. What
    is out of scope is left out. Every annotation also carries `score` (the confidence), `status`,
    `suggested` (the model's type where a reviewer gave another label) and `reviewer`.
    """
    cells = [
        (image, cell)
        for image, analysis in enumerate(analyses, 1)
        for cell in analysis.cells
        if cell.status != "out_of_scope"
    ]
    named = zip(analyses, _file_names(analyses), strict=True)
    return {
        "info": {"description": "Leukoscope detections", "version": "1.0"},
        "licenses": [],
        "images": [
            {
                "id": image,
                "file_name": name,
                "width": analysis.width,
                "height": analysis.height,
                "sha256": analysis.sha256,
                "page": analysis.page,
            }
            for image, (analysis, name) in enumerate(named, 1)
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
    right, bottom = round(x + width, 1), round(y + height, 1)
    return {
        "id": key,
        "image_id": image,
        "category_id": CATEGORIES[category(cell)],
        "bbox": [x, y, width, height],
        "segmentation": [[x, y, right, y, right, bottom, x, bottom]],
        "area": round(width * height, 2),
        "iscrowd": 0,
        "score": number(cell.confidence, 4),
        "status": cell.status,
        "suggested": cell.suggested,
        "reviewer": cell.reviewer,
    }


def _file_names(analyses: Sequence[FieldAnalysis]) -> list[str]:
    """Return a relative path for each image, no two alike on a disk that ignores letter case."""
    names = [_paged(_relative(analysis.file), analysis.page) for analysis in analyses]
    occurring = {_on_disk(name) for name in names}
    taken: dict[str, str] = {}
    for name in names:
        path, number, unique = PurePosixPath(name), 1, name
        while _on_disk(unique) in taken or (number > 1 and _on_disk(unique) in occurring):
            number += 1
            unique = str(path.with_name(f"{path.stem}_{number}{path.suffix}"))
        taken[_on_disk(unique)] = unique
    return list(taken.values())


def _paged(name: str, page: int) -> str:
    """Return a name with the page after the first in front of its ending."""
    path = PurePosixPath(name)
    return name if page == 1 else str(path.with_name(f"{path.stem}_page{page}{path.suffix}"))


def _relative(name: str) -> str:
    """Return a name as a relative path that leads nowhere but down."""
    shown = "".join("_" if unicodedata.category(c) in ("Cc", "Cs") else c for c in name)
    parts = re.split(r"[/\\]", shown)
    kept = (part for part in parts if part.strip(" .") and not _DRIVE.fullmatch(part))
    return "/".join(kept) or "image"


def _on_disk(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
