"""Images of representative cells on the printed page."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import chain, groupby
from operator import attrgetter

from core.cases.cell_groups import DUPLICATE, GROUP_ORDER, UNCERTAIN, case_cells, group_of
from core.cases.records import Case, LabelledCell
from core.domain.probability import probability_text
from core.domain.results import Pixels
from core.domain.taxonomy import CELL_TYPES, label_colour
from core.exports.pdf.sheet import GREY, MARGIN, WIDTH, Sheet, Style
from core.imaging.crop import crop_cell
from core.imaging.illumination import flatten

ReadPixels = Callable[[int], Pixels]
"""Returns the pixels (H x W x 3) of a stored field by its id."""

CELLS_PER_TYPE = 5
_CROP_PIXELS = 128
_HALF = WIDTH / 2 - MARGIN
_LARGEST, _CAPTION, _GAP, _NAME = 15.5, 3.2, 1.4, 23.0
"""Millimetres: height of a line of cells with captions, the caption, between cells, for a name."""
_TITLE = (
    "Representative cells, light-corrected (field.cell; probability of the model, or R for a "
    "reviewer's label)"
)


def representative_cells(
    sheet: Sheet, case: Case, read_pixels: ReadPixels, room: tuple[float, float]
) -> None:
    """Show some cells of each type between two heights, two types beside each other.

    Cells are drawn smaller where space is short. Each field is read once, and only when a
    cell of it is shown.
    """
    groups = _groups(case)
    if not groups:
        return
    crops = _crops(chain.from_iterable(groups.values()), read_pixels)
    top, bottom = room
    sheet.text((MARGIN, top, 2 * _HALF), _TITLE, Style(7, bold=True))
    top += 4.5
    height = min(_LARGEST, (bottom - top) / -(-len(groups) // 2))
    side = height - _CAPTION
    for place, (key, group) in enumerate(groups.items()):
        x, y = MARGIN + place % 2 * _HALF, top + place // 2 * height
        colour = label_colour(key)
        name = CELL_TYPES[key].name if key in CELL_TYPES else "Uncertain"
        sheet.bar((x, y, 1, side), colour)
        sheet.paragraph((x + 1.5, y, 21), name, Style(6.5), most=2)
        for column, shown in enumerate(group):
            left = x + _NAME + column * (side + _GAP)
            sheet.image((left, y, side, side), crops[shown.name], colour, f"Cell {shown.name}")
            cell = shown.cell
            value = "R" if cell.reviewer is not None else probability_text(cell.confidence, 0)
            caption = Style(4.5, colour=GREY, align="C")
            sheet.text((left - 1, y + side, side + 2), f"{shown.name} · {value}", caption)


def _groups(case: Case) -> dict[str, list[LabelledCell]]:
    """Return the cells to show by type, in the order of the page Review but uncertain last."""
    found = defaultdict(list)
    for shown in sorted(case_cells(case), key=_order):
        if shown.cell.status != "out_of_scope":
            found[group_of(shown.cell)].append(shown)
    order = (*(key for key in GROUP_ORDER if key not in {UNCERTAIN, DUPLICATE}), UNCERTAIN)
    return {key: found[key][:CELLS_PER_TYPE] for key in order if key in found}


def _order(shown: LabelledCell) -> tuple[bool, float]:
    """Return the key to sort a group by.

    Reviewed cells first, then the most confident; of uncertain cells the possible blasts, then the
    least confident.
    """
    cell = shown.cell
    if cell.status == "uncertain":
        return not cell.is_possible_blast, cell.confidence
    return cell.reviewer is None, -cell.confidence


def _crops(chosen: Iterable[LabelledCell], read_pixels: ReadPixels) -> dict[str, Pixels]:
    """Cut the chosen cells out, by name, with one field at a time in memory."""
    crops = {}
    field_of = attrgetter("field_id")
    for field_id, cells in groupby(sorted(chosen, key=field_of), field_of):
        pixels = flatten(read_pixels(field_id))
        for shown in cells:
            crops[shown.name] = crop_cell(pixels, shown.cell.box, size=_CROP_PIXELS)
    return crops
