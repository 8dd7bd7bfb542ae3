"""The field image of a case: inspect a cell, add, remove, move, resize and split cells."""

from math import sqrt
from statistics import median

import streamlit as st

from core.cases.cell_groups import case_cells
from core.cases.records import Case, LabelledCell, MissedCell, Sample, SampleField
from core.cases.reviews import LEAST_SIDE
from core.charts.field import field_drawing
from core.domain.boxes import LEAST_SHARE, Box, Direction, dividing_line, split_box
from core.domain.results import Cell
from core.domain.taxonomy import CELL_TYPES, NOT_A_WHITE_CELL, label_name
from core.errors import InvalidEntryError, NotFoundError
from core.imaging.segmentation import SegmentationMethod
from core.inference.cell_classifier import ASSUMED_CELL_MICROMETRES
from ui.components import fields
from ui.components.actions import run_action
from ui.components.cases import errors_shown
from ui.components.shared import plain
from ui.components.stored import LARGE, cell_jpeg, field_jpeg, outlined, segmented_field
from ui.review.session import (
    ACTION,
    Divided,
    Handler,
    Mode,
    Picked,
    Placed,
    Redrawn,
    ReviewSession,
    browser_component,
    handler,
    review_button,
)

MODES: dict[Mode, str] = {
    "inspect": ":material/touch_app: Inspect",
    "add": ":material/add_circle: Add a missed cell",
    "remove": ":material/remove_circle: Remove a false one",
    "move": ":material/open_with: Move or resize",
    "split": ":material/content_cut: Split",
}
HINTS: dict[Mode, str] = {
    "inspect": "Click a cell to inspect it. Drag to move, scroll to zoom, double-click to reset.",
    "add": "Click the centre of a missed white cell, or draw a box around it.",
    "remove": "Click a box that is not a white cell. It stays as a dotted box and is not counted.",
    "move": "Drag a box to move it. Click it, then drag a corner to resize it. The model types the "
    "cell again, unless a reviewer labelled it.",
    "split": "Draw a line between two touching cells that share a box. The model types "
    "each of them.",
}
DIRECTIONS: dict[str, Direction] = {
    "To the right of the first": (1, 0),
    "Below the first": (0, 1),
    "Below, to the right": (sqrt(0.5), sqrt(0.5)),
    "Above, to the right": (sqrt(0.5), -sqrt(0.5)),
}
"""Where the second of two cells in one box lies."""
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
    titles = [stored.analysis.title for stored in case.fields]
    stored = case.fields[fields.choose_field(titles, field_key(case.sample.id))]
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
    with errors_shown(end_page=True):
        with drawing:
            corrected, method = fields.light_toggle(), fields.choose_method()
            browser_component(
                "field",
                f"review_field_component_{stored.id}",
                case.sample,
                _drawing(stored, mode, corrected, method),
                picked=handle_picked(session, case.sample),
                placed=handle_placed(session, case.sample, label),
                redrawn=handle_redrawn(session, case.sample, stored),
                divided=handle_divided(session, case.sample, stored),
            )
            st.caption(HINTS[mode])
        with aside:
            if mode == "add":
                _add_by_numbers(session, case.sample, stored, label)
            else:
                cells = [cell for cell in case_cells(case) if cell.field_id == stored.id]
                chosen = _choose_cell(cells)
                if chosen:
                    _show_cell(chosen, corrected, method)
                    if mode == "move":
                        _move_by_numbers(session, case.sample, stored, chosen)
                    elif mode == "split":
                        _split_by_numbers(session, case.sample, stored, chosen)
                    else:
                        _label_cell(session, case.sample, chosen, mode, barred)


def _drawing(
    stored: SampleField, mode: Mode, corrected: bool, method: SegmentationMethod | None
) -> dict[str, object]:
    """Return what the component draws: the image, its white cells and their outlines."""
    analysis = stored.analysis
    segmented = segmented_field(stored, method).values() if method else ()
    drawing = field_drawing(field_jpeg(stored.id, corrected), analysis, segmented=segmented)
    cells = dict(analysis.white_cells())
    return {
        **drawing,
        "cells": [
            {
                **drawn,
                "id": stored.cell_ids[drawn["id"] - 1],
                "title": f"Cell {drawn['number']}, {_counts_as(cells[drawn['id']])}",
            }
            for drawn in drawing["cells"]
        ],
        "field": stored.id,
        "mode": mode,
        "diameter": usual_diameter(stored),
        "least": LEAST_SIDE,
        "chosen": st.session_state.get(PICKED),
    }


def handle_picked(session: ReviewSession, sample: Sample) -> Handler:
    """Return the handler that shows or removes the clicked cell."""

    def pick(picked: Picked, seen: Sample) -> None:
        if picked.mode == "remove":
            session.name_cells(seen, {picked.id: NOT_A_WHITE_CELL})
        else:
            st.session_state[PICKED] = picked.id

    return handler(Picked, sample, pick)


def handle_placed(session: ReviewSession, sample: Sample, label: str) -> Handler:
    """Return the handler that adds the marked cell."""

    def place(placed: Placed, seen: Sample) -> None:
        session.add_cell(seen, MissedCell(placed.field, placed.box, label))

    return handler(Placed, sample, place)


def handle_redrawn(session: ReviewSession, sample: Sample, stored: SampleField) -> Handler:
    """Return the handler that gives a cell the box that was drawn."""

    def redraw(redrawn: Redrawn, seen: Sample) -> None:
        _box_of(stored, redrawn.id)
        st.session_state[PICKED] = redrawn.id
        session.move_cell(seen, stored, redrawn.id, redrawn.box)

    return handler(Redrawn, sample, redraw)


def handle_divided(session: ReviewSession, sample: Sample, stored: SampleField) -> Handler:
    """Return the handler that splits a cell along the line that was drawn."""

    def divide(divided: Divided, seen: Sample) -> None:
        box = _box_of(stored, divided.id)
        st.session_state[PICKED] = divided.id
        try:
            halves = split_box(box, *dividing_line(box, divided.start, divided.end))
        except ValueError as error:
            raise InvalidEntryError(
                "The line does not divide the box. Draw it between the two cells."
            ) from error
        session.split_cell(seen, stored, divided.id, halves)

    return handler(Divided, sample, divide)


def _box_of(stored: SampleField, cell_id: int) -> Box:
    """Return the box of a cell that the page shows. Raises NotFoundError for another cell."""
    if cell_id not in stored.cell_ids:
        raise NotFoundError("cell")
    return stored.analysis.cells[stored.cell_ids.index(cell_id)].box


def usual_diameter(stored: SampleField) -> float:
    """Return the diameter in pixels of an added cell: the median of the field's white cells."""
    found = [cell.box.diameter for _, cell in stored.analysis.white_cells()]
    if found:
        return median(found)
    scale = stored.analysis.scale
    if scale:
        return ASSUMED_CELL_MICROMETRES / scale.micrometres_per_pixel
    return min(stored.analysis.width, stored.analysis.height) / 8


def _add_by_numbers(
    session: ReviewSession, sample: Sample, stored: SampleField, label: str
) -> None:
    """Offer to add a cell by coordinates, without a pointer."""
    analysis, usual = stored.analysis, usual_diameter(stored)
    across, down, size = (f"review_add_{name}_{stored.id}" for name in ("x", "y", "diameter"))

    def add() -> None:
        x, y, diameter = (st.session_state[key] for key in (across, down, size))
        box = Box(x - diameter / 2, y - diameter / 2, diameter, diameter)
        session.add_cell(sample, MissedCell(stored.id, box, label))

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
            on_click=run_action,
            args=(ACTION, add),
        )


def _move_by_numbers(
    session: ReviewSession, sample: Sample, stored: SampleField, chosen: LabelledCell
) -> None:
    """Offer to move and resize a cell by numbers, without a pointer."""
    analysis, box = stored.analysis, chosen.cell.box
    # New keys for each version: the inputs follow a box that was dragged.
    keys = [f"review_box_{name}_{chosen.id}_{sample.version}" for name in ("x", "y", "w", "h")]

    def move() -> None:
        x, y, width, height = (st.session_state[key] for key in keys)
        session.move_cell(sample, stored, chosen.id, Box(x, y, width, height))

    with st.form("review_move_form", border=True):
        st.markdown("**Box**, in pixels of the image")
        with st.grid(2, min_column_width=110, gap="xsmall"):
            for name, key, least, most, value in zip(
                ("Left", "Top", "Width", "Height"),
                keys,
                (0.0, 0.0, 1.0, 1.0),
                2 * (float(analysis.width), float(analysis.height)),
                box.xywh,
                strict=True,
            ):
                st.number_input(name, least, most, float(value), 1.0, "%.1f", key=key)
        st.form_submit_button(
            "Save the box", icon=":material/open_with:", on_click=run_action, args=(ACTION, move)
        )


def _split_by_numbers(
    session: ReviewSession, sample: Sample, stored: SampleField, chosen: LabelledCell
) -> None:
    """Offer to split a cell without a pointer."""
    where, share = (f"review_split_{name}_{chosen.id}" for name in ("where", "share"))

    def split() -> None:
        direction = DIRECTIONS[st.session_state[where]]
        halves = split_box(chosen.cell.box, direction, st.session_state[share] / 100)
        session.split_cell(sample, stored, chosen.id, halves)

    with st.form("review_split_form", border=True):
        st.radio("The second cell lies", list(DIRECTIONS), key=where)
        least = round(100 * LEAST_SHARE)
        st.slider("Share of the first cell, %", least, 100 - least, 50, 5, key=share)
        st.form_submit_button(
            "Split the cell",
            icon=":material/content_cut:",
            on_click=run_action,
            args=(ACTION, split),
        )


def _choose_cell(cells: list[LabelledCell]) -> LabelledCell | None:
    """Let the reader choose a cell of the field by click or number."""
    by_id = {cell.id: cell for cell in cells}
    if not by_id:
        st.info("No white cell was found in this field.", icon=":material/search_off:")
        return None
    if st.session_state.get(PICKED) not in by_id:
        st.session_state[PICKED] = None
    chosen = st.selectbox(
        "Cell",
        list(by_id),
        index=None,
        format_func=lambda cell_id: by_id[cell_id].name.rpartition(".")[2],
        placeholder="Click a cell, or choose its number",
        key=PICKED,
    )
    return None if chosen is None else by_id[chosen]


def _show_cell(chosen: LabelledCell, corrected: bool, method: SegmentationMethod | None) -> None:
    drawn = method and outlined(chosen, method, corrected)
    jpeg = drawn.jpeg if drawn else cell_jpeg(chosen, LARGE, corrected)
    st.image(jpeg, width="stretch", alt=f"Cell {chosen.name}")
    if method:
        fields.show_measures(drawn or None, has_scale=chosen.micrometres_per_pixel is not None)
    cell = chosen.cell
    named = f", labelled by {plain(cell.reviewer)}" if cell.reviewer else ""
    st.markdown(f"**{_counts_as(cell).capitalize()}**{named}")


def _label_cell(
    session: ReviewSession, sample: Sample, chosen: LabelledCell, mode: Mode, barred: str | None
) -> None:
    if mode == "remove":
        review_button(
            "Remove this cell",
            "review_remove",
            lambda: session.name_cells(sample, {chosen.id: NOT_A_WHITE_CELL}),
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
        key=f"review_name_{chosen.id}",
        disabled=barred is not None,
    )
    review_button(
        "Save",
        "review_name",
        lambda: session.name_cells(sample, {chosen.id: str(label)}),
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
