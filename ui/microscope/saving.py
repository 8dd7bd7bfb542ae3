"""Saving a count to a patient: its fields become a sample, which is reviewed and signed there."""

import streamlit as st

from core.cases.database import get_database
from core.cases.names import checked_identifier
from core.cases.patients import create_patient, find_patient
from core.cases.records import NewField, PatientDetails
from core.cases.samples import save_sample
from core.cases.users import require
from core.domain.results import FieldAnalysis
from core.inference.pipeline import get_analyzer
from core.inference.tasks import models_of
from core.slides.case_fields import case_fields
from core.slides.counting import SlideCount
from core.slides.tiles import SlideView
from ui.components import cases
from ui.components.actions import action_button
from ui.components.visitor import current_user

_KEY = "slide_save"
_SAVED = "slide_saved"
"""Key in the session: what was saved of which count, and as which sample."""


def show_saving(view: SlideView, count: SlideCount, analysis: FieldAnalysis) -> None:
    """Offer to save a count that does not run; afterwards, to review it."""
    saved: dict[tuple[int, int], int] = st.session_state.setdefault(_SAVED, {})
    this = (id(count), count.done)
    if this in saved:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(":green-badge[:material/check: saved]", width="content")
            cases.sample_link(saved[this], f"Sample {saved[this]}")
            cases.review_link(saved[this], f"Review sample {saved[this]}")
        return
    box = st.expander("Save to a patient", icon=":material/save:", key=_KEY, on_change="rerun")
    if not box.open:
        return
    with box, cases.errors_shown():
        database = get_database()
        require(current_user(database), "reviewer")
        if count.reds_left_out:
            st.info(
                "Counts of the whole area keep white cells only and cannot be saved. Count 200 or "
                "400 cells for a case.",
                icon=":material/info:",
            )
            return
        st.caption(
            "Saved are the counted parts with white cells, as fields with all their cells. Review, "
            "report and signature follow on the pages of the case."
        )
        with st.grid(2, min_column_width=230):
            st.text_input(
                "Patient identifier",
                key=f"{_KEY}_identifier",
                max_chars=100,
                placeholder="As in your laboratory",
            )
            cases.sample_inputs(_KEY)

        def save() -> None:
            user = current_user(database)
            identifier = checked_identifier(st.session_state[f"{_KEY}_identifier"], "identifier")
            models = models_of(get_analyzer().versions, analysis, None)
            found = case_fields(view, analysis, count.counted_tiles, count.areas)
            fields = [NewField(image, own, models) for image, own in found]
            patient = find_patient(database, identifier) or create_patient(
                database, user, PatientDetails(identifier)
            )
            details = cases.entered_sample(_KEY)
            saved[this] = save_sample(database, user, patient.id, details, fields).id

        action_button("Save", f"{_KEY}_now", save, icon=":material/save:", type="primary")
