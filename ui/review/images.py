"""Images of stored fields and cells, cached for all users."""

import base64
from collections.abc import Sequence

import streamlit as st

from core.cases.database import get_database
from core.cases.reviews import labelled_cells
from core.cases.samples import load_image
from core.charts.cell_images import cell_image, surroundings, synthetic_cells
from core.domain.boxes import Box
from core.domain.results import FieldAnalysis, FieldImage, Pixels
from core.errors import PictureMissingError
from core.imaging.illumination import flatten
from core.imaging.overlay import cam_overlay
from core.imaging.preview import preview_jpeg
from core.imaging.scale import is_whole
from core.imaging.segmentation import SegmentationMethod, segment_cell
from core.inference.cell_classifier import CellRegion
from core.inference.explain import explain_cell
from core.inference.pipeline import get_analyzer
from ui.components.segmentation import SegmentedCell, boxes_of, segmented_cell, segmented_cells

LARGE, SMALL = 480, 128
"""Pixels a side of the cell under review, and of cells in rows and galleries."""
REFERENCES = 4
_FIELDS, _CELLS = 8, 4000
KEPT = "1h"
"""Images of a deleted patient must not stay in memory."""


@st.cache_resource(max_entries=_FIELDS, ttl=KEPT, show_spinner=False)
def field_image(field_id: int) -> FieldImage:
    """Return a stored field. Raises as `core.cases.samples.load_image`."""
    return load_image(get_database(), field_id)


@st.cache_resource(max_entries=_FIELDS, ttl=KEPT, show_spinner=False)
def _corrected_pixels(field_id: int) -> Pixels:
    return flatten(field_image(field_id).pixels)


def field_pixels(field_id: int, corrected: bool) -> Pixels:
    """Return the pixels of a stored field, light-corrected or as taken."""
    return _corrected_pixels(field_id) if corrected else field_image(field_id).pixels


@st.cache_data(max_entries=_FIELDS, ttl=KEPT, show_spinner=False)
def field_jpeg(field_id: int, corrected: bool) -> bytes:
    """Return a small copy of a stored field, light-corrected or as taken."""
    return preview_jpeg(field_pixels(field_id, corrected))


@st.cache_data(max_entries=_CELLS, ttl=KEPT, show_spinner=False)
def cell_jpeg(
    field_id: int, box: Box, micrometres_per_pixel: float | None, size: int, corrected: bool
) -> bytes:
    """Return a cell at the scale that all cells share, light-corrected or as taken."""
    pixels = field_pixels(field_id, corrected)
    return preview_jpeg(cell_image(pixels, box, micrometres_per_pixel, size))


@st.cache_data(max_entries=_FIELDS, ttl=KEPT, show_spinner=False)
def surroundings_jpeg(
    field_id: int, box: Box, micrometres_per_pixel: float | None, corrected: bool
) -> tuple[bytes, float]:
    """Return a cell among its neighbours, and the side of that image in µm."""
    pixels = field_pixels(field_id, corrected)
    shown, side = surroundings(pixels, box, micrometres_per_pixel, LARGE)
    return preview_jpeg(shown), side


@st.cache_resource(
    max_entries=_FIELDS,
    ttl=KEPT,
    show_spinner="Outlining the cells",
    hash_funcs={FieldAnalysis: boxes_of},
)
def outlined_field(
    field_id: int, analysis: FieldAnalysis, method: SegmentationMethod
) -> dict[int, SegmentedCell]:
    """Return the segmented white cells of a stored field, by number."""
    return segmented_cells(field_image(field_id).pixels, analysis, method, corrected=True)


@st.cache_resource(max_entries=4 * _FIELDS, ttl=KEPT, show_spinner=False)
def outlined_cell(
    field_id: int,
    box: Box,
    micrometres_per_pixel: float | None,
    method: SegmentationMethod,
    corrected: bool,
) -> SegmentedCell | None:
    """Return a segmented cell, drawn over the image light-corrected or as taken.

    None when no nucleus was found, or the edge of the image truncates the cell.
    """
    even = field_pixels(field_id, True)
    height, width = even.shape[:2]
    segmentation = segment_cell(even, box, method) if is_whole(box, width, height) else None
    if segmentation is None:
        return None
    shown = field_pixels(field_id, corrected)
    return segmented_cell(shown, box, segmentation, micrometres_per_pixel)


@st.cache_data(max_entries=_FIELDS, ttl=KEPT, show_spinner=False)
def cam_jpeg(field_id: int, box: Box, micrometres_per_pixel: float | None, cell_type: str) -> bytes:
    """Return the model's input of a cell under the class activation map of a type.

    Raises ModelError.
    """
    region = CellRegion(box, micrometres_per_pixel)
    crop, cam = explain_cell(field_pixels(field_id, True), region, cell_type)
    return preview_jpeg(cam_overlay(crop, cam))


@st.cache_data(max_entries=_FIELDS, ttl=KEPT, show_spinner=False)
def cell_attributes(field_id: int, box: Box, micrometres_per_pixel: float | None) -> dict[str, str]:
    """Return the morphological attributes that the model predicts. Raises ModelError."""
    region = CellRegion(box, micrometres_per_pixel)
    prediction = get_analyzer().classifier.predict(field_pixels(field_id, True), region)
    return dict(prediction.attributes)


def reference_cells(
    cell_type: str, apart_from: int, corrected: bool
) -> tuple[Sequence[bytes], str]:
    """Return reference cells and what they are: reviewed cells, else synthetic ones."""
    labelled = labelled_cells(get_database(), cell_type, REFERENCES, apart_from=apart_from)
    found = []
    for cell in labelled:
        try:
            scale = cell.micrometres_per_pixel
            found.append(cell_jpeg(cell.field_id, cell.cell.box, scale, SMALL, corrected))
        except PictureMissingError:  # one lost image must not prevent the review of others
            continue
    if found:
        return found, "cells reviewed here"
    synthetic = synthetic_cells(cell_type, SMALL)[:REFERENCES]
    return [preview_jpeg(cell) for cell in synthetic], "synthetic cells"


def data_uri(jpeg: bytes) -> str:
    """Return a JPEG as a data URI."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
