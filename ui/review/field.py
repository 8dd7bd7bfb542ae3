"""The field image of a case: inspect a cell, add a missed one, remove a false one."""

from dataclasses import replace
from statistics import median
from typing import Any

import streamlit as st
from pydantic import ValidationError

from core.cases.records import Case, MissedCell, SampleField
from core.domain.boxes import Box
from core.domain.results import Cell
from core.domain.taxonomy import CELL_TYPES, NOT_A_WHITE_CELL, STATUS_LINES, label_name
from core.errors import LeukoscopeError
from core.imaging.overlay import CELL_COLOUR, NUCLEUS_COLOUR
from core.imaging.segmentation import SegmentationMethod
from core.inference.cell_classifier import ASSUMED_CELL_MICROMETRES
from ui.components.light import is_light_corrected, light_toggle
from ui.components.segmentation import choose_method, chosen_method, measures_table
from ui.components.shared import plain
from ui.review.browser import Mode, Picked, Placed, field_component
from ui.review.images import (
    LARGE,
    cell_jpeg,
    data_uri,
    field_jpeg,
    outlined_cell,
    outlined_field,
)
from ui.review.session import ReviewSession, review_button, run_review

MODES: dict[Mode, str] = {
    "inspect": ":material/touch_app: Inspect",
    "add": ":material/add_circle: Add a missed cell",
    "remove": ":material/remove_circle: Remove a false one",
}
HINTS: dict[Mode, str] = {
    "inspect": "Click a cell to inspect it. Drag to move, scroll to zoom, double-click to reset.",
    "add": "Click the centre of a missed white cell, or draw a box around it.",
    "remove": "Click a box that is not a white cell. It stays as a dotted box and is not counted.",
}
FIELDS = "Fields"
"""The view of the page that shows fields."""
PICKED = "review_picked"


def field_key(sample_id: int) -> str:
    """Return the key of the chosen field of a sample, which is counted from 0."""
    return f"review_field_{sample_id}"


def show_fields(session: ReviewSession, case: Case) -> None:
    """Show one field of a case with its white cells."""
    if not case.fields:
        st.info("No field is stored in this case.", icon=":material/image_not_supported:")
        return
    barred = session.why_not(case.sample)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        index = st.selectbox(
            f"Field (of {len(case.fields)})",
            range(len(case.fields)),
            format_func=lambda i: f"{i + 1} · {case.fields[i].analysis.title}",
            key=field_key(case.sample.id),
            persist_state="session",
            width=320,
        )
        mode: Mode = st.segmented_control(
            "What a click does",
            list(MODES),
            format_func=MODES.__getitem__,
            default="inspect",
            required=True,
            key="review_mode",
            persist_state="session",
            disabled=barred is not None,
            wrap=True,
        )
    if barred:
        mode = "inspect"
    stored = case.fields[index]
    label = "neutrophil"
    if mode == "add":
        label = st.selectbox(
            "Type of the added cell",
            list(CELL_TYPES),
            format_func=label_name,
            key="review_added_type",
            persist_state="session",
            width=320,
        )
    drawing, aside = st.columns([2.2, 1])
    with drawing:
        try:
            _draw(session, case, stored, mode, label)
        except LeukoscopeError as error:
            st.error(plain(str(error)), icon=":material/error:")
            return
        st.caption(HINTS[mode])
    with aside:
        if mode == "add":
            _add_by_numbers(session, case, stored, label)
        else:
            _show_picked(session, case, stored, mode, barred)


def _outlines(stored: SampleField, method: SegmentationMethod) -> list[dict[str, str]]:
    """Return the outlines of cells and nuclei as the component draws them."""
    found = outlined_field(stored.id, stored.analysis, method)
    return [
        {"colour": colour, "points": " ".join(f"{x:.1f},{y:.1f}" for x, y in line[::2])}
        for cell in found.values()
        for colour, mask in (
            (CELL_COLOUR, cell.segmentation.cell),
            (NUCLEUS_COLOUR, cell.segmentation.nucleus),
        )
        for line in cell.segmentation.outlines(mask)
    ]


def _draw(session: ReviewSession, case: Case, stored: SampleField, mode: Mode, label: str) -> None:
    analysis = stored.analysis
    light_toggle()
    method = choose_method()
    cells = []
    for number, cell in analysis.white_cells():
        box, cell_id = cell.box, stored.cell_ids[number - 1]
        line = STATUS_LINES[cell.status]
        counts_as = _counts_as(cell)
        cells.append(
            {
                "id": cell_id,
                "number": str(number),
                "box": list(box.xywh),
                "colour": cell.colour,
                "dashes": " ".join(f"{2 * length:g}" for length in line.dashes),
                "title": f"Cell {number}, {counts_as}",
            }
        )
    field_component(
        f"review_field_component_{stored.id}",
        {
            "sample": case.sample.id,
            "version": case.sample.version,
            "field": stored.id,
            "mode": mode,
            "title": f"Field {analysis.title} with {len(cells)} boxed white cells",
            "src": data_uri(field_jpeg(stored.id, is_light_corrected())),
            "outlines": _outlines(stored, method) if method else [],
            "width": analysis.width,
            "height": analysis.height,
            "diameter": usual_diameter(stored),
            "chosen": st.session_state.get(PICKED),
            "cells": cells,
        },
        on_picked=lambda message: pick(session, case, message),
        on_placed=lambda message: place_cell(session, case, label, message),
    )


def pick(session: ReviewSession, case: Case, message: Any) -> None:
    """Show or remove the clicked cell, if the message is valid and of this case."""
    try:
        picked = Picked.model_validate(message)
    except ValidationError:
        return
    if picked.sample != case.sample.id:
        return
    if picked.mode == "remove":
        seen = replace(case.sample, version=picked.version)
        session.name_cells(seen, {picked.id: NOT_A_WHITE_CELL})
    else:
        st.session_state[PICKED] = picked.id


def place_cell(session: ReviewSession, case: Case, label: str, message: Any) -> None:
    """Add the marked cell, if the message is valid and of this case."""
    try:
        placed = Placed.model_validate(message)
    except ValidationError:
        return
    if placed.sample == case.sample.id:
        seen = replace(case.sample, version=placed.version)
        box = Box(placed.x, placed.y, placed.width, placed.height)
        session.add_cell(seen, MissedCell(placed.field, box, label))


def usual_diameter(stored: SampleField) -> float:
    """Return the diameter in pixels of an added cell: the median of the field's white cells."""
    found = [cell.box.diameter for _, cell in stored.analysis.white_cells()]
    if found:
        return median(found)
    scale = stored.analysis.scale
    if scale:
        return ASSUMED_CELL_MICROMETRES / scale.micrometres_per_pixel
    return min(stored.analysis.width, stored.analysis.height) / 8


def _add_by_numbers(session: ReviewSession, case: Case, stored: SampleField, label: str) -> None:
    """Offer to add a cell by coordinates, without a pointer."""
    analysis, usual = stored.analysis, usual_diameter(stored)
    across, down, size = (f"review_add_{name}_{stored.id}" for name in ("x", "y", "diameter"))

    def add() -> None:
        x, y, diameter = (st.session_state[key] for key in (across, down, size))
        box = Box(x - diameter / 2, y - diameter / 2, diameter, diameter)
        session.add_cell(case.sample, MissedCell(stored.id, box, label))

    with st.form("review_add_form", border=True):
        st.markdown("**By coordinates**, in pixels of the image")
        for name, key, least, most, first in (
            ("Centre, from the left", across, 0, analysis.width, analysis.width // 2),
            ("Centre, from the top", down, 0, analysis.height, analysis.height // 2),
            ("Diameter", size, 4, max(analysis.width, analysis.height), round(usual)),
        ):
            st.number_input(name, least, most, first, key=key)
        st.form_submit_button(
            f"Add {label_name(label).lower()}",
            icon=":material/add_circle:",
            on_click=run_review,
            args=(add,),
        )


def _show_picked(
    session: ReviewSession, case: Case, stored: SampleField, mode: Mode, barred: str | None
) -> None:
    """Show one cell of the field, and let the reader label it."""
    numbers = {
        cell_id: number for number, cell_id in enumerate(stored.cell_ids, 1) if cell_id is not None
    }
    if not numbers:
        st.info("No white cell was found in this field.", icon=":material/search_off:")
        return
    if st.session_state.get(PICKED) not in numbers:
        st.session_state[PICKED] = None
    chosen = st.selectbox(
        "Cell",
        list(numbers),
        index=None,
        format_func=lambda cell_id: str(numbers[cell_id]),
        placeholder="Click a cell, or choose its number",
        key=PICKED,
    )
    if chosen is None:
        return
    cell = stored.analysis.cells[numbers[chosen] - 1]
    scale = stored.analysis.scale.micrometres_per_pixel if stored.analysis.scale else None
    corrected, method = is_light_corrected(), chosen_method()
    outlined = method and outlined_cell(stored.id, cell.box, scale, method, corrected)
    st.image(
        outlined.jpeg if outlined else cell_jpeg(stored.id, cell.box, scale, LARGE, corrected),
        width="stretch",
        alt=f"Cell {numbers[chosen]}",
    )
    if method:
        measures_table(outlined.measures if outlined else None, has_scale=scale is not None)
    named = f", labelled by {plain(cell.reviewer)}" if cell.reviewer else ""
    st.markdown(f"**{_counts_as(cell).capitalize()}**{named}")
    if mode == "remove":
        review_button(
            "Remove this cell",
            "review_remove",
            lambda: session.name_cells(case.sample, {chosen: NOT_A_WHITE_CELL}),
            icon=":material/remove_circle:",
            disabled=barred is not None,
        )
        return
    label = st.selectbox(
        "Label",
        (*CELL_TYPES, NOT_A_WHITE_CELL),
        index=None,
        format_func=label_name,
        placeholder="Choose a type",
        key=f"review_name_{chosen}",
        disabled=barred is not None,
    )
    review_button(
        "Save",
        "review_name",
        lambda: session.name_cells(case.sample, {chosen: str(label)}),
        icon=":material/check:",
        type="primary",
        disabled=barred is not None or label is None,
    )


def _counts_as(cell: Cell) -> str:
    if cell.duplicate:
        return "counted in another field that shows the same cell"
    if cell.status == "out_of_scope":
        return "not a white cell"
    name = cell.type_name.lower()
    return f"uncertain, perhaps {name}" if cell.status == "uncertain" else name
