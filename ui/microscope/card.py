"""The card of the clicked cell: its image, what the model says, and the reviewer's label."""

from functools import partial
from typing import Any

import streamlit as st

from core.cases.database import get_database
from core.cases.users import require
from core.charts.field import data_uri
from core.domain.agreement import LABELS
from core.domain.boxes import Box
from core.domain.results import Cell, FieldAnalysis
from core.domain.taxonomy import NOT_A_WHITE_CELL, Status, label_name
from core.errors import LeukoscopeError
from core.imaging.illumination import flatten
from core.imaging.overlay import cam_overlay
from core.imaging.preview import preview_jpeg
from core.inference.cell_classifier import CROP_MICROMETRES, CellRegion
from core.inference.explain import explain_cell
from core.slides.counting import SlideCount
from core.slides.tiles import SlideView
from ui.components import cases
from ui.components.actions import run_action, show_action_error
from ui.components.fields import show_cell_facts
from ui.components.shared import plain
from ui.components.visitor import current_user
from ui.microscope.saving import check_not_saved, saved_as
from ui.microscope.viewer import CLICKED
from ui.review.bench import agreement_of
from ui.review.session import KEYS, suggestion

_LABELLING = "slide_labelling"
"""Action of all buttons that name a cell."""
_SHOWN_MICROMETRES = 30.0
_STATUS_BADGES: dict[Status, str] = {
    "classified": ":green-badge[:material/check: classified]",
    "uncertain": ":orange-badge[:material/help: uncertain: not counted]",
    "out_of_scope": ":gray-badge[:material/block: not a white cell]",
}


def show_cell(view: SlideView, count: SlideCount) -> None:
    """Show the cell that was clicked in the viewer, and let a reviewer name it."""
    now = count.snapshot()
    if not now.analysis.white_cells():
        return
    st.header("White cell")
    number = _clicked(now.analysis)
    if number is None:
        st.caption("Click a cell in the slide, or press N for the next one.")
        return
    cell = now.analysis.cells[number - 1]
    with cases.errors_shown():
        _show_image(view, cell)
    st.markdown(f"**{plain(cell.type_name)}** {_STATUS_BADGES[cell.status]}")
    if cell.reviewer:
        label = NOT_A_WHITE_CELL if cell.status == "out_of_scope" else str(cell.type)
        suggested = suggestion(cell)
        model = f" The model says {label_name(suggested).lower()}." if suggested else ""
        st.caption(f"Labelled {label_name(label).lower()} by {plain(cell.reviewer)}.{model}")
    _show_labels(count, now.model.cells[number - 1])
    show_cell_facts(cell, view.micrometres_per_pixel)


def _clicked(analysis: FieldAnalysis) -> int | None:
    """Return the number of the cell whose centre the viewer named last.

    Numbers change while a count runs; places do not.
    """
    place = st.session_state.get(CLICKED)
    if place is None:
        return None
    x, y = place
    inside = [number for number, cell in analysis.white_cells() if _holds(cell.box, x, y)]
    return inside[0] if inside else None


def _holds(box: Box, x: float, y: float) -> bool:
    return box.x <= x <= box.right and box.y <= y <= box.bottom


def _show_image(view: SlideView, cell: Cell) -> None:
    """Show the cell, or the classifier's crop of it under its class activation map."""
    suggested = suggestion(cell)
    show_cam = suggested is not None and st.toggle(
        "Class activation map",
        key="slide_cam",
        help="Yellow: regions that support the model's type most. The map shows what the model "
        "used, not the morphology that defines the type.",
    )
    scale = view.micrometres_per_pixel
    side = CellRegion(cell.box, scale).crop_side * _SHOWN_MICROMETRES / CROP_MICROMETRES
    left, top = (max(0, round(middle - side / 2)) for middle in cell.box.centre)
    pixels = view.region(left, top, round(side), round(side), 1)
    if show_cam and suggested:
        box = Box(cell.box.x - left, cell.box.y - top, cell.box.width, cell.box.height)
        region = CellRegion(box, scale)
        pixels = cam_overlay(*explain_cell(flatten(pixels, view.light), region, suggested))
    name = label_name(suggested).lower() if suggested else ""
    alt = f"The clicked cell with the map of {name}" if show_cam else "The clicked cell"
    # As data, not as an address: the cell is there before the buttons that label it are.
    st.image(data_uri(preview_jpeg(pixels, 240)), width=200, alt=alt)
    if view.planes.number > 1:
        st.caption(f"Focal plane {view.planes.middle} of {view.planes.number}")
    if show_cam:
        st.caption(f"Input of the model; what supports {name}")


def _show_labels(count: SlideCount, cell: Cell) -> None:
    """Let a reviewer name a cell of the model's analysis, with the keys of the page Review."""
    show_action_error(_LABELLING)
    held = saved_as(count.slide)
    if held is not None:
        st.caption("This count is saved. Change labels in the sample.")
        cases.review_link(held.id, f"Review sample {held.id}")
        return
    database = get_database()
    try:
        user = current_user(database)
        require(user, "reviewer")
    except LeukoscopeError as error:
        st.caption(plain(str(error)))
        return
    _show_choice(count, cell)

    def undo() -> None:
        check_not_saved(count.slide)
        count.undo(current_user(database))

    st.button(
        "Undo",
        key="slide_undo",
        on_click=run_action,
        args=(_LABELLING, undo),
        icon=":material/undo:",
        shortcut="U",
        disabled=not count.is_labelled_by(user),
        help="Takes your last label in this slide back.",
    )
    if count.has_labels:
        st.caption("Labels stay with the count. Save it to a patient to keep them as reviews.")


def _show_choice(count: SlideCount, cell: Cell) -> None:
    """Show the labels: what agrees with the model, the likeliest, then the others."""
    # The keys have the place of the cell, and the viewer may have gone on to another one: a press
    # that was made before the card showed that one belongs to no cell.
    x, y = cell.box.centre
    place = f"{x:.0f}_{y:.0f}"

    def name(label: str) -> None:
        if not _holds(cell.box, *st.session_state.get(CLICKED, (-1, -1))):
            return
        reviewer = current_user(get_database())
        require(reviewer, "reviewer")
        check_not_saved(count.slide)
        count.label(cell, label, reviewer)

    def button(text: str, key: str, label: str, **options: Any) -> None:
        # The buttons of a cell are gone with it: the error of any is shown in one place.
        st.button(
            text,
            key=f"slide_label_{key}_{place}",
            on_click=run_action,
            args=(_LABELLING, partial(name, label)),
            width="stretch",
            **options,
        )

    def offer(label: str) -> None:
        button(label_name(label), label, label, shortcut=KEYS.get(label))

    agreed = agreement_of(cell)
    probabilities = cell.probabilities or {}
    ordered = sorted(LABELS, key=lambda label: -probabilities.get(label, 0.0))
    if agreed is not None:
        text = f"Agree: {label_name(agreed).lower()}"
        button(text, "agree", agreed, shortcut="A", type="primary")
    with st.grid(2, min_column_width=130, gap="xsmall"):
        for label in [*ordered[:2], NOT_A_WHITE_CELL]:
            offer(label)
    with (
        st.expander("Other types", icon=":material/list:"),
        st.grid(2, min_column_width=130, gap="xsmall"),
    ):
        for label in LABELS:
            if label not in (*ordered[:2], NOT_A_WHITE_CELL):
                offer(label)
