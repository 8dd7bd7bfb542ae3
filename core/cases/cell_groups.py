"""The white cells of a case grouped by type, abnormal ones first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core.cases.records import Case, LabelledCell
from core.domain.differential import differential
from core.domain.results import Cell
from core.domain.taxonomy import (
    CELL_TYPES,
    NOT_A_WHITE_CELL,
    label_colour,
)

UNCERTAIN = "uncertain"
"""Key of the group that needs review."""
DUPLICATE = "duplicate"
"""Key of the group of unreviewed cells that an earlier field shows too."""
_ABNORMAL = ("blast", "immature_granulocyte", "erythroblast", "smudge_cell")
_TYPE_ORDER: tuple[str, ...] = tuple(dict.fromkeys((*_ABNORMAL, *CELL_TYPES)))
GROUP_ORDER: tuple[str, ...] = (
    "blast",
    UNCERTAIN,
    *(key for key in _TYPE_ORDER if key != "blast"),
    NOT_A_WHITE_CELL,
    DUPLICATE,
)
"""Blasts, then the uncertain cells, of which the possible blasts come first."""


@dataclass(frozen=True, slots=True)
class CellGroup:
    """White cells that count as one type."""

    key: str
    """One of `GROUP_ORDER`."""
    name: str
    colour: str
    share: str
    """Percent of the leukocytes, or per 100 of them; empty for what has no share."""
    cells: tuple[LabelledCell, ...]


def group_name(key: str) -> str:
    """Return the heading of a group."""
    if key in CELL_TYPES:
        return CELL_TYPES[key].plural
    others = {UNCERTAIN: "Uncertain: not counted", DUPLICATE: "Counted in another field"}
    return others.get(key, "Not white cells")


def case_cells(case: Case) -> tuple[LabelledCell, ...]:
    """Return all white cells of a case, field by field."""
    return tuple(
        LabelledCell(
            id=cell_id,
            field_id=stored.id,
            name=f"{place}.{number}",
            cell=cell,
            micrometres_per_pixel=None if scale is None else scale.micrometres_per_pixel,
        )
        for place, stored in enumerate(case.fields, 1)
        for scale in (stored.analysis.scale,)
        for number, (cell, cell_id) in enumerate(
            zip(stored.analysis.cells, stored.cell_ids, strict=True), 1
        )
        if cell_id is not None
    )


def group_of(cell: Cell) -> str:
    """Return the key of the group a white cell belongs to."""
    if cell.duplicate:
        return DUPLICATE
    uncounted = NOT_A_WHITE_CELL if cell.status == "out_of_scope" else UNCERTAIN
    return cell.counted_as or uncounted


def order_in_group(cell: Cell) -> tuple[int, float]:
    """Return the key to sort a group by: the least confident cell first.

    Uncertain cells are sorted by their likeliest type before, blasts first.
    """
    is_typed = group_of(cell) == UNCERTAIN and cell.type is not None
    return _TYPE_ORDER.index(str(cell.type)) if is_typed else len(_TYPE_ORDER), cell.confidence


def cell_groups(case: Case) -> tuple[CellGroup, ...]:
    """Group the white cells of a case by `GROUP_ORDER`, each group sorted by `order_in_group`."""
    counted = differential(case.analyses)
    shares = {key: f"{s.percent:.1f} %" for key, s in counted.shares.items()}
    shares["erythroblast"] = f"{counted.erythroblasts.percent:.1f} per 100"
    shares["smudge_cell"] = f"{counted.smudge_cells.percent:.1f} per 100"
    return grouped(case_cells(case), shares)


def grouped(
    cells: Iterable[LabelledCell], shares: Mapping[str, str] | None = None
) -> tuple[CellGroup, ...]:
    """Group white cells as `cell_groups` does; `shares` are those of the groups."""
    sorted_cells: dict[str, list[LabelledCell]] = {key: [] for key in GROUP_ORDER}
    for cell in cells:
        sorted_cells[group_of(cell.cell)].append(cell)
    return tuple(
        CellGroup(
            key=key,
            name=group_name(key),
            colour=label_colour(key),
            share=(shares or {}).get(key, ""),
            cells=tuple(sorted(found, key=lambda c: (*order_in_group(c.cell), c.id))),
        )
        for key, found in sorted_cells.items()
    )
