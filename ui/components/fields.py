"""How a field is shown: which one, which cells, its light, its outlines, and the drawing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.domain.boxes import Box
from core.domain.probability import probability_text
from core.domain.results import Cell, FieldAnalysis, Pixels
from core.domain.taxonomy import CELL_KINDS, CELL_TYPES, KIND_NAMES, CellKind, label_name
from core.imaging.overlay import segmentation_overlay
from core.imaging.preview import preview_jpeg
from core.imaging.segmentation import (
    METHODS,
    CellMeasures,
    CellSegmentation,
    SegmentationMethod,
    measure_cell,
)
from ui.components import shared
from ui.components.browser import mount

_LIGHT = "light_corrected"
_LEAST_SHOWN = 0.01
"""Probability below which a type is not listed."""
_OUTLINED_SIDE = 320
"""Pixels a side of the image of an outlined cell."""


def choose_field(titles: Sequence[str], key: str) -> int:
    """Let the reader step through fields when there are several; return the index of one."""
    if len(titles) == 1:
        return 0
    last = len(titles) - 1
    index = min(st.session_state.get(key) or 0, last)
    st.session_state[key] = index

    def step(by: int) -> None:
        st.session_state[key] = min(max(st.session_state[key] + by, 0), last)

    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen: int = st.selectbox(
            f"Field (of {len(titles)})",
            range(len(titles)),
            format_func=lambda i: f"{i + 1} · {titles[i]}",
            key=key,
            persist_state="session",
            width=420,
        )
        step_buttons(key, index, last, step)
    return chosen


def step_buttons(
    key: str, index: int, last: int, step: Callable[[int], None], *, by_arrows: bool = False
) -> None:
    """Draw buttons to the item before and after; with `by_arrows` the arrow keys press them."""
    for label, arrow, by, end in (("Previous", "Left", -1, 0), ("Next", "Right", 1, last)):
        st.button(
            label,
            key=f"{key}_{label.lower()}",
            icon=f":material/chevron_{arrow.lower()}:",
            shortcut=arrow if by_arrows else None,
            on_click=step,
            args=(by,),
            disabled=index == end,
        )


def choose_kinds(analysis: FieldAnalysis, key: str) -> list[CellKind]:
    """Let the reader add red cells and platelets to the white cells that are drawn."""
    return [
        kind
        for kind in CELL_KINDS
        if kind == "wbc"
        or st.checkbox(
            f"Show {KIND_NAMES[kind].lower()}s ({analysis.counts.kinds[kind]})",
            key=f"{key}_{kind}",
            persist_state="session",
        )
    ]


def light_toggle() -> bool:
    """Draw the toggle with its explanation; return whether images are shown light-corrected."""
    return st.toggle(
        "Light corrected",
        True,
        key=_LIGHT,
        persist_state="session",
        help="Each colour channel is divided by its estimated background: the light is even and "
        "empty glass nearly white. Off: the image as taken.",
    )


def is_light_corrected() -> bool:
    """Return what the toggle says; light-corrected where none was drawn yet."""
    return bool(st.session_state.get(_LIGHT, True))


def show_drawing(
    drawing: Mapping[str, Any],
    key: str,
    clicked: Callable[[int], None] | None = None,
    *,
    chosen: int | None = None,
    room: str | None = None,
) -> None:
    """Draw a `field_drawing` that can be zoomed and moved.

    `clicked` receives the number of the clicked white cell; `chosen` is framed. `room` is the most
    height as a CSS length.
    """
    numbers = {cell["id"] for cell in drawing["cells"] if cell["number"]}

    def picked(message: object) -> None:
        if not (clicked and isinstance(message, dict) and message.get("field") == drawing["field"]):
            return  # another field came while the click was on its way
        number = message.get("id")
        if isinstance(number, int) and number in numbers:
            clicked(number)

    more = {"mode": "inspect" if clicked else None, "chosen": chosen, "room": room}
    mount("field", key, {**drawing, **more}, **({"picked": picked} if clicked else {}))


def show_warnings(analysis: FieldAnalysis) -> None:
    """Show the warnings of a field."""
    if analysis.qc_override:
        title = "Analysed against quality control"
        st.warning(analysis.qc_override, title=title, icon=":material/warning:")
    for sentence in analysis.warnings:
        st.warning(shared.plain(sentence), icon=":material/straighten:")


def show_cell_facts(cell: Cell, micrometres_per_pixel: float | None) -> None:
    """Show status, probabilities and measures of a white cell, and its attributes."""
    subtype = cell.likely_subtype
    for key, probability in sorted((cell.probabilities or {}).items(), key=lambda item: -item[1]):
        if probability >= _LEAST_SHOWN:
            text = shared.plain(probability_text(probability))
            st.progress(probability, f"{CELL_TYPES[key].name} {text}")
    diameter = micrometres_per_pixel and cell.box.diameter * micrometres_per_pixel
    rows = {
        "Status": cell.status.replace("_", " "),
        "Subtype": subtype and f"likely {label_name(subtype).lower()}",
        "Counted": "in another field that shows the same cell" if cell.duplicate else None,
        "Diameter": diameter and f"{diameter:.1f} µm",
        "Detection score": f"{100 * cell.detection_score:.0f} %",
        "Area": cell.poor_area and f"poor: {cell.poor_area}",
        "Appearance": "unlike the training images" if cell.in_distribution is False else None,
    }
    st.table({name: text for name, text in rows.items() if text}, border="horizontal")
    if cell.attributes:
        with st.expander("Attributes", icon=":material/list_alt:"):
            shared.attributes_table(cell.attributes)


def scale_text(analysis: FieldAnalysis) -> str:
    """Return the scale of a field and where it is from."""
    scale = analysis.scale
    return (
        f"{scale.micrometres_per_pixel:.3f} µm per px, from the {scale.source}"
        if scale
        else "unknown"
    )


def choose_method() -> SegmentationMethod | None:
    """Let the reader choose how nucleus and cell are outlined; None: they are not."""
    method: SegmentationMethod | None = st.selectbox(
        "Outline nucleus and cell",
        list(METHODS),
        index=None,
        placeholder="Not outlined",
        format_func=METHODS.__getitem__,
        key="segmentation_method",
        persist_state="session",
        help="Two independent methods. Where they disagree, do not rely on the measures.",
    )
    return method


@dataclass(frozen=True, eq=False)
class OutlinedCell:
    """A cell with its outlines."""

    segmentation: CellSegmentation
    measures: CellMeasures
    jpeg: bytes
    """The cell with its outlines drawn on it."""


def outlined_cell(
    pixels: Pixels, box: Box, segmentation: CellSegmentation, micrometres_per_pixel: float | None
) -> OutlinedCell:
    """Return a segmented cell, drawn over `pixels`."""
    return OutlinedCell(
        segmentation,
        measure_cell(segmentation, micrometres_per_pixel),
        preview_jpeg(segmentation_overlay(pixels, box, segmentation, _OUTLINED_SIDE)),
    )


def segmentation_key(analysis: FieldAnalysis) -> object:
    """Return what the segmentation of an image depends on, for caches."""
    cells = [(cell.kind, cell.status, cell.box.xywh) for cell in analysis.cells]
    return analysis.identity, cells, analysis.scale and analysis.scale.micrometres_per_pixel


def show_measures(outlined: OutlinedCell | None, *, has_scale: bool) -> None:
    """Show the measures of a cell; None when it could not be outlined."""
    if outlined is None:
        st.caption("Not measured: no nucleus was found, or the image cuts the cell off.")
        return
    measures, unit = outlined.measures, "µm²" if has_scale else "px²"
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
    st.caption("Yellow: nucleus. Green: cell. Thresholds of colour draw these outlines, no model.")
