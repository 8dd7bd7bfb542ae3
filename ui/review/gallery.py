"""All white cells of a case by type: select several, label them by a key or drag them to a type."""

from itertools import accumulate
from typing import Any

import streamlit as st

from core.cases.cell_groups import DUPLICATE, UNCERTAIN, CellGroup, cell_groups
from core.cases.records import Case, LabelledCell, Sample
from core.charts.field import data_uri
from core.domain.probability import probability_text
from core.domain.taxonomy import CELL_TYPES, NOT_A_WHITE_CELL, label_name
from ui.components.cases import errors_shown
from ui.components.fields import is_light_corrected, light_toggle
from ui.components.shared import number_of, on_phone, plain
from ui.components.stored import MEDIUM, cell_jpeg
from ui.review.session import (
    KEYS,
    Handler,
    Moved,
    ReviewSession,
    browser_component,
    handler,
    review_button,
    suggestion,
)

MAX_CELLS = 500
"""Cells that are drawn at once."""
WAYS = {
    "drag": ":material/drag_indicator: Drag or press a key",
    "table": ":material/checklist: Select in a table",
}
TARGETS = (*CELL_TYPES, NOT_A_WHITE_CELL)

ShownGroups = list[tuple[CellGroup, tuple[LabelledCell, ...]]]
"""Groups, each with the cells that are drawn of it."""


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
    images: dict[int, str] = {}
    with errors_shown(end_page=True):
        corrected = is_light_corrected()
        images = {cell.id: data_uri(cell_jpeg(cell, MEDIUM, corrected)) for cell in drawn}
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
        _offer_agreement(session, case.sample, shown)
    if way == "table":
        _show_table(session, case.sample, shown, images)
        return
    browser_component(
        "gallery",
        f"review_gallery_{case.sample.id}",
        case.sample,
        {
            "keys": {key.lower(): label for label, key in KEYS.items()},
            "readonly": session.why_not(case.sample) is not None,
            "groups": [_described(group, cells, images) for group, cells in shown],
        },
        moved=handle_moved(session, case.sample),
    )


def handle_moved(session: ReviewSession, sample: Sample) -> Handler:
    """Return the handler that labels cells that were dragged, or chosen when a key was pressed."""

    def move(moved: Moved, seen: Sample) -> None:
        session.name_cells(seen, dict.fromkeys(moved.ids, moved.label))

    return handler(Moved, sample, move)


def _offer_agreement(session: ReviewSession, sample: Sample, shown: ShownGroups) -> None:
    """Offer to agree to all shown cells of a type that are confident and not reviewed."""
    barred = session.why_not(sample)
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
        help=plain(barred or ("" if waiting else "No confident cell is left to review.")),
    ):
        key: str | None = st.radio(
            "Confident and not reviewed",
            list(waiting),
            format_func=lambda key: f"{groups[key].name} · {len(waiting[key])}",
            key=f"review_agree_type_{sample.id}",
        )
        if key is None:
            return
        st.caption(
            "Look at each cell first: all are saved as reviewed by you. Undo reverts them together."
        )
        number = len(waiting[key])
        noun = groups[key].name if number > 1 else label_name(key)
        review_button(
            f"Agree to {number} {noun.lower()}",
            f"review_agree_all_{key}",  # a second press must not agree to the next type
            lambda: session.name_cells(sample, dict.fromkeys(waiting[key], key)),
            type="primary",
            icon=":material/done_all:",
            disabled=barred is not None,
        )


def _first(groups: tuple[CellGroup, ...]) -> ShownGroups:
    """Return each group with the cells that are drawn of it."""
    before = accumulate((len(group.cells) for group in groups), initial=0)
    return [(g, g.cells[: max(MAX_CELLS - n, 0)]) for g, n in zip(groups, before, strict=False)]


def _title(cell: LabelledCell) -> str:
    found, suggested = cell.cell, suggestion(cell.cell)
    parts = [cell.name]
    if suggested:
        named = found.type_name if suggested == found.type else label_name(suggested)
        parts.append(f"model: {named.lower()} {probability_text(found.confidence, 0)}")
    if found.reviewer:
        parts.append(f"labelled by {found.reviewer}")
    return ", ".join(parts)


def _caption(group: CellGroup, cell: LabelledCell) -> str:
    found = cell.cell
    caption = f"{cell.name} · {probability_text(found.confidence, 0)}"
    if group.key == UNCERTAIN and found.type:
        caption += f" {label_name(found.type)}?"
    return f"{caption} ✓" if found.reviewer else caption


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
        "shortcut": KEYS.get(group.key),
        "cells": [
            {
                "id": cell.id,
                "src": images[cell.id],
                "title": _title(cell),
                "caption": _caption(group, cell),
                "uncertain": group.key == UNCERTAIN,
            }
            for cell in cells
        ],
    }


def _show_table(
    session: ReviewSession, sample: Sample, shown: ShownGroups, images: dict[int, str]
) -> None:
    barred = session.why_not(sample)
    listed = [(group.name, cell) for group, cells in shown for cell in cells]
    rows = st.dataframe(
        [
            {
                "image": images[cell.id],
                "cell": cell.name,
                "counts as": name,
                "model": label_name(suggestion(cell.cell) or ""),
                "subtype": label_name(cell.cell.likely_subtype or ""),
                "confidence": 100 * cell.cell.confidence,
                "reviewer": cell.cell.reviewer or "",
            }
            for name, cell in listed
        ],
        # A new version of the sample may have other rows, so it gets a new key.
        key=f"review_table_{sample.id}_{sample.version}",
        hide_index=True,
        row_height=56,
        height=420,
        on_select="rerun",
        selection_mode="multi-row",
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
    ids = [listed[row][1].id for row in rows]
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
        lambda: session.name_cells(sample, dict.fromkeys(ids, str(label))),
        type="primary",
        icon=":material/done_all:",
        disabled=barred is not None or not ids or label is None,
        help=barred and plain(barred),
    )
