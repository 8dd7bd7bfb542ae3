"""Images of representative cells on the printed page."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from core.cases.records import Case
from core.domain.probability import probability_text
from core.domain.results import Cell, Pixels
from core.domain.taxonomy import CELL_TYPES, UNDETERMINED_COLOUR
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
_ABNORMAL_FIRST = ("blast", "immature_granulocyte", "erythroblast")
_UNCERTAIN = "uncertain"
_TITLE = (
    "Representative cells, light-corrected (field.cell; probability of the model, or R for a "
    "reviewer's label)"
)


class _Shown(NamedTuple):
    """A cell with the numbers of its field and of itself, counted from 1."""

    field: int
    number: int
    field_id: int
    cell: Cell

    @property
    def label(self) -> str:
        return f"{self.field}.{self.number}"


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
    crops = _crops((shown for group in groups.values() for shown in group), read_pixels)
    top, bottom = room
    sheet.text((MARGIN, top, 2 * _HALF), _TITLE, Style(7, bold=True))
    top += 4.5
    height = min(_LARGEST, (bottom - top) / -(-len(groups) // 2))
    side = height - _CAPTION
    for place, (key, group) in enumerate(groups.items()):
        x, y = MARGIN + place % 2 * _HALF, top + place // 2 * height
        named = CELL_TYPES.get(key)
        colour = named.colour if named else UNDETERMINED_COLOUR
        sheet.bar((x, y, 1, side), colour)
        sheet.paragraph((x + 1.5, y, 21), named.name if named else "Uncertain", Style(6.5), most=2)
        for column, shown in enumerate(group):
            left = x + _NAME + column * (side + _GAP)
            pixels = crops[shown.field, shown.number]
            sheet.image((left, y, side, side), pixels, colour, f"Cell {shown.label}")
            caption = Style(4.5, colour=GREY, align="C")
            sheet.text(
                (left - 1, y + side, side + 2), f"{shown.label} · {_caption(shown.cell)}", caption
            )


def _caption(cell: Cell) -> str:
    if cell.reviewer is not None:
        return "R"
    return probability_text(cell.confidence, 0)


def _groups(case: Case) -> dict[str, list[_Shown]]:
    """Return the cells to show by type, abnormal types first.

    Reviewed cells first, then the most confident; of uncertain cells the possible blasts, then the
    least confident.
    """
    found: dict[str, list[_Shown]] = {}
    for field, stored in enumerate(case.fields, 1):
        for number, cell in stored.analysis.white_cells():
            shown = _Shown(field, number, stored.id, cell)
            if cell.duplicate:
                continue
            if cell.status == "uncertain":
                found.setdefault(_UNCERTAIN, []).append(shown)
            elif cell.status == "classified" and cell.type is not None:
                found.setdefault(cell.type, []).append(shown)
    for key, group in found.items():
        if key == _UNCERTAIN:
            group.sort(key=lambda shown: (not shown.cell.is_possible_blast, shown.cell.confidence))
        else:
            group.sort(key=lambda shown: (shown.cell.reviewer is None, -shown.cell.confidence))
    order = dict.fromkeys((*_ABNORMAL_FIRST, *CELL_TYPES, _UNCERTAIN))
    return {key: found[key][:CELLS_PER_TYPE] for key in order if key in found}


def _crops(chosen: Iterable[_Shown], read_pixels: ReadPixels) -> dict[tuple[int, int], Pixels]:
    """Cut the chosen cells out, with one field at a time in memory."""
    by_field: dict[int, list[_Shown]] = {}
    for shown in chosen:
        by_field.setdefault(shown.field_id, []).append(shown)
    crops = {}
    for field_id, cells in by_field.items():
        pixels = flatten(read_pixels(field_id))
        for shown in cells:
            crop = crop_cell(pixels, shown.cell.box, size=_CROP_PIXELS)
            crops[shown.field, shown.number] = crop
    return crops
