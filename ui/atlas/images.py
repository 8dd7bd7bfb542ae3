"""Pictures of the atlas, drawn once for all users."""

import streamlit as st

from core.datasets.readers import DataSet, Example, open_set
from core.errors import DataError
from core.imaging.preview import preview_jpeg
from core.settings import get_settings
from core.synthetic.portraits import draw_portrait
from core.teaching.cell_map import get_map
from core.teaching.figures import with_labels
from core.teaching.reference_cells import (
    contact_sheet,
    examples_by_member,
    examples_with,
    read_cell,
)

SMALL, MEDIUM, LARGE = 224, 320, 640
"""Pixels a side."""
FIRST = 1
"""Seed of the picture that stands for an entry."""


@st.cache_data(max_entries=600, show_spinner=False)
def portrait_jpeg(
    key: str, seed: int = FIRST, size: int = SMALL, side: float | None = None
) -> bytes:
    """Return a synthetic picture of an entry."""
    return preview_jpeg(draw_portrait(key, seed, size, side).pixels)


@st.cache_data(max_entries=200, show_spinner=False)
def labelled_jpeg(
    key: str, seed: int = FIRST, size: int = LARGE, side: float | None = None, labels: bool = True
) -> tuple[bytes, list[str]]:
    """Return a picture with a scale bar and numbered labels, and what the numbers mean."""
    portrait = draw_portrait(key, seed, size, side)
    return preview_jpeg(with_labels(portrait, labels=labels)), list(portrait.notes)


@st.cache_resource(max_entries=1, show_spinner="Opening the real cells")
def open_pbc(data: str) -> DataSet:
    """Open PBC; `data` is its folder. Raises DataError."""
    del data
    return open_set("pbc")


def pbc_if_here() -> DataSet | None:
    """Open PBC; None where it is not on this machine or cannot be read."""
    try:
        return open_pbc(str(get_settings().data))
    except DataError:
        return None


@st.cache_resource(max_entries=1, show_spinner=False)
def _named(_cells: DataSet, data: str) -> dict[str, Example]:
    del data
    return examples_by_member(_cells)


def member_example(member: str) -> Example | None:
    """Return a real cell by the name of its image; None where it is not on this machine."""
    cells = pbc_if_here()
    return _named(cells, str(get_settings().data)).get(member) if cells else None


@st.cache_data(max_entries=400, show_spinner=False)
def _member_jpeg(_cells: DataSet, member: str, size: int) -> bytes | None:
    example = member_example(member)
    return preview_jpeg(read_cell(_cells, example, size)) if example else None


def member_jpeg(member: str, size: int = SMALL) -> bytes | None:
    """Return a picture of a real cell; None where it is not on this machine."""
    cells = pbc_if_here()
    return _member_jpeg(cells, member, size) if cells else None


@st.cache_data(max_entries=60, show_spinner=False)
def _value_jpegs(_cells: DataSet, attribute: str, value: str, count: int) -> list[bytes]:
    examples = examples_with(_cells, attribute, value, count)
    return [preview_jpeg(read_cell(_cells, example, SMALL)) for example in examples]


def value_jpegs(attribute: str, value: str, count: int) -> list[bytes]:
    """Return real cells labelled with a value; none where they are not on this machine."""
    cells = pbc_if_here()
    return _value_jpegs(cells, attribute, value, count) if cells else []


@st.cache_data(max_entries=1, show_spinner="Reading the cells of the map")
def _map_sheet(_cells: DataSet, columns: int, tile: int) -> bytes:
    members = [cell.member for cell in get_map().cells]
    return preview_jpeg(contact_sheet(_cells, members, columns, tile), columns * tile, 75)


def map_sheet(columns: int, tile: int) -> bytes | None:
    """Return all cells of the map on one sheet; None where they are not on this machine."""
    cells = pbc_if_here()
    return _map_sheet(cells, columns, tile) if cells else None
