"""A closer look at the chosen cell: outlines, measures, activation map, attributes, history."""

import streamlit as st

from core.cases.records import LabelledCell, QueuedCell
from core.cases.reviews import reviews_of
from core.domain.taxonomy import label_name
from ui.components import fields, stored
from ui.components.cases import errors_shown, local_time, sample_link, sample_name
from ui.components.shared import attributes_table, embed_image, plain
from ui.review.session import ReviewSession, suggestion


def show_closer(session: ReviewSession, cell: LabelledCell) -> None:
    """Show what is known of a cell."""
    st.markdown(f"**Cell {plain(cell.name)}**")
    if session.draft_id is None and isinstance(cell, QueuedCell):
        name = f"{cell.patient.identifier}, {sample_name(cell.sample)}"
        sample_link(cell.sample.id, name)
    images, attributes, history = st.columns(3)
    with images, errors_shown():
        _show_image(cell)
    with attributes, errors_shown():
        # Cells that users added, and the oldest stored cells, have none in the database.
        attributes_table(cell.cell.attributes or stored.cell_attributes(cell))
    with history, errors_shown():
        reviews = reviews_of(session.database, cell.id, session.draft_id)
        if not reviews:
            st.caption("No reviews yet.")
        for review in reviews:
            said = f": {plain(review.comment)}" if review.comment else ""
            done = f"**{review.sentence}**{said}"
            st.markdown(f"{local_time(review.at)}, {plain(review.reviewer)}: {done}")


def _show_image(cell: LabelledCell) -> None:
    suggested, corrected = suggestion(cell.cell), fields.is_light_corrected()
    show_cam = suggested is not None and st.toggle(
        f"Class activation map of {label_name(suggested).lower()}",
        key="review_cam",
        persist_state="session",
        help="Yellow: regions that support this type most. The map shows what the model used, not "
        "the morphology that defines the type.",
    )
    if show_cam and suggested:
        alt = f"Cell {cell.name} with the class activation map"
        embed_image(stored.cam_jpeg(cell, suggested), alt=alt)
        return
    method = fields.choose_method()
    drawn = method and stored.outlined(cell, method, corrected)
    if drawn:
        embed_image(drawn.jpeg, alt=f"Cell {cell.name}, outlined")
    if method:
        fields.show_measures(drawn or None, has_scale=cell.micrometres_per_pixel is not None)
