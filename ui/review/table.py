"""All white cells of a case in a table: the way to label several without pointer or keys."""

import streamlit as st

from core.cases.cell_groups import cell_groups
from core.cases.records import Case
from core.charts.field import data_uri
from core.domain.agreement import LABELS
from core.domain.taxonomy import label_name
from ui.components.cases import errors_shown
from ui.components.fields import is_light_corrected
from ui.components.shared import number_of, plain
from ui.components.stored import SMALL, cell_jpeg
from ui.review.session import ReviewSession, review_button, suggestion

MAX_CELLS = 500
"""Rows that are shown at once."""


def show_table(session: ReviewSession, case: Case) -> None:
    """Show the cells of a case, to select and label several; abnormal types come first."""
    found = [(group.name, cell) for group in cell_groups(case) for cell in group.cells]
    if not found:
        st.info("No white cell was found in this case.", icon=":material/search_off:")
        return
    listed, sample, barred = found[:MAX_CELLS], case.sample, session.why_not(case.sample)
    if len(found) > MAX_CELLS:
        st.caption(f"The first {MAX_CELLS} of {len(found):,} cells, abnormal types first.")
    # Field by field: only a few decoded fields are cached.
    drawn = sorted((cell for _, cell in listed), key=lambda cell: cell.field_id)
    images: dict[int, str] = {}
    with errors_shown(end_page=True):
        corrected = is_light_corrected()
        images = {cell.id: data_uri(cell_jpeg(cell, SMALL, corrected)) for cell in drawn}
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
        LABELS,
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
