"""Counts a synthetic slide whose cells are known; writes recall and precision to its JSON file.

`python -m benchmarks.slide_accuracy` counts the whole area worth counting of a slide of six fields
laid side by side. The truth is every white cell that was drawn with its middle in a counted tile;
it is found where a box of a white cell is, whatever type the classifier names. The same fields
analysed one by one show what the tiles change.
"""

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from core.domain.boxes import Box
from core.domain.results import Cell, FieldImage, ImageProperties
from core.imaging.illumination import flatten
from core.inference.pipeline import Analyzer, get_analyzer
from core.model_card import models_fingerprint
from core.slides.counting import SlideCount
from core.slides.folders import SlideFolders
from core.slides.tiles import SlideView
from core.slides.worker import TileRunner
from core.synthetic.fields import SyntheticField, make_field
from core.synthetic.slides import make_slide, write_slide

RESULT = Path(__file__).with_name("slide_accuracy.json")
_ACROSS, _DOWN, _WIDTH, _HEIGHT = 3, 2, 1280, 960
_WHITE_CELLS, _RED_CELL_PIXELS = 12, 30.0
_BORDER = 400
_SEED = 7
_SEAM_PIXELS = 40
"""A cell whose middle is nearer to the border of a tile's interior lies on a seam."""


def measure() -> dict[str, float | int]:
    """Count the slide and compare its white cells with the drawn ones."""
    fields = [
        (
            make_field(
                _SEED + number,
                _WIDTH,
                _HEIGHT,
                white_cells=_WHITE_CELLS,
                red_cell_pixels=_RED_CELL_PIXELS,
            ),
            _BORDER + number % _ACROSS * _WIDTH,
            _BORDER + number // _ACROSS * _HEIGHT,
        )
        for number in range(_ACROSS * _DOWN)
    ]
    # Their light is even, as scanners correct it.
    fields = [(replace(field, pixels=flatten(field.pixels)), x, y) for field, x, y in fields]
    slide = make_slide(_ACROSS * _WIDTH + 2 * _BORDER, _DOWN * _HEIGHT + 2 * _BORDER, fields)
    analyzer = get_analyzer()
    with TemporaryDirectory() as folder:
        write_slide(slide, Path(folder, "slide.svs"))
        (file,) = SlideFolders([Path(folder)]).slides().values()
        view = SlideView(file.path)
        run = TileRunner(view.path, file.name, models_fingerprint())
        count = SlideCount(file, view, run.analyze)
        count.start(None)
        count.wait()
    tiles = count.counted_tiles
    drawn = [
        cell.box
        for cell in slide.cells
        if cell.kind == "wbc" and any(tile.holds(*cell.box.centre) for tile in tiles)
    ]
    on_slide = [cell for _, cell in count.analysis().white_cells()]
    alone = [cell for field in fields for cell in _alone(analyzer, *field)]
    pairs = _pairs([cell.box for cell in on_slide], drawn)
    pairs_alone = _pairs([cell.box for cell in alone], drawn)
    sides = [{tile.interior[i] for tile in tiles} for i in range(4)]
    seams = {
        index
        for index, box in enumerate(drawn)
        if min(abs(box.centre[i % 2] - side) for i in range(4) for side in sides[i]) < _SEAM_PIXELS
    }
    both = [
        (on_slide[pairs[index]], alone[pairs_alone[index]])
        for index in pairs.keys() & pairs_alone.keys()
        if index not in seams
    ]
    return {
        "tiles_counted": len(tiles),
        "tiles_worth_counting": len(count.path),
        "drawn": len(drawn),
        "found": len(on_slide),
        "matched": len(pairs),
        "recall": round(len(pairs) / len(drawn), 4),
        "precision": round(len(pairs) / len(on_slide), 4),
        "drawn_on_seams": len(seams),
        "matched_on_seams": len(seams & pairs.keys()),
        "matched_in_fields": len(pairs_alone),
        "taken_for_white_cells": sum(_is_white(on_slide[n]) for n in pairs.values()),
        "taken_for_white_cells_in_fields": sum(_is_white(alone[n]) for n in pairs_alone.values()),
        "off_seams_in_both": len(both),
        "of_one_type_in_both": sum(
            (one.type, _is_white(one)) == (other.type, _is_white(other)) for one, other in both
        ),
    }


def _alone(analyzer: Analyzer, field: SyntheticField, left: int, top: int) -> list[Cell]:
    """Return the white cells of a field that is analysed by itself, where they lie on the slide."""
    image = FieldImage(
        name="field",
        pixels=field.pixels,
        sha256="",
        properties=ImageProperties("PNG", "RGB", 8, field.pixels.nbytes),
        micrometres_per_pixel=field.micrometres_per_pixel,
    )
    return [
        replace(cell, box=replace(cell.box, x=left + cell.box.x, y=top + cell.box.y))
        for _, cell in analyzer.analyze(image).white_cells()
    ]


def _is_white(cell: Cell) -> bool:
    """Return whether the classifier takes a box of the detector for a white cell too."""
    return cell.status != "out_of_scope"


def _pairs(found: list[Box], drawn: list[Box]) -> dict[int, int]:
    """Match each drawn cell to one found cell whose middle lies in its box."""
    pairs: dict[int, int] = {}
    for number, box in enumerate(found):
        distances = [np.hypot(*np.subtract(box.centre, other.centre)) for other in drawn]
        nearest = int(np.argmin(distances))
        if distances[nearest] < drawn[nearest].longer_side / 2 and nearest not in pairs:
            pairs[nearest] = number
    return pairs


if __name__ == "__main__":
    text = json.dumps(measure(), indent=1)
    RESULT.write_text(f"{text}\n", encoding="utf-8")
    print(text)
