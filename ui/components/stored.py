"""Images of stored fields and cells, cached for all users.

`corrected` images are light-corrected, others as taken. All functions raise as
`core.cases.samples.load_image`.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import streamlit as st

from core.cases.database import get_database
from core.cases.records import LabelledCell, QueuedCell, SampleField
from core.cases.samples import load_image
from core.domain.boxes import Box
from core.domain.results import Cell, FieldImage, Pixels
from core.errors import ProfileError
from core.imaging.illumination import flatten
from core.imaging.overlay import cam_overlay
from core.imaging.preview import preview_jpeg
from core.imaging.scale import is_whole
from core.imaging.segmentation import (
    CellSegmentation,
    SegmentationMethod,
    segment_cell,
    segment_field,
)
from core.inference.cell_classifier import CellRegion
from core.inference.explain import explain_cell
from core.inference.pipeline import get_analyzer, without_certain_cells
from core.inference.site_profile import load_profile
from ui.components.cell_images import cell_image, surroundings
from ui.components.fields import OutlinedCell, outlined_cell, segmentation_key

LARGE, MEDIUM, SMALL = 480, 224, 128
"""Pixels a side of the cell under review, of cells that can be enlarged, and of cells in rows."""


def _region(cell: LabelledCell) -> CellRegion:
    return CellRegion(cell.cell.box, cell.micrometres_per_pixel)


def _place(cell: LabelledCell) -> object:
    return cell.field_id, cell.cell.box.xywh, cell.micrometres_per_pixel


_FIELDS, _CELLS, _AROUND = 8, 4000, 200
"""Images that are kept of fields, of cells, and of cells among their neighbours."""
_KEPT = "1h"
"""Images of a deleted patient must not stay in memory."""
_BY: dict[str | type[Any], Callable[[Any], Any]] = {
    LabelledCell: _place,
    QueuedCell: _place,
    SampleField: lambda stored: (stored.id, segmentation_key(stored.analysis)),
}


@st.cache_resource(max_entries=_FIELDS, ttl=_KEPT, show_spinner=False, hash_funcs=_BY)
def _field_image(field_id: int) -> FieldImage:
    return load_image(get_database(), field_id)


@st.cache_resource(max_entries=_FIELDS, ttl=_KEPT, show_spinner=False, hash_funcs=_BY)
def _corrected_pixels(field_id: int) -> Pixels:
    return flatten(_field_image(field_id).pixels)


def _field_pixels(field_id: int, corrected: bool) -> Pixels:
    return _corrected_pixels(field_id) if corrected else _field_image(field_id).pixels


@st.cache_data(max_entries=_FIELDS, ttl=_KEPT, show_spinner=False, hash_funcs=_BY)
def field_jpeg(field_id: int, corrected: bool) -> bytes:
    """Return a small copy of a stored field."""
    return preview_jpeg(_field_pixels(field_id, corrected))


def field_size(field_id: int) -> tuple[int, int]:
    """Return width and height of a stored field in pixels."""
    height, width = _field_image(field_id).pixels.shape[:2]
    return width, height


@st.cache_data(max_entries=_CELLS, ttl=_KEPT, show_spinner=False, hash_funcs=_BY)
def cell_jpeg(cell: LabelledCell, size: int, corrected: bool) -> bytes:
    """Return a cell at the scale that all cells share."""
    pixels = _field_pixels(cell.field_id, corrected)
    return preview_jpeg(cell_image(pixels, cell.cell.box, cell.micrometres_per_pixel, size))


@st.cache_data(max_entries=_AROUND, ttl=_KEPT, show_spinner=False, hash_funcs=_BY)
def surroundings_jpeg(cell: LabelledCell, corrected: bool) -> tuple[bytes, float]:
    """Return a cell among its neighbours, and the side of that image in µm."""
    pixels = _field_pixels(cell.field_id, corrected)
    shown, side = surroundings(pixels, cell.cell.box, cell.micrometres_per_pixel, LARGE)
    return preview_jpeg(shown), side


@st.cache_resource(
    max_entries=_FIELDS, ttl=_KEPT, show_spinner="Outlining the cells", hash_funcs=_BY
)
def segmented_field(stored: SampleField, method: SegmentationMethod) -> dict[int, CellSegmentation]:
    """Return nucleus and cell of the white cells of a field, by number."""
    return segment_field(_corrected_pixels(stored.id), stored.analysis, method)


@st.cache_resource(max_entries=32, ttl=_KEPT, show_spinner=False, hash_funcs=_BY)
def outlined(
    cell: LabelledCell, method: SegmentationMethod, corrected: bool
) -> OutlinedCell | None:
    """Return a cell with its outlines.

    None when no nucleus was found, or the edge of the image truncates the cell.
    """
    even, box = _corrected_pixels(cell.field_id), cell.cell.box
    height, width = even.shape[:2]
    segmentation = segment_cell(even, box, method) if is_whole(box, width, height) else None
    if segmentation is None:
        return None
    shown = _field_pixels(cell.field_id, corrected)
    return outlined_cell(shown, box, segmentation, cell.micrometres_per_pixel)


@st.cache_data(max_entries=_FIELDS, ttl=_KEPT, show_spinner=False, hash_funcs=_BY)
def cam_jpeg(cell: LabelledCell, cell_type: str) -> bytes:
    """Return the model's input of a cell under the class activation map of a type.

    Raises ModelError.
    """
    crop, cam = explain_cell(_corrected_pixels(cell.field_id), _region(cell), cell_type)
    return preview_jpeg(cam_overlay(crop, cam))


@st.cache_data(max_entries=_FIELDS, ttl=_KEPT, show_spinner=False, hash_funcs=_BY)
def cell_attributes(cell: LabelledCell) -> dict[str, str]:
    """Return the morphological attributes that the model predicts. Raises ModelError."""
    pixels = _corrected_pixels(cell.field_id)
    return dict(get_analyzer().classifier.predict(pixels, _region(cell)).attributes)


def typed_cells(stored: SampleField, boxes: Sequence[Box]) -> tuple[Cell, ...]:
    """Return white cells in boxes that a reviewer drew, typed as the others of the field.

    Nothing is classified when the site profile of the field is no longer there. Raises ModelError.
    """
    analyzer, wanted, profile = get_analyzer(), stored.analysis.profile, None
    if wanted is not None:
        with suppress(ProfileError):
            found = load_profile(wanted.rpartition(" v")[0], analyzer.classifier.model_sha256)
            profile = found if found.title == wanted else None
    header, pixels = _field_image(stored.id).micrometres_per_pixel, _corrected_pixels(stored.id)
    cells = analyzer.type_boxes(stored.analysis, header, pixels, boxes, profile)
    version = analyzer.versions["wbc"]
    if version != stored.models.get("wbc"):
        cells = tuple(replace(cell, typed_by=version) for cell in cells)
    return cells if wanted is None or profile is not None else without_certain_cells(cells)
