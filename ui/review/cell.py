"""One cell under review: the cell, its neighbours, cells to compare with, and the decision."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from core.cases.records import QueuedCell
from core.cases.reviews import reviews_of
from core.charts.cell_images import SIDE_MICROMETRES
from core.domain.probability import probability_text
from core.domain.results import Cell
from core.domain.taxonomy import CELL_TYPES, NOT_A_WHITE_CELL, label_name
from core.errors import LeukoscopeError
from core.inference.cell_classifier import ASSUMED_CELL_MICROMETRES
from ui.components.cases import errors_shown, sample_link, sample_name, state_badge
from ui.components.light import is_light_corrected
from ui.components.segmentation import choose_method, measures_table
from ui.components.shared import attributes_table, on_phone, plain
from ui.review.images import (
    LARGE,
    SMALL,
    cam_jpeg,
    cell_attributes,
    cell_jpeg,
    outlined_cell,
    reference_cells,
    surroundings_jpeg,
)
from ui.review.session import ReviewSession, review_button

LIKELIEST = 3
KEYS: dict[str, str] = {
    **dict(zip(CELL_TYPES, "1234567890", strict=False)),
    NOT_A_WHITE_CELL: "X",
}
"""Shortcut of each label, the same for every cell; types beyond the tenth have none."""
COMMENT = "review_comment"


def show_cell(session: ReviewSession, queued: QueuedCell, decided: Callable[[], None]) -> None:
    """Show a cell and its labels to choose from; `decided` is called after each saved decision."""
    session.saw(queued.sample)
    images, choice = st.columns([1.15, 1], gap="large")
    with images, errors_shown():
        _show_images(queued)
    with choice:
        _show_state(queued)
        _show_choice(session, queued, decided)
    # On a phone, where columns follow one another, the decision comes before the comparison.
    with st.container() if on_phone() else images, errors_shown():
        _show_references(queued)
    with st.expander("Attributes and history", icon=":material/list_alt:"):
        _show_details(session, queued)


def likeliest(cell: Cell) -> list[tuple[str, float]]:
    """Return the most likely types with their calibrated probabilities; none for an added cell."""
    probabilities = (cell.probabilities or {}).items()
    return sorted(probabilities, key=lambda item: -item[1])[:LIKELIEST]


def _show_images(queued: QueuedCell) -> None:
    box, scale = queued.cell.box, queued.micrometres_per_pixel
    suggested = _suggested(queued.cell)
    show_cam = suggested is not None and st.toggle(
        f"Show the class activation map of {label_name(suggested).lower()}",
        key="review_cam",
        persist_state="session",
        help="Yellow: regions that support this type most. The map shows what the model used, not "
        "the morphology that defines the type.",
    )
    name = f"Cell {queued.name}"
    corrected = is_light_corrected()
    method = None if show_cam else choose_method()
    outlined = method and outlined_cell(queued.field_id, box, scale, method, corrected)
    pair = st.grid(2, min_column_width=140)
    with pair.cell():
        if show_cam and suggested:
            st.image(
                cam_jpeg(queued.field_id, box, scale, suggested),
                width="stretch",
                caption="Input of the model",
                alt=f"{name} with the class activation map",
            )
        elif outlined:
            st.image(
                outlined.jpeg, width="stretch", caption="Nucleus and cell", alt=f"{name}, outlined"
            )
        else:
            st.image(
                cell_jpeg(queued.field_id, box, scale, LARGE, corrected),
                width="stretch",
                caption=_sides(SIDE_MICROMETRES, scale),
                alt=name,
            )
    with pair.cell():
        neighbours, side = surroundings_jpeg(queued.field_id, box, scale, corrected)
        st.image(
            neighbours,
            width="stretch",
            caption=_sides(side, scale),
            alt=f"{name} among its neighbours",
        )
    if method:
        measures_table(outlined.measures if outlined else None, has_scale=scale is not None)


def _sides(micrometres: float, scale: float | None) -> str:
    if scale:
        return f"{micrometres:.0f} µm across"
    return f"Scale unknown: the cell is assumed to be {ASSUMED_CELL_MICROMETRES} µm across"


def _suggested(cell: Cell) -> str | None:
    return cell.suggested if cell.reviewer else cell.type


def _answer(cell: Cell) -> str | None:
    """Return the label that agrees with the model: its type, or not a white cell."""
    ruled_out = cell.status == "out_of_scope" and cell.reviewer is None
    if ruled_out and cell.type != "platelet":
        return NOT_A_WHITE_CELL
    return _suggested(cell)


def _show_state(queued: QueuedCell) -> None:
    cell = queued.cell
    sample_link(queued.sample.id, f"{queued.patient.identifier}, {sample_name(queued.sample)}")
    badges = {
        "classified": ":green-badge[:material/check: classified]",
        "uncertain": ":orange-badge[:material/help: uncertain: not counted]",
        "out_of_scope": ":gray-badge[:material/block: not a white cell]",
    }
    line = f"{badges[cell.status]} {state_badge(queued.sample.state)}"
    if cell.is_possible_blast:
        line = f":red-badge[:material/priority_high: possible blast] {line}"
    if cell.in_distribution is False:
        line += " :orange-badge[:material/palette: unlike the training images]"
    if cell.likely_subtype:
        line += f"  \nThe model suggests: {cell.type_name.lower()}"
    if cell.reviewer:
        label = NOT_A_WHITE_CELL if cell.status == "out_of_scope" else str(cell.type)
        line += f"  \nLabelled **{label_name(label).lower()}** by {plain(cell.reviewer)}"
    st.markdown(line)
    st.caption(f"Cell {plain(queued.name)}")


def _show_choice(session: ReviewSession, queued: QueuedCell, decided: Callable[[], None]) -> None:
    barred = session.why_not(queued.sample)
    if barred:
        st.info(plain(barred), icon=":material/lock:")

    def name(label: str) -> None:
        session.name_cells(queued.sample, {queued.id: label}, st.session_state.get(COMMENT, ""))
        st.session_state[COMMENT] = ""
        decided()

    def button(label: str, text: str, shortcut: str = "") -> None:
        review_button(
            text,
            f"review_{'agree' if shortcut else label}",
            partial(name, label),
            type="primary" if shortcut else "secondary",
            shortcut=shortcut or KEYS.get(label),
            disabled=barred is not None,
            width="stretch",
        )

    likely = likeliest(queued.cell)
    answer = _answer(queued.cell)
    if answer is not None:
        button(answer, f"Agree: {label_name(answer)}", "A")
    if likely:
        st.caption("Most likely types, calibrated probability")
        for key, probability in likely:
            button(key, f"{label_name(key)} · {probability_text(probability)}")
    st.caption("Other types" if likely else "Types")
    shown = {key for key, _ in likely}
    with st.grid(2, min_column_width=170, gap="xsmall"):
        for key in (*CELL_TYPES, NOT_A_WHITE_CELL):
            if key not in shown:
                button(key, label_name(key))
    st.text_input(
        "Comment, saved with the next decision",
        key=COMMENT,
        max_chars=500,
        placeholder="Reason",
        disabled=barred is not None,
    )


def _show_references(queued: QueuedCell) -> None:
    likely = likeliest(queued.cell)[:2]
    if not likely:
        return
    box, scale = queued.cell.box, queued.micrometres_per_pixel
    corrected = is_light_corrected()
    own = cell_jpeg(queued.field_id, box, scale, SMALL, corrected)
    st.markdown("**Compare**, all at the same scale")
    for key, _ in likely:
        images, what = reference_cells(key, queued.id, corrected)
        name = CELL_TYPES[key].name
        shown = f"this cell, then {what}" if images else "no reference cell available"
        st.caption(f"**{name}**: {shown}. {CELL_TYPES[key].description}")
        if images:
            with st.container(horizontal=True, gap="xsmall"):
                st.image(own, width=84, alt="The cell under review")
                st.space("xsmall")
                for jpeg in images:
                    st.image(jpeg, width=84, alt=f"{name}, {what}")


def _show_details(session: ReviewSession, queued: QueuedCell) -> None:
    left, right = st.columns(2)
    with left:
        try:
            # Cells that users added, and the oldest stored cells, have none in the database.
            attributes = queued.cell.attributes or cell_attributes(
                queued.field_id, queued.cell.box, queued.micrometres_per_pixel
            )
        except LeukoscopeError as error:
            st.error(plain(str(error)), icon=":material/error:")
        else:
            attributes_table(attributes)
    with right, errors_shown():
        reviews = reviews_of(session.database, queued.id)
        if not reviews:
            st.caption("No reviews yet.")
        for review in reviews:
            label = label_name(review.label).lower() if review.label else "label withdrawn"
            said = f": {plain(review.comment)}" if review.comment else ""
            st.markdown(
                f"{review.at:%Y-%m-%d %H:%M} UTC, {plain(review.reviewer)}: **{label}**{said}"
            )
