"""Regions that were drawn in QuPath, with a count of each; cells for QuPath."""

import pandas as pd
import streamlit as st

from core.cases.records import PlacedComment
from core.domain.differential import differential_of_counts
from core.domain.results import CellCounts, FieldAnalysis
from core.domain.taxonomy import CELL_TYPES
from core.errors import GeoJSONError
from core.exports.geojson import MEDIA_TYPE, Region, cells_geojson, read_regions
from ui.components.shared import data_table, plain

_FILE = "slide_regions_"
"""Key of the file of a slide, before its id."""


def regions_of(slide_id: str) -> list[Region]:
    """Return the regions in the file that was given for a slide; none of a file without any."""
    uploaded = st.session_state.get(f"{_FILE}{slide_id}")
    if uploaded is None:
        return []
    try:
        return _read(uploaded.getvalue())
    except GeoJSONError:
        return []


@st.cache_resource(max_entries=4, ttl="1h", show_spinner=False)
def _read(data: bytes) -> list[Region]:
    return read_regions(data)


def show_regions(
    slide_id: str, analysis: FieldAnalysis | None, comments: list[PlacedComment]
) -> None:
    """Ask for regions, count the cells in each, and offer cells and comments as GeoJSON."""
    with st.expander("QuPath: regions and cells", icon=":material/pentagon:"):
        uploaded = st.file_uploader(
            "Regions (GeoJSON)",
            ["geojson", "json"],
            key=f"{_FILE}{slide_id}",
            help="Annotations that QuPath exported for this slide. They are shown in this session "
            "and not stored.",
        )
        if uploaded is not None:
            try:
                data_table(_counts(_read(uploaded.getvalue()), analysis), alt="Cells by region")
            except GeoJSONError as error:
                st.error(plain(str(error)), icon=":material/error:")
        remarks = [
            (placed.comment.place["x"], placed.comment.place["y"], placed.comment.text)
            for placed in comments
            if placed.comment.place
        ]
        if (analysis is None or not analysis.white_cells()) and not remarks:
            st.caption("Once cells are counted, they can be opened in QuPath too.")
            return
        st.download_button(
            "Cells as GeoJSON",
            lambda: cells_geojson(analysis, remarks),
            "cells.geojson",
            MEDIA_TYPE,
            icon=":material/download:",
            on_click="ignore",
            key="slide_cells_geojson",
            help="Detections with their type, and comments at places, for QuPath.",
        )


def _counts(regions: list[Region], analysis: FieldAnalysis | None) -> pd.DataFrame:
    """Return a row a region: its classified and uncertain cells, and the types that it has."""
    rows = []
    for region in regions:
        counts = CellCounts().add(region.cells(analysis.cells if analysis else ()))
        counted = differential_of_counts(counts.types, counts.uncertain)
        named = {CELL_TYPES[key].plural: counts.types[key] for key in CELL_TYPES}
        types = {name: number for name, number in named.items() if number}
        rows.append(
            {"Region": region.name, "Classified": counted.total, "Uncertain": counts.uncertain}
            | types
        )
    return pd.DataFrame(rows).fillna(0).convert_dtypes()
