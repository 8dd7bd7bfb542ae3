"""The map of cells: filtered by attributes, coloured by type; one cell of it."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core.charts.field import data_uri
from core.domain.taxonomy import ATTRIBUTES, CELL_TYPES, label_colour, label_name
from core.errors import ModelError
from core.evaluation.report import load_report
from core.teaching.atlas import Atlas
from core.teaching.attributes import TITLES, in_words
from core.teaching.cell_map import CellMap, MapCell, get_map, matching
from core.teaching.reference_cells import CREDIT
from ui.atlas.images import MEDIUM, map_sheet, member_jpeg, pbc_if_here
from ui.components.browser import mount
from ui.components.fetch import offer_set
from ui.components.shared import data_table, embed_image, number_of

PAGE = "pages/attributes.py"
EXPLAIN = "pages/explain.py"
_COLUMNS, _TILE = 40, 48
_SHOWN = 24
_VALUES = [f"{name}:{value}" for name in TITLES for value in ATTRIBUTES[name]]


def show_map(atlas: Atlas) -> None:
    """Show the filter, the map, the chosen cell and the cells that match."""
    cell_map = get_map()
    wanted, types = _filter(cell_map)
    found = matching(cell_map, wanted, types)
    chosen = chosen_cell(cell_map)
    is_narrowed = len(found) < len(cell_map.cells)
    if not found:
        st.info(
            "No cell of the map has all of this. Remove a choice.", icon=":material/filter_alt:"
        )
    elif is_narrowed:
        counted = pd.Series([cell_map.cells[i].type for i in found]).value_counts()
        by_type = ", ".join(f"{label_name(key).lower()} {n}" for key, n in counted.items())
        st.markdown(f"**{number_of(len(found), 'cell')}**: {by_type}.")
    left, right = st.columns([2, 1], gap="medium")
    with left:
        _legend(cell_map)
        draw_map(cell_map, set(found), chosen)
        st.caption(
            f"{len(cell_map.cells):,} training cells (PBC, {len(cell_map.cells) // 8} of each "
            "type), laid out by the features of the cell classifier (t-SNE): close together is "
            f"similar to the model. Distances between groups mean nothing.{_trust()}"
        )
    with right:
        if chosen is None:
            st.info("Point at a cell to see it. Click it to open it.", icon=":material/ads_click:")
        else:
            show_cell(atlas, cell_map, chosen)
    if not pbc_if_here():
        offer_set("pbc", "explorer_pbc")
    if found:
        _list(cell_map, found)


def _trust() -> str:
    """Say how well the model reads attributes, as far as it was measured."""
    try:
        figures = load_report("wbc").metrics.attributes
    except ModelError:
        return ""
    if figures is None:
        return ""
    return (
        f" On {figures.n:,} test cells the model reads {100 * figures.mean.accuracy:.0f} % of the "
        "attributes as WBCAtt's readers did, the nucleus in "
        f"{100 * figures.per_attribute['nucleus_shape'].accuracy:.0f} %."
    )


def chosen_cell(cell_map: CellMap) -> int | None:
    """Return the index of the cell that the address names."""
    name = st.query_params.get("image")
    return next((i for i, cell in enumerate(cell_map.cells) if cell.name == name), None)


def _filter(cell_map: CellMap) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    if "value" in st.query_params:
        asked = st.query_params.pop("value")
        st.session_state["explorer_values"] = [asked] if asked in _VALUES else []
    first, second = st.columns(2)
    values: list[str] = first.multiselect(
        "Attributes, as the model reads them",
        _VALUES,
        format_func=_value_name,
        key="explorer_values",
        persist_state="session",
        placeholder="Irregular nucleus, coarse granules, …",
        help="Values of one attribute are alternatives; of several attributes, a cell has to have "
        "all. The model learnt the attributes on the five mature types: only these are found.",
    )
    present = [key for key in CELL_TYPES if any(c.type == key for c in cell_map.cells)]
    types: list[str] = second.multiselect(
        "Types", present, format_func=label_name, key="explorer_types", persist_state="session"
    )
    wanted: dict[str, tuple[str, ...]] = {}
    for asked in values:
        name, _, value = asked.partition(":")
        wanted[name] = (*wanted.get(name, ()), value)
    return wanted, tuple(types)


def _value_name(asked: str) -> str:
    name, _, value = asked.partition(":")
    return f"{TITLES[name]}: {in_words(name, [value])}"


def _legend(cell_map: CellMap) -> None:
    present = dict.fromkeys(cell.type for cell in cell_map.cells)
    dots = " ".join(
        f'<span style="display:inline-block;margin-right:.8rem"><span style="color:'
        f'{label_colour(key)}">●</span> {label_name(key)}</span>'
        for key in CELL_TYPES
        if key in present
    )
    st.html(f'<div style="font-size:.9rem">{dots}</div>')


def draw_map(
    cell_map: CellMap,
    shown: set[int],
    chosen: int | None = None,
    key: str = "explorer_map",
) -> None:
    """Draw the map; a click opens the cell."""
    types = list(CELL_TYPES)
    sheet = map_sheet(_COLUMNS, _TILE)

    def picked(index: Any) -> None:
        if isinstance(index, int) and 0 <= index < len(cell_map.cells):
            st.query_params["image"] = cell_map.cells[index].name

    data: Mapping[str, Any] = {
        "title": f"Map of {len(cell_map.cells)} cells by type; the list below says the same",
        "x": [round(cell.x, 4) for cell in cell_map.cells],
        "y": [round(cell.y, 4) for cell in cell_map.cells],
        "types": [types.index(cell.type) for cell in cell_map.cells],
        "names": [_tip(cell) for cell in cell_map.cells],
        "colours": [label_colour(cell_type) for cell_type in types],
        "shown": [index in shown for index in range(len(cell_map.cells))],
        "chosen": chosen,
        "sprite": data_uri(sheet) if sheet else None,
        "columns": _COLUMNS,
    }
    mount("cell_map", key, data, picked=picked)


def _tip(cell: MapCell) -> str:
    lines = [label_name(cell.entry), cell.name]
    if cell.attributes:
        lines.append(f"Nucleus: {in_words('nucleus_shape', [cell.attributes['nucleus_shape']])}")
        lines.append(f"Granules: {in_words('granule_type', [cell.attributes['granule_type']])}")
    return "\n".join(lines)


def show_cell(atlas: Atlas, cell_map: CellMap, index: int) -> None:
    """Show one cell of the map with its attributes and where to read on."""
    cell = cell_map.cells[index]
    entry = atlas.entries[cell.entry]
    with st.container(border=True):
        st.markdown(f"**{entry.name}** · {cell.name}")
        if jpeg := member_jpeg(cell.member, MEDIUM):
            embed_image(jpeg, width=260, alt=f"Real cell: {entry.name}")
            st.caption(CREDIT)
        if cell.attributes:
            st.table(
                {TITLES[a]: in_words(a, [cell.attributes[a]]) for a in TITLES},
                border="horizontal",
                alt=f"Attributes of {cell.name}",
            )
            st.caption("As the model reads them. The type is PBC's label.")
        else:
            st.caption("PBC's label. WBCAtt describes no cells of this type by attributes.")
        st.page_link(
            "pages/atlas.py",
            label=f"Read about the {entry.phrase}",
            icon=":material/menu_book:",
            query_params={"cell": entry.key},
        )
        if jpeg:
            st.page_link(
                EXPLAIN,
                label="Explain this cell",
                icon=":material/psychology:",
                query_params={"image": cell.name},
            )


def _list(cell_map: CellMap, found: list[int]) -> None:
    """List cells that match, as pictures where they are here: the map without a pointer."""
    # Not the first ones, which are of one type.
    step = max(1, len(found) // _SHOWN)
    some = found[::step][:_SHOWN]
    st.header("Some of these cells" if len(found) > len(some) else "These cells")
    if not pbc_if_here():
        cells = [cell_map.cells[i] for i in some]
        rows = [
            {"Cell": cell.name, "Type": label_name(cell.entry)}
            | {TITLES[a]: in_words(a, [v]) for a, v in cell.attributes.items()}
            for cell in cells
        ]
        data_table(pd.DataFrame(rows), alt="Cells of the map")
        return
    with st.grid("auto", min_column_width=120):
        for index in some:
            cell = cell_map.cells[index]
            with st.container(gap="xsmall"):
                if jpeg := member_jpeg(cell.member):
                    embed_image(jpeg, width="stretch", alt=f"{label_name(cell.entry)}, {cell.name}")
                st.page_link(
                    PAGE,
                    label=label_name(cell.entry),
                    query_params={"view": "map", "image": cell.name},
                )
    st.caption(CREDIT)
