"""Synthetic fields as files: the image, its exact truth, and COCO; `python -m core synthetic`."""

import argparse
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from PIL import Image
from pydantic import ValidationError

from core.errors import InvalidEntryError, LeukoscopeError
from core.exports.coco import CATEGORIES
from core.files import write_atomically
from core.synthetic.fields import SyntheticField
from core.synthetic.smears import (
    DIFFERENTIALS,
    FIELD_TYPES,
    MOST_CELLS,
    FieldRecipe,
    Stain,
    counts_of,
    make_smear,
)

MOST_FIELDS = 500
PRESETS: dict[str, str] = {name.lower().replace(" ", "_"): name for name in DIFFERENTIALS}


def checked_recipe(**values: object) -> FieldRecipe:
    """Return a recipe. Raises InvalidEntryError for what cannot be drawn."""
    try:
        return FieldRecipe.model_validate(values)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InvalidEntryError(f"The field cannot be made: {reason}. Change it.") from error


def made_field(recipe: FieldRecipe) -> SyntheticField:
    """Make a field. Raises InvalidEntryError when its cells find no room."""
    try:
        return make_smear(recipe)
    except ValueError as error:
        raise InvalidEntryError(
            f"The field cannot be made: {error}. Ask for fewer cells, or a larger field."
        ) from error


def field_png(field: SyntheticField) -> bytes:
    """Return the image with its scale in the header."""
    stream = io.BytesIO()
    dots_an_inch = 25_400 / field.micrometres_per_pixel
    Image.fromarray(field.pixels).save(stream, "PNG", dpi=(dots_an_inch, dots_an_inch))
    return stream.getvalue()


def field_truth(recipe: FieldRecipe, field: SyntheticField, file: str) -> dict[str, Any]:
    """Return what a field truly shows; boxes are x, y, width, height in px."""
    height, width = field.pixels.shape[:2]
    return {
        "file": file,
        "synthetic": True,
        "width": width,
        "height": height,
        "micrometres_per_pixel": field.micrometres_per_pixel,
        "recipe": recipe.model_dump(),
        "counts": {key: n for key, n in recipe.counts.items() if n},
        "cells": [
            {
                "kind": cell.kind,
                "type": cell.type,
                "subtype": cell.subtype,
                "box": list(cell.box.xywh),
            }
            for cell in field.cells
        ],
    }


def truth_coco(fields: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the truth of fields (`field_truth`) in the COCO format, ids from 1."""
    annotations: list[dict[str, Any]] = []
    for image, truth in enumerate(fields, 1):
        for cell in truth["cells"]:
            x, y, width, height = cell["box"]
            right, bottom = x + width, y + height
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": CATEGORIES[cell["type"] or cell["kind"]],
                    "bbox": [x, y, width, height],
                    "segmentation": [[x, y, right, y, right, bottom, x, bottom]],
                    "area": width * height,
                    "iscrowd": 0,
                    "subtype": cell["subtype"],
                }
            )
    return {
        "info": {"description": "Leukoscope synthetic fields, exact truth", "version": "1.0"},
        "licenses": [],
        "images": [
            {
                "id": image,
                "file_name": truth["file"],
                "width": truth["width"],
                "height": truth["height"],
            }
            for image, truth in enumerate(fields, 1)
        ],
        "annotations": annotations,
        "categories": [
            {"id": key, "name": name, "supercategory": "cell"} for name, key in CATEGORIES.items()
        ],
    }


def json_bytes(content: object) -> bytes:
    """Return JSON as it is downloaded."""
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe `python -m core synthetic`."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="new or empty folder to fill")
    parser.add_argument("--fields", type=int, default=1, help="how many (%(default)s)")
    parser.add_argument(
        "--cells", type=int, default=20, help="white cells of a field (%(default)s)"
    )
    parser.add_argument(
        "--differential",
        default="normal",
        metavar="NAME_OR_SHARES",
        help=f"{', '.join(PRESETS)}, or shares such as segmented=60,blast=5 (%(default)s); types: "
        f"{', '.join(FIELD_TYPES)}",
    )
    parser.add_argument("--counts", metavar="TYPE=N,...", help="exact cells of each field instead")
    parser.add_argument(
        "--stain", choices=get_args(Stain), default="standard", help="(%(default)s)"
    )
    parser.add_argument("--blur", type=float, default=0.0, help="defocus in µm (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first field (%(default)s)")
    parser.add_argument("--width", type=int, default=1280, help="in px (%(default)s)")
    parser.add_argument("--height", type=int, default=960, help="in px (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Write field_1.png, ..., truth.json and coco.json."""
    if not 1 <= options.fields <= MOST_FIELDS:
        raise InvalidEntryError(f"Ask for 1 to {MOST_FIELDS} fields.")
    if not 1 <= options.cells <= MOST_CELLS:
        raise InvalidEntryError(f"Ask for 1 to {MOST_CELLS} white cells a field.")
    folder: Path = options.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InvalidEntryError(f"{folder} is not empty. Name a new folder.")
        truths = []
        for number in range(options.fields):
            recipe = checked_recipe(
                seed=options.seed + number,
                counts=_counts(options),
                **{name: getattr(options, name) for name in ("stain", "blur", "width", "height")},
            )
            field, name = made_field(recipe), f"field_{number + 1}.png"
            write_atomically(folder / name, field_png(field))
            truths.append(field_truth(recipe, field, name))
        write_atomically(folder / "truth.json", json_bytes({"fields": truths}))
        write_atomically(folder / "coco.json", json_bytes(truth_coco(truths)))
    except OSError as error:
        raise LeukoscopeError(
            f"{folder} cannot be written ({error.strerror}). Make room or name another folder."
        ) from error
    cells = sum(cell["kind"] == "wbc" for truth in truths for cell in truth["cells"])
    sys.stderr.write(f"{folder}: fields {options.fields}, white cells {cells}.\n")
    return 0


def _counts(options: argparse.Namespace) -> dict[str, int]:
    if options.counts:
        return {key: round(share) for key, share in _shares(options.counts).items()}
    if options.differential in PRESETS:
        return counts_of(DIFFERENTIALS[PRESETS[options.differential]], options.cells)
    return counts_of(_shares(options.differential), options.cells)


def _shares(text: str) -> dict[str, float]:
    """Read `segmented=60,blast=5`. Raises InvalidEntryError."""
    shares: dict[str, float] = {}
    try:
        for part in text.split(","):
            key, _, share = part.partition("=")
            shares[key.strip()] = float(share)
    except ValueError as error:
        raise InvalidEntryError(
            f"{text} names no cells. Write shares such as segmented=60,blast=5."
        ) from error
    if not 0 < sum(shares.values()) < 1e9 or min(shares.values()) < 0:
        raise InvalidEntryError(f"{text} has shares that are no numbers above 0.")
    return shares
