"""Pictures of the atlas, drawn once for all users."""

import streamlit as st

from core.datasets.readers import DataSet, open_set
from core.imaging.preview import preview_jpeg
from core.synthetic.portraits import draw_portrait
from core.teaching.atlas import Entry
from core.teaching.figures import with_labels
from core.teaching.reference_cells import read_cell, typical_examples

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


@st.cache_data(max_entries=60, show_spinner=False)
def real_jpegs(_cells: DataSet, _entry: Entry, key: str, count: int, size: int) -> list[bytes]:
    """Return typical real cells of an entry; none where the set has none."""
    del key  # names the entry for the cache
    examples = typical_examples(_cells, _entry, count)
    return [preview_jpeg(read_cell(_cells, example, size)) for example in examples]
