"""All white cells of a case by type: select several and label them, or drag them to a type."""

from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st
from pydantic import ValidationError

from core.cases.cell_groups import (
    DUPLICATE,
    UNCERTAIN,
    CellGroup,
    cell_groups,
)
from core.cases.records import Case, LabelledCell
from core.domain.probability import probability_text
from core.domain.taxonomy import CELL_TYPES, NOT_A_WHITE_CELL, label_name
from core.errors import PictureMissingError
from ui.components.light import is_light_corrected, light_toggle
from ui.components.shared import number_of, on_phone, plain
from ui.review.browser import Moved, gallery_component
from ui.review.images import SMALL, cell_jpeg, data_uri
from ui.review.session import ReviewSession, review_button

MAX_CELLS = 500
"""Cells that are drawn at once."""
WAYS = {
    "drag": ":material/drag_indicator: Drag",
    "table": ":material/checklist: Select in a table",
}
TARGETS = (*CELL_TYPES, NOT_A_WHITE_CELL)


def show_gallery(session: ReviewSession, case: Case) -> None:
    """Show the cells of a case; a label counts at once."""
    groups = cell_groups(case)
    total = sum(len(group.cells) for group in groups)
    if not total:
        st.info("No white cell was found in this case.", icon=":material/search_off:")
        return
    light_toggle()
    shown = _first(groups)
    if total > MAX_CELLS:
        st.caption(f"The first {MAX_CELLS} of {total:,} cells, abnormal types first.")
    # Field by field: only a few decoded fields are cached.
    drawn = sorted((cell for _, cells in shown for cell in cells), key=lambda c: c.field_id)
    try:
        images = {cell.id: data_uri(_image(cell)) for cell in drawn}
    except PictureMissingError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    barred = session.why_not(case.sample)
    with st.container(horizontal=True):
        way = st.segmented_control(
            "Label several cells",
            list(WAYS),
            format_func=WAYS.__getitem__,
            default="table" if on_phone() else "drag",  # dragging is hard on touch screens
            required=True,
            key="review_way",
            persist_state="session",
            label_visibility="collapsed",
        )
        _offer_agreement(session, case, shown, barred)
    if way == "table":
        _show_table(session, case, shown, images, barred)
        return
    gallery_component(
        f"review_gallery_{case.sample.id}",
        {
            "sample": case.sample.id,
            "version": case.sample.version,
            "readonly": barred is not None,
            "groups": [_described(group, cells, images) for group, cells in shown],
        },
        lambda message: move(session, case, message),
    )


def _offer_agreement(
    session: ReviewSession,
    case: Case,
    shown: list[tuple[CellGroup, tuple[LabelledCell, ...]]],
    barred: str | None,
) -> None:
    """Offer to agree to all shown cells of a type that are confident and not reviewed."""
    groups = {group.key: group for group, _ in shown}
    waiting = {
        group.key: ids
        for group, cells in shown
        if group.key in CELL_TYPES
        if (ids := [cell.id for cell in cells if cell.cell.reviewer is None])
    }
    with st.popover(
        "Agree to a type",
        icon=":material/done_all:",
        disabled=barred is not None or not waiting,
        help=plain(barred)
        if barred
        else (None if waiting else "No confident cell is left to review."),
    ):
        key: str | None = st.radio(
            "Confident and not reviewed",
            list(waiting),
            format_func=lambda key: f"{groups[key].name} · {len(waiting[key])}",
            key=f"review_agree_type_{case.sample.id}",
        )
        if key is None:
            return
        st.caption(
            "Look at each cell first: all are saved as reviewed by you. Undo reverts them together."
        )
        review_button(
            f"Agree to {len(waiting[key])} {groups[key].name.lower()}"
            if len(waiting[key]) > 1
            else f"Agree to 1 {label_name(key).lower()}",
            "review_agree_all",
            lambda: session.name_cells(case.sample, dict.fromkeys(waiting[key], key)),
            type="primary",
            icon=":material/done_all:",
            disabled=barred is not None,
        )


def move(session: ReviewSession, case: Case, message: Any) -> None:
    """Label the dragged cells, if the message is valid and of this case."""
    try:
        moved = Moved.model_validate(message)
    except ValidationError:
        return
    if moved.sample == case.sample.id:
        # The database rejects a change to an older version of the sample.
        seen = replace(case.sample, version=moved.version)
        session.name_cells(seen, dict.fromkeys(moved.ids, moved.label))


def _first(groups: tuple[CellGroup, ...]) -> list[tuple[CellGroup, tuple[LabelledCell, ...]]]:
    """Return each group with the cells that are drawn of it."""
    room, first = MAX_CELLS, []
    for group in groups:
        cells = group.cells[: max(room, 0)]
        room -= len(cells)
        first.append((group, cells))
    return first


def _image(cell: LabelledCell) -> bytes:
    scale = cell.micrometres_per_pixel
    return cell_jpeg(cell.field_id, cell.cell.box, scale, SMALL, is_light_corrected())


def _title(cell: LabelledCell) -> str:
    found = cell.cell
    suggested = found.suggested if found.reviewer else found.type
    parts = [cell.name]
    if suggested:
        named = found.type_name if suggested == found.type else label_name(suggested)
        parts.append(f"model: {named.lower()} {probability_text(found.confidence, 0)}")
    if found.reviewer:
        parts.append(f"labelled by {found.reviewer}")
    return ", ".join(parts)


def _described(
    group: CellGroup, cells: tuple[LabelledCell, ...], images: dict[int, str]
) -> dict[str, Any]:
    number = len(group.cells)
    return {
        "key": group.key,
        "name": group.name,
        "colour": group.colour,
        "figures": f"{number} · {group.share}" if group.share else str(number),
        "target": group.key not in {DUPLICATE, UNCERTAIN},
        "cells": [
            {
                "id": cell.id,
                "src": images[cell.id],
                "title": _title(cell),
                "caption": f"{cell.name} · {probability_text(cell.cell.confidence, 0)}"
                + (" ✓" if cell.cell.reviewer else ""),
                "uncertain": group.key == UNCERTAIN,
            }
            for cell in cells
        ],
    }


def _show_table(
    session: ReviewSession,
    case: Case,
    shown: list[tuple[CellGroup, tuple[LabelledCell, ...]]],
    images: dict[int, str],
    barred: str | None,
) -> None:
    rows = [
        {
            "image": images[cell.id],
            "cell": cell.name,
            "counts as": group.name,
            "model": label_name(suggested) if suggested else "",
            "subtype": label_name(subtype) if subtype else "",
            "confidence": 100 * cell.cell.confidence,
            "reviewer": cell.cell.reviewer or "",
            "id": cell.id,
        }
        for group, cells in shown
        for cell in cells
        for suggested in (cell.cell.suggested if cell.cell.reviewer else cell.cell.type,)
        for subtype in (cell.cell.likely_subtype,)
    ]
    frame = pd.DataFrame(rows)
    # A new version of the sample may have other rows, so it gets a new key.
    key = f"review_table_{case.sample.id}_{case.sample.version}"
    chosen = st.dataframe(
        frame,
        key=key,
        hide_index=True,
        row_height=56,
        height=420,
        on_select="rerun",
        selection_mode="multi-row",
        column_order=["image", "cell", "counts as", "model", "subtype", "confidence", "reviewer"],
        column_config={
            "image": st.column_config.ImageColumn("Image", width="small"),
            "cell": st.column_config.TextColumn("Cell", help="Field and number"),
            "counts as": "Counts as",
            "model": "Model",
            "subtype": st.column_config.TextColumn("Likely subtype", help="As the model suggests"),
            "confidence": st.column_config.NumberColumn("Confidence, %", format="%.1f"),
            "reviewer": "Reviewer",
        },
        alt="A row for each white cell: image, number, type, model's type and reviewer",
    )["selection"]["rows"]
    ids = [int(frame["id"].iloc[row]) for row in chosen]
    label = st.segmented_control(
        "Label the selected cells",
        TARGETS,
        format_func=label_name,
        key="review_table_label",
        wrap=True,
        disabled=barred is not None,
    )
    review_button(
        f"Apply to {number_of(len(ids), 'cell')}" if ids else "Select cells in the table",
        "review_apply",
        lambda: session.name_cells(case.sample, dict.fromkeys(ids, str(label))),
        type="primary",
        icon=":material/done_all:",
        disabled=barred is not None or not ids or label is None,
        help=barred and plain(barred),
    )
