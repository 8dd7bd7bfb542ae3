"""Outlines of nucleus and cell, and their measures."""

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from core.domain.boxes import Box
from core.domain.results import FieldAnalysis, Pixels
from core.imaging.illumination import flatten
from core.imaging.overlay import segmentation_overlay
from core.imaging.preview import preview_jpeg
from core.imaging.segmentation import (
    METHODS,
    CellMeasures,
    CellSegmentation,
    SegmentationMethod,
    measure_cell,
    segment_field,
)

LEGEND = "Yellow: nucleus. Green: cell. Thresholds of colour draw these outlines, no model."


_KEY = "segmentation_method"
_SIDE = 320
"""Pixels a side of the image of an outlined cell."""


@dataclass(frozen=True, eq=False)
class SegmentedCell:
    """A cell with its outlines."""

    segmentation: CellSegmentation
    measures: CellMeasures
    jpeg: bytes
    """The cell with its outlines drawn on it."""


def segmented_cell(
    shown: Pixels, box: Box, segmentation: CellSegmentation, micrometres_per_pixel: float | None
) -> SegmentedCell:
    """Return a segmented cell drawn over the image that is `shown`."""
    return SegmentedCell(
        segmentation,
        measure_cell(segmentation, micrometres_per_pixel),
        preview_jpeg(segmentation_overlay(shown, box, segmentation, _SIDE)),
    )


def segmented_cells(
    pixels: Pixels, analysis: FieldAnalysis, method: SegmentationMethod, *, corrected: bool
) -> dict[int, SegmentedCell]:
    """Return the segmented white cells of an image as taken, by number.

    They are drawn over the image as taken, or as `corrected`.
    """
    even = flatten(pixels)
    scale = analysis.scale.micrometres_per_pixel if analysis.scale else None
    return {
        number: segmented_cell(
            even if corrected else pixels, analysis.cells[number - 1].box, one, scale
        )
        for number, one in segment_field(even, analysis, method).items()
    }


def outlines(cells: Mapping[int, SegmentedCell]) -> list[CellSegmentation]:
    """Return what `field_figure` draws."""
    return [cell.segmentation for cell in cells.values()]


def boxes_of(analysis: FieldAnalysis) -> object:
    """Return what the segmentation of an image depends on, for caches."""
    scale = analysis.scale.micrometres_per_pixel if analysis.scale else None
    return analysis.identity, [(c.kind, c.status, c.box.xywh) for c in analysis.cells], scale


def choose_method() -> SegmentationMethod | None:
    """Let the reader choose how nucleus and cell are outlined; None: they are not."""
    method: SegmentationMethod | None = st.segmented_control(
        "Outline nucleus and cell",
        list(METHODS),
        format_func=METHODS.__getitem__,
        key=_KEY,
        persist_state="session",
        help="Two independent methods. Where they disagree, do not rely on the measures. Press "
        "the chosen method again to hide the outlines.",
    )
    return method


def chosen_method() -> SegmentationMethod | None:
    """Return what `choose_method` let the reader choose."""
    method: SegmentationMethod | None = st.session_state.get(_KEY)
    return method


def measures_table(measures: CellMeasures | None, *, has_scale: bool) -> None:
    """Show the measures of a cell; None when it has none."""
    if measures is None:
        st.caption("Not measured: no nucleus was found, or the image cuts the cell off.")
        return
    unit = "µm²" if has_scale else "px²"
    ratio = measures.nucleus_cytoplasm_ratio
    st.table(
        {
            "Nuclear area": f"{measures.nucleus_area:,.1f} {unit}",
            "Cell area": f"{measures.cell_area:,.1f} {unit}",
            "Nucleus-cytoplasm ratio": f"{ratio:.2f}" if ratio < 100 else "no cytoplasm seen",
            "Nuclear roundness": f"{measures.nucleus_roundness:.2f} of 1",
            "Lobes": str(measures.lobes),
        },
        border="horizontal",
    )
    st.caption(LEGEND)
