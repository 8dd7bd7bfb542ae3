"""Counts a synthetic slide whose cells are known; writes recall and precision to its JSON file.

`python -m benchmarks.slide_accuracy` counts the whole area worth counting of a slide of six fields
laid side by side. The truth is every white cell that was drawn with its middle in a counted tile.
"""

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from core.domain.boxes import Box
from core.imaging.illumination import flatten
from core.inference.pipeline import get_analyzer
from core.slides.analysis import analyze_tile
from core.slides.counting import SlideCount
from core.slides.folders import SlideFolders
from core.slides.tiles import SlideView
from core.synthetic.fields import make_field
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
        count = SlideCount(file, view, lambda image: analyze_tile(analyzer, image, None))
        count.start(None)
        count.wait()
    tiles = count.counted_tiles
    found = [
        cell.box for _, cell in count.analysis().white_cells() if cell.status != "out_of_scope"
    ]
    drawn = [
        cell.box
        for cell in slide.cells
        if cell.kind == "wbc" and any(tile.holds(*cell.box.centre) for tile in tiles)
    ]
    pairs = _pairs(found, drawn)
    sides = [{tile.interior[i] for tile in tiles} for i in range(4)]
    seams = [
        index
        for index, box in enumerate(drawn)
        if min(abs(box.centre[i % 2] - side) for i in range(4) for side in sides[i]) < _SEAM_PIXELS
    ]
    return {
        "tiles_counted": len(tiles),
        "tiles_worth_counting": len(count.path),
        "drawn": len(drawn),
        "found": len(found),
        "matched": len(pairs),
        "recall": round(len(pairs) / len(drawn), 4),
        "precision": round(len(pairs) / len(found), 4),
        "drawn_on_seams": len(seams),
        "matched_on_seams": sum(index in pairs for index in seams),
    }


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
